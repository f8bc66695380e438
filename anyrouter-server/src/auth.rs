//! Authorization as a type. The type of a handler's first argument determines the check, the API
//! description and the route table.

use std::{marker::PhantomData, ops::Deref, sync::Arc};

use anyrouter_core::{account::Caller, gateway::authenticate, key::Scope};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::{HeaderMap, request::Parts};

use crate::{
    app::App,
    intake::{ClientIp, claim},
    respond::Error,
};

/// A set of scopes of which a route requires one.
pub(crate) trait Require: Send + Sync + 'static {
    /// The scopes; if empty, any valid key is sufficient.
    const ANY_OF: &'static [Scope];
}

macro_rules! requirements {
    ($($(#[$about:meta])* $name:ident = [$($scope:ident),*];)*) => {
        $(
            $(#[$about])*
            pub(crate) enum $name {}
            impl Require for $name {
                const ANY_OF: &'static [Scope] = &[$(Scope::$scope),*];
            }
        )*
    };
}

requirements! {
    /// Any valid key.
    AnyKey = [];
    /// Permission to send an inference request.
    Inference = [Inference];
    /// Permission to read the account's privacy settings, or to preview redaction.
    ReadPrivacy = [Inference, ReadPrivacy];
    /// Permission to change the account's privacy settings.
    WritePrivacy = [WritePrivacy];
    /// Permission to read usage records; with `inference` alone, those of the key's own requests.
    ReadUsage = [Inference, ReadAnalytics];
    /// Permission to read keys. Each kind has its scope, which the handler checks for each key.
    ReadKeys = [ReadLlmKeys, ReadManagementKeys];
    /// Permission to create, change or revoke keys.
    WriteKeys = [WriteLlmKeys, WriteManagementKeys];
    /// Permission to list the account's own credentials for providers.
    ReadByok = [ReadByok];
    /// Permission to add, change or remove the account's own credentials for providers.
    WriteByok = [WriteByok];
    /// Permission to see the key ring, for the operator's account.
    ReadVault = [ReadManagementKeys];
    /// Permission to rotate the master key, for the operator's account.
    WriteVault = [WriteManagementKeys];
}

/// A caller whose key is valid and meets the requirement `S`.
pub(crate) struct Auth<S>(Arc<Caller>, PhantomData<fn() -> S>);

impl<S> Deref for Auth<S> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<S: Require> Auth<S> {
    async fn check(app: &App, headers: &HeaderMap, ip: ClientIp) -> Result<Self, Error> {
        let claim = claim(headers, ip.0, "");
        let who = authenticate(app.gateway.ports(), &claim, app.clock().now()).await?;
        let caller = if S::ANY_OF.is_empty() {
            who.caller()
        } else {
            who.with_any(S::ANY_OF)?
        };
        Ok(Self(caller, PhantomData))
    }
}

fn address(parts: &Parts) -> ClientIp {
    // The listener inserts the address; a missing one matches no allowed range.
    let nowhere = ClientIp(std::net::Ipv6Addr::UNSPECIFIED.into());
    parts.extensions.get().copied().unwrap_or(nowhere)
}

impl<S: Require> FromRequestParts<Arc<App>> for Auth<S> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        Self::check(app, &parts.headers, address(parts)).await
    }
}

/// Extracts `None` if no key was sent. A key that was sent must be valid.
impl<S: Require> OptionalFromRequestParts<Arc<App>> for Auth<S> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Option<Self>, Error> {
        let is_sent = ["authorization", "x-api-key", "api-key"]
            .iter()
            .any(|name| parts.headers.contains_key(*name));
        if !is_sent {
            return Ok(None);
        }
        Self::check(app, &parts.headers, address(parts))
            .await
            .map(Some)
    }
}

/// Permission for anyone, without a key.
pub(crate) struct Public;

impl<S: Send + Sync> FromRequestParts<S> for Public {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self)
    }
}

/// A type that may be a handler's first argument.
pub(crate) trait Authority {
    /// `None` admits anyone; an empty list admits any valid key.
    const ANY_OF: Option<&'static [Scope]>;

    /// Returns the requirement in words: `public`, `any key`, or scopes as `inference or
    /// read:privacy`.
    fn words() -> String {
        match Self::ANY_OF {
            None => "public".to_owned(),
            Some([]) => "any key".to_owned(),
            Some(scopes) => {
                let names: Vec<&str> = scopes.iter().map(|s| s.as_str()).collect();
                names.join(" or ")
            }
        }
    }
}

impl Authority for Public {
    const ANY_OF: Option<&'static [Scope]> = None;
}

impl<S: Require> Authority for Auth<S> {
    const ANY_OF: Option<&'static [Scope]> = Some(S::ANY_OF);
}
