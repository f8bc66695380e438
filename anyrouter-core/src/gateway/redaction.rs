//! Redaction of requests on the way to the provider: placeholders replace the values found.
//!
//! The instance, the account, the key or the request turns it on; none of them can turn it off for
//! another. It fails closed: a request that cannot be redacted as required is not sent.

use super::{head::Head, restoring::Restoration, signed, state::Gateway};
use crate::{
    account::{Caller, Instance},
    redact::{Placeholders, Step},
    wire::{error::ApiError, json::whole_characters, request::Request, structure::is_structure},
};

/// Bodies of more bytes are redacted through [`Blocking`](crate::ports::Blocking).
const HEAVY: usize = 16 << 10;

/// A request as the provider may see it.
pub(super) struct Upstream {
    pub(super) request: Request,
    /// True if redaction was requested and done.
    pub(super) is_redacted: bool,
    /// Restoration of the values in the answer, if the request was redacted.
    pub(super) way_back: Option<Box<Restoration>>,
}

/// Returns the request as the provider may see it: redacted if requested, else unchanged.
pub(super) async fn upstream(
    gateway: &Gateway,
    caller: &Caller,
    instance: &Instance,
    head: &Head,
    request: Request,
) -> Result<Upstream, ApiError> {
    let asked =
        head.redact || request.redact || instance.redaction.as_ref().is_some_and(|r| r.upstream);
    if !asked && !caller.redacts_upstream() {
        let unsealed = std::str::from_utf8(request.body())
            .ok()
            .and_then(signed::without_seals);
        return Ok(Upstream {
            request: match unsealed {
                Some(body) => head.read(body.into(), gateway.limits.depth)?,
                None => request,
            },
            is_redacted: false,
            way_back: None,
        });
    }
    let unavailable = || {
        ApiError::new(
            503,
            "redaction_unavailable",
            "redaction was asked for and cannot be done, so nothing was sent; the account's `redaction_rules` cannot be read, or the instance has no key",
        )
    };
    let redaction = instance.redaction.as_ref().ok_or_else(unavailable)?;
    let redactor = gateway
        .redactor(caller, instance)
        .await
        .map_err(|_| unavailable())?;
    let session = request.session_id.as_deref().or(head.session_id.as_deref());
    let key = redaction.key.derive(caller.key.account.as_str(), None);
    let mut placeholders =
        Placeholders::new(redaction.key.derive(caller.key.account.as_str(), session));
    let sent = std::str::from_utf8(request.body()).map_err(|_| unavailable())?;
    let whole = whole_characters(sent.as_bytes()).and_then(|whole| String::from_utf8(whole).ok());
    let sent = whole.as_deref().unwrap_or(sent);
    let opened = signed::open(head.protocol, &key, sent).map_err(|_| unavailable())?;
    let body = opened.body.as_deref().unwrap_or(sent);
    let keep = |path: &[Step<'_>], content: &str| {
        is_structure(head.protocol, path, content) || opened.relayed.has(path)
    };
    let mut redacted = None;
    let mut work = || redacted = Some(redactor.redact_json(body, keep, &mut placeholders));
    if body.len() > HEAVY {
        gateway.ports.blocking.run(&mut work);
    } else {
        work();
    }
    let redacted = redacted.ok_or_else(unavailable)?.map_err(|blocked| {
        let mut error = ApiError::new(
            400,
            "redaction_blocked",
            format!("the request was not sent: {blocked}"),
        );
        error.param = Some("messages".to_owned());
        error
    })?;
    let is_changed = whole.is_some() || opened.body.is_some() || !placeholders.counts().is_empty();
    let mut request = if is_changed {
        head.read(redacted.into_inner().into(), gateway.limits.depth)?
    } else {
        request
    };
    request.omitted = opened.omitted;
    Ok(Upstream {
        request,
        is_redacted: true,
        way_back: Some(Box::new(Restoration::new(placeholders, key))),
    })
}
