//! `preferred_max_latency` and `preferred_min_throughput`: whether an endpoint that was measured
//! misses them.

use super::{HealthView, Preferences};

/// Whether the endpoint is known to answer later than is preferred, at any of the percentiles;
/// `None` where it is not measured.
pub(super) fn misses_latency(view: &HealthView, preferences: &Preferences) -> Option<bool> {
    any(preferences
        .max_latency
        .each()
        .map(|(p, cut)| Some(view.first_byte(p)? as f64 / 1000.0 > cut)))
}

/// Whether the endpoint is known to give fewer tokens a second than is preferred, at any of the
/// percentiles; `None` where it is not measured.
pub(super) fn misses_throughput(view: &HealthView, preferences: &Preferences) -> Option<bool> {
    any(preferences
        .min_throughput
        .each()
        .map(|(p, cut)| Some(view.throughput(p)? < cut)))
}

fn any(mut misses: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    misses.try_fold(false, |any, miss| Some(any || miss?))
}
