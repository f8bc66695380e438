//! Authentication of callers.

use std::{net::IpAddr, sync::Arc};

use super::{head::Claim, state::Ports};
use crate::{
    account::{Caller, KeyFault},
    key::{ApiKey, Scope},
    ports::{Backend, Event},
    time::Timestamp,
    wire::error::ApiError,
};

/// A caller with a valid key.
#[derive(Clone, Debug)]
pub struct Authenticated(Arc<Caller>);

impl Authenticated {
    /// Returns the caller if the key has `scope`.
    pub fn with_scope(self, scope: Scope) -> Result<Arc<Caller>, ApiError> {
        self.with_any(&[scope])
    }

    /// Returns the caller if the key has one of `scopes`.
    pub fn with_any(self, scopes: &[Scope]) -> Result<Arc<Caller>, ApiError> {
        if scopes.iter().any(|s| self.0.key.scopes.contains(s)) {
            return Ok(self.0);
        }
        let needed: Vec<&str> = scopes.iter().map(|s| s.as_str()).collect();
        let message = format!(
            "the key lacks the scope {}; use a key that has it",
            needed.join(" or ")
        );
        Err(ApiError::new(403, "insufficient_scope", message))
    }

    /// Returns the caller without checking scopes.
    pub fn caller(self) -> Arc<Caller> {
        self.0
    }
}

/// Finds the caller of a request. An invalid key is a 401; the error repeats no part of it.
pub async fn authenticate(
    ports: &Ports,
    claim: &Claim,
    now: Timestamp,
) -> Result<Authenticated, ApiError> {
    let Some(sent) = &claim.key else {
        return Err(ApiError::new(
            401,
            "invalid_key",
            "no key was sent; send it as `Authorization: Bearer sk-ar-…`, `x-api-key` or `x-goog-api-key`",
        ));
    };
    let unknown = || {
        ApiError::new(
            401,
            "invalid_key",
            "the key is not known; check that it was copied whole, and that it is for this server",
        )
    };
    let key = ApiKey::parse(sent.expose()).ok_or_else(unknown)?;
    let found = ports.directory.find(&key.hash()).await;
    let caller = found
        .map_err(|error| {
            let backend = Backend::Directory;
            ports.events.emit(Event::BackendFailed { backend, error });
            ApiError::new(
                503,
                "storage_unavailable",
                "keys cannot be read now; try again later",
            )
        })?
        .ok_or_else(unknown)?;
    match caller.key.check(now) {
        Ok(()) => {}
        Err(KeyFault::Revoked) => {
            return Err(ApiError::new(
                401,
                "revoked_key",
                "the key was revoked; use another",
            ));
        }
        Err(KeyFault::Expired) => {
            return Err(ApiError::new(
                401,
                "expired_key",
                "the key has expired; use another",
            ));
        }
    }
    if let Some(allowed) = &caller.key.allowed_ips
        && !claim
            .ip
            .is_some_and(|ip| allowed.iter().any(|range| ip_in(ip, range)))
    {
        return Err(ApiError::new(
            403,
            "ip_not_allowed",
            "the key may not be used from this address; its owner can change `allowed_ips`",
        ));
    }
    if let Some(paths) = &caller.key.allowed_endpoints
        && caller.key.scopes.contains(&Scope::Inference)
        && !claim.path.is_empty()
        && !paths.iter().any(|p| {
            p.trim_matches('/')
                .trim_start_matches("api/")
                .trim_start_matches("v1/")
                == claim.path
        })
    {
        return Err(ApiError::new(
            403,
            "endpoint_not_allowed",
            "the key may not be used for this route; its owner can change `allowed_endpoints`",
        ));
    }
    Ok(Authenticated(caller))
}

/// Returns true if `ip` is in `range`, an address or a block in CIDR notation. An invalid range
/// contains no address.
pub fn ip_in(ip: IpAddr, range: &str) -> bool {
    let (base, length) = range
        .split_once('/')
        .map_or((range, None), |(b, l)| (b, Some(l)));
    let Ok(base) = base.trim().parse::<IpAddr>() else {
        return false;
    };
    let bits = |ip: IpAddr| match ip.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32u32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    };
    let ((ip, width), (base, base_width)) = (bits(ip), bits(base));
    let length = match length.map(str::parse::<u32>) {
        None => base_width,
        Some(Ok(length)) if length <= base_width => length,
        Some(_) => return false,
    };
    width == base_width && (length == 0 || (ip ^ base) >> (128 - length) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_blocks() {
        let inside = |ip: &str, range: &str| ip_in(ip.parse().unwrap(), range);
        assert!(
            inside("10.1.2.3", "10.0.0.0/8")
                && inside("10.1.2.3", "10.1.2.3")
                && inside("10.1.2.3", "0.0.0.0/0")
        );
        assert!(!inside("11.1.2.3", "10.0.0.0/8") && !inside("10.1.2.4", "10.1.2.3/32"));
        assert!(inside("2001:db8::1", "2001:db8::/32") && !inside("2001:db9::1", "2001:db8::/32"));
        assert!(
            inside("::ffff:10.1.2.3", "10.0.0.0/8"),
            "an IPv4 address in IPv6 clothes"
        );
        assert!(
            !inside("10.1.2.3", "::/0")
                && !inside("10.1.2.3", "x")
                && !inside("10.1.2.3", "10.0.0.0/33")
        );
    }
}
