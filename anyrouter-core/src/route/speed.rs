//! Checks of measured endpoints against `preferred_max_latency` and `preferred_min_throughput`.

use super::{HealthView, Preferences};

/// Returns true if the endpoint exceeds the preferred latency at any percentile; `None` if it is
/// not measured.
pub(super) fn misses_latency(view: &HealthView, preferences: &Preferences) -> Option<bool> {
    any(preferences
        .max_latency
        .each()
        .map(|(p, cut)| Some(view.first_byte(p)? as f64 / 1000.0 > cut)))
}

/// Returns true if the endpoint is below the preferred throughput at any percentile; `None` if it
/// is not measured.
pub(super) fn misses_throughput(view: &HealthView, preferences: &Preferences) -> Option<bool> {
    any(preferences
        .min_throughput
        .each()
        .map(|(p, cut)| Some(view.throughput(p)? < cut)))
}

fn any(mut misses: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    misses.try_fold(false, |any, miss| Some(any || miss?))
}
