//! Privacy settings, and the explanation of what they do.

use anyrouter_core::{
    catalog::Catalog,
    gateway::is_structure,
    key::Scope,
    policy::{ProviderPattern, Settings, SettingsPatch},
    redact::{Finding, Placeholders, Rules},
    wire::error::ApiError,
};
use axum::{Extension, body::Body, extract::State, http::HeaderMap};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Shared, body, caller, json};
use crate::http::{ClientIp, head, read_body};

pub(super) async fn read(State(server): Shared, Extension(ip): Extension<ClientIp>, headers: HeaderMap) -> Answer {
    let caller = caller(&server, &headers, ip, &[Scope::Inference, Scope::ReadPrivacy]).await?;
    json(&server.database.settings(caller.key.account.clone()).await?)
}

/// Changes the members that are named. The change holds from the next request on.
pub(super) async fn change(State(server): Shared, Extension(ip): Extension<ClientIp>, headers: HeaderMap, sent: Body) -> Answer {
    let caller = caller(&server, &headers, ip, &[Scope::WritePrivacy]).await?;
    let patch: SettingsPatch = body(&server, &headers, sent).await?;
    check(&patch)?;
    let warnings = nobodys_names(&patch, server.gateway.world().catalog.catalog());
    let settings = server.database.change_settings(caller.key.account.clone(), patch).await?;
    json(&Changed { settings, warnings })
}

/// The settings that hold now.
#[derive(Serialize, JsonSchema)]
pub(super) struct Changed {
    #[serde(flatten)]
    settings: Settings,
    /// Names in provider lists that no provider here has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Names in provider lists that no provider here has: they are kept, since one may come, but may well be misspelt.
fn nobodys_names(patch: &SettingsPatch, catalog: &Catalog) -> Vec<String> {
    let lists = [("block", patch.block.as_ref()), ("allow", patch.allow.as_ref().and_then(Option::as_ref))];
    let mut out = Vec::new();
    for (list, names) in lists {
        for name in names.into_iter().flatten() {
            let pattern = ProviderPattern::new(name);
            if !catalog.endpoints().iter().any(|e| pattern.matches(e)) {
                let shown: String = name.chars().take(64).collect();
                out.push(format!("`{list}` names `{shown}`, and no provider here is called so; GET /api/v1/providers lists them"));
            }
        }
    }
    out
}

/// Refuses what could not be kept.
pub(super) fn check(patch: &SettingsPatch) -> Result<(), ApiError> {
    let wrong = |param: &str, message: &str| {
        let mut error = ApiError::new(400, "invalid_parameter", message);
        error.param = Some(param.to_owned());
        Err(error)
    };
    if patch.metadata_retention_days.is_some_and(|d| !(30..=90).contains(&d)) {
        return wrong("metadata_retention_days", "`metadata_retention_days` must be from 30 to 90");
    }
    if patch.body_retention_days.is_some_and(|d| !(1..=365).contains(&d)) {
        return wrong("body_retention_days", "`body_retention_days` must be from 1 to 365");
    }
    // A switch that does nothing would be a promise that is not kept.
    if patch.log_bodies == Some(true) {
        return wrong("log_bodies", "this server does not store bodies yet; `log_bodies` must stay false");
    }
    if let Err(fault) = Rules::parse(patch.redaction_rules.as_deref().unwrap_or_default()) {
        return wrong("redaction_rules", &format!("`redaction_rules`: {fault}"));
    }
    Ok(())
}

/// Text or a JSON document to try the calling account's redaction rules on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "an object with `text` or `json`")]
pub(super) struct Preview {
    /// Plain text.
    text: Option<String>,
    /// A JSON document.
    json: Option<serde_json::Value>,
}

/// What redaction makes of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Previewed {
    /// What a provider would see: a text, or a document.
    redacted: serde_json::Value,
    /// Where values are; offsets are bytes of the text, or of the document written without spaces.
    #[schemars(with = "Vec<std::collections::BTreeMap<String, serde_json::Value>>")]
    spans: Vec<Finding>,
    /// How many, by label.
    counts: std::collections::BTreeMap<String, u64>,
}

/// Shows what redaction makes of a text under the calling account's rules. Nothing is stored or sent.
pub(super) async fn preview(State(server): Shared, Extension(ip): Extension<ClientIp>, headers: HeaderMap, sent: Body) -> Answer {
    let caller = caller(&server, &headers, ip, &[Scope::Inference, Scope::ReadPrivacy]).await?;
    let preview: Preview = body(&server, &headers, sent).await?;
    let world = server.gateway.world();
    let wrong = |message: &str| ApiError::new(400, "invalid_parameter", message);
    let redactor = caller.redactor(&world).map_err(|e| wrong(&format!("the account's `redaction_rules`: {e}")))?;
    let redaction = world.redaction.as_ref().ok_or_else(|| wrong("this server does not redact"))?;
    let session = preview.json.as_ref().and_then(|d| d.get("session_id")).and_then(serde_json::Value::as_str).map(ToOwned::to_owned);
    let session = session.or_else(|| head(&headers, ip.0, "").session_id);
    let mut placeholders = Placeholders::new(redaction.key.derive(caller.key.account.as_str(), session.as_deref()));
    let (text, is_json) = match (preview.text, preview.json) {
        (Some(text), None) => (text, false),
        (None, Some(document)) => (document.to_string(), true),
        _ => return Err(wrong("send either `text` or `json`").into()),
    };
    let mut done = None;
    (redaction.heavy)(&mut || {
        let (left, spans) = if is_json {
            (redactor.redact_json(&text, is_structure, &mut placeholders), redactor.find_json(&text))
        } else {
            (redactor.redact(&text, &mut placeholders), redactor.find(&text))
        };
        done = Some(left.map(|left| (left.into_inner(), spans)));
    });
    let (left, spans) = done
        .ok_or_else(|| wrong("this server does not redact"))?
        .map_err(|e| ApiError::new(400, "redaction_blocked", format!("such a request would not be sent: {e}")))?;
    let redacted = if is_json { serde_json::from_str(&left).unwrap_or_default() } else { left.into() };
    json(&Previewed { redacted, spans, counts: placeholders.counts().clone() })
}

/// Explains how a request would be routed. Nothing is sent.
pub(super) async fn explain(State(server): Shared, Extension(ip): Extension<ClientIp>, headers: HeaderMap, sent: Body) -> Answer {
    let caller = caller(&server, &headers, ip, &[]).await?;
    let bytes = read_body(&server, &headers, sent).await?;
    let pin = head(&headers, ip.0, "").pin;
    json(&server.gateway.explain(&caller, bytes, pin.as_deref())?)
}
