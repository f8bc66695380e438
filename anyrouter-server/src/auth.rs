//! Authority as a type: what a route requires of who asks. The type produces the check, the
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

/// The scopes of which a route requires one.
pub(crate) trait Require: Send + Sync + 'static {
    /// None: any good key will do.
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
    /// Any good key.
    AnyKey = [];
    /// To send an inference request.
    Inference = [Inference];
    /// To read the account's privacy settings, or to try them.
    ReadPrivacy = [Inference, ReadPrivacy];
    /// To change them.
    WritePrivacy = [WritePrivacy];
    /// To read usage records: with `inference` alone, those of the key's own requests.
    ReadUsage = [Inference, ReadAnalytics];
    /// To read keys: each kind has its scope, which the handler checks key by key.
    ReadKeys = [ReadLlmKeys, ReadManagementKeys];
    /// To make, change or revoke them.
    WriteKeys = [WriteLlmKeys, WriteManagementKeys];
}

/// A caller whose key is good and has what `S` requires.
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
    // The listener puts it there; from nowhere, no address is allowed.
    let nowhere = ClientIp(std::net::Ipv6Addr::UNSPECIFIED.into());
    parts.extensions.get().copied().unwrap_or(nowhere)
}

impl<S: Require> FromRequestParts<Arc<App>> for Auth<S> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        Self::check(app, &parts.headers, address(parts)).await
    }
}

/// None where no key was sent; one that was sent must be good.
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

/// Anyone may ask.
pub(crate) struct Public;

impl<S: Send + Sync> FromRequestParts<S> for Public {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self)
    }
}

/// What a handler's first argument may be.
pub(crate) trait Authority {
    /// None: anyone may ask. Empty: any good key will do.
    const ANY_OF: Option<&'static [Scope]>;

    /// The same in words: `public`, `any key`, or scopes as `inference or read:privacy`.
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
