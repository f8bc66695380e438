//! Health of endpoints: cooldowns after failures, with half-open probes and backoff, and
//! measurements of speed.
//!
//! A failure opens a cooldown of 1 s; for the only endpoint of a model, the third failure in a row
//! does. Each further failure in a row doubles it, up to 60 s; a provider's `Retry-After` lengthens
//! it, up to 300 s. Failures of concurrent requests count as one. After the cooldown, one request
//! at a time is sent as a probe: success closes the cooldown, failure opens the next. Measurements
//! are kept for five minutes. An endpoint is slow if its median time to the first byte within the
//! last minute is more than a second and more than four times that of the quickest candidate; slow
//! endpoints come after the others. A candidate without a measurement in the last minute counts as
//! one of two seconds.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use smallvec::SmallVec;

use crate::{ids::EndpointId, time::Timestamp};

/// Duration of the first cooldown.
const FIRST: Duration = Duration::from_secs(1);
/// Maximum cooldown without a `Retry-After`.
const LONGEST: Duration = Duration::from_secs(60);
/// Maximum cooldown that a provider can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);
/// Number of failures in a row of a model's only endpoint before a cooldown opens.
const BEARABLE: u32 = 2;
/// Time after which an unfinished probe no longer prevents another one.
const PROBE: Duration = Duration::from_secs(30);
/// Maximum age and number of measurements.
const WINDOW: Duration = Duration::from_secs(300);
const KEPT: usize = 100;
/// Maximum age of the measurements that decide if an endpoint is slow.
const SLOW_WINDOW: Duration = Duration::from_secs(60);

/// Result of an attempt, as an observation of the endpoint's health.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observation {
    /// The endpoint began to answer.
    Answered {
        /// Microseconds to the first byte.
        first_byte: u64,
    },
    /// The endpoint failed, and the request was not the cause.
    Failed {
        /// Wait that the provider asks for.
        retry_after: Option<Duration>,
        /// True if the model has no other endpoint: a cooldown then opens only after three failures
        /// in a row, since it would block all requests for the model.
        is_only: bool,
    },
    /// No observation: the request was at fault, or the client disconnected.
    Nothing,
}

/// Change of an endpoint's cooldown after an observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CooldownChange {
    /// A cooldown opened; it lasts this long from now.
    Opened(Duration),
    /// The cooldown closed: the endpoint answers again.
    Closed,
}

/// The health of all endpoints. It is stored by id and so survives a change of the catalog.
#[derive(Debug, Default)]
pub struct Health {
    endpoints: Mutex<HashMap<EndpointId, State, foldhash::fast::FixedState>>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of failures in a row.
    failures: u32,
    failed_at: Option<Timestamp>,
    cooldown_until: Option<Timestamp>,
    probing_since: Option<Timestamp>,
    first_bytes: VecDeque<(Timestamp, u64)>,
    throughputs: VecDeque<(Timestamp, f64)>,
}

/// The health of one endpoint at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthView {
    /// Remaining time during which the endpoint is not tried.
    pub cooldown: Option<Duration>,
    /// Median time to the first byte within the last minute, in microseconds.
    pub recent_first_byte: Option<u64>,
    /// Times to the first byte within five minutes, sorted, in microseconds.
    pub first_bytes: Vec<u64>,
    /// Throughputs within five minutes, sorted, in tokens per second.
    pub throughputs: Vec<f64>,
}

impl Health {
    /// Returns the health of `endpoint` at `now`.
    pub fn view(&self, endpoint: &EndpointId, now: Timestamp) -> HealthView {
        let states = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        states
            .get(endpoint)
            .map(|s| s.view(now))
            .unwrap_or_default()
    }

    /// Returns the time from `now` during which `endpoint` is not tried; `None` if it may be tried.
    pub fn cooldown(&self, endpoint: &EndpointId, now: Timestamp) -> Option<Duration> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(endpoint)?
            .cooldown(now)
    }

    /// Returns the median time to the first byte within the last minute, in microseconds.
    pub fn recent_first_byte(&self, endpoint: &EndpointId, now: Timestamp) -> Option<u64> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(endpoint)?
            .recent_first_byte(now)
    }

    /// Returns true if an attempt may be made at `now`. After a cooldown, the attempt is a probe.
    pub fn begin(&self, endpoint: &EndpointId, now: Timestamp) -> bool {
        let mut states = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(state) = states.get_mut(endpoint) else {
            return true;
        };
        if state.cooldown(now).is_some() {
            return false;
        }
        if state.cooldown_until.is_some() {
            state.probing_since = Some(now);
        }
        true
    }

    /// Records the result of an attempt that began at `started` and, at `now`, ended or began to
    /// answer. An attempt that began before the last failure does not show the state after it: its
    /// success closes no cooldown, and its failure is not counted again. A failed probe lengthens
    /// the open cooldown.
    pub fn observe(
        &self,
        endpoint: &EndpointId,
        seen: Observation,
        started: Timestamp,
        now: Timestamp,
    ) -> Option<CooldownChange> {
        let mut states = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let state = states.entry(endpoint.clone()).or_default();
        let is_late = state.failed_at.is_some_and(|failed| started <= failed);
        if state.probing_since.is_some_and(|since| started >= since) {
            state.probing_since = None;
        }
        match seen {
            Observation::Answered { first_byte } => {
                keep(&mut state.first_bytes, now, first_byte);
                if is_late {
                    return None;
                }
                (state.failures, state.failed_at) = (0, None);
                let was_open = state.cooldown_until.take();
                was_open.map(|_| CooldownChange::Closed)
            }
            Observation::Failed {
                retry_after,
                is_only,
            } => {
                if !is_late {
                    state.failures = state.failures.saturating_add(1);
                }
                state.failed_at = Some(now);
                let bearable = if is_only { BEARABLE } else { 0 };
                let over = state.failures.checked_sub(bearable + 1)?;
                let backoff = FIRST.saturating_mul(1 << over.min(6)).min(LONGEST);
                let lasts = backoff.max(retry_after.unwrap_or_default().min(LONGEST_ASKED));
                let until = now.after(lasts);
                let known = state.cooldown_until;
                state.cooldown_until = Some(known.map_or(until, |known| known.max(until)));
                known.is_none().then_some(CooldownChange::Opened(lasts))
            }
            Observation::Nothing => None,
        }
    }

    /// Clears the failures of `endpoint` after a change of its address or credential. Returns true
    /// if a cooldown was open.
    pub fn end_cooldown(&self, endpoint: &EndpointId) -> bool {
        let mut states = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(state) = states.get_mut(endpoint) else {
            return false;
        };
        (state.failures, state.failed_at, state.probing_since) = (0, None, None);
        state.cooldown_until.take().is_some()
    }

    /// Records the throughput of an answer, in tokens per second.
    pub fn observe_throughput(
        &self,
        endpoint: &EndpointId,
        tokens_per_second: f64,
        now: Timestamp,
    ) {
        let mut states = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        keep(
            &mut states.entry(endpoint.clone()).or_default().throughputs,
            now,
            tokens_per_second,
        );
    }
}

fn keep<T>(samples: &mut VecDeque<(Timestamp, T)>, now: Timestamp, value: T) {
    while samples.len() >= KEPT
        || samples
            .front()
            .is_some_and(|(at, _)| now.since(*at) > WINDOW)
    {
        samples.pop_front();
    }
    samples.push_back((now, value));
}

impl State {
    /// Returns the time during which the endpoint is not tried, because of its cooldown or a probe.
    fn cooldown(&self, now: Timestamp) -> Option<Duration> {
        let cooling = self
            .cooldown_until
            .map(|until| until.since(now))
            .filter(|left| !left.is_zero());
        let probing = self
            .probing_since
            .map(|since| PROBE.saturating_sub(now.since(since)))
            .filter(|left| !left.is_zero());
        cooling.or(probing.map(|left| left.min(FIRST)))
    }

    fn recent_first_byte(&self, now: Timestamp) -> Option<u64> {
        let recent = self
            .first_bytes
            .iter()
            .filter(|(at, _)| now.since(*at) <= SLOW_WINDOW)
            .map(|(_, v)| *v);
        let mut recent: SmallVec<[u64; 128]> = recent.collect();
        let middle = recent.len() / 2;
        (!recent.is_empty()).then(|| *recent.select_nth_unstable(middle).1)
    }

    fn view(&self, now: Timestamp) -> HealthView {
        let fresh = |at: Timestamp| now.since(at) <= WINDOW;
        let mut first_bytes: Vec<u64> = self
            .first_bytes
            .iter()
            .filter(|(at, _)| fresh(*at))
            .map(|(_, v)| *v)
            .collect();
        first_bytes.sort_unstable();
        let mut throughputs: Vec<f64> = self
            .throughputs
            .iter()
            .filter(|(at, _)| fresh(*at))
            .map(|(_, v)| *v)
            .collect();
        throughputs.sort_by(f64::total_cmp);
        HealthView {
            cooldown: self.cooldown(now),
            recent_first_byte: self.recent_first_byte(now),
            first_bytes,
            throughputs,
        }
    }
}

impl HealthView {
    /// Returns the time to the first byte at `percentile`, in microseconds.
    pub fn first_byte(&self, percentile: u8) -> Option<u64> {
        self.first_bytes
            .get(rank(self.first_bytes.len(), percentile))
            .copied()
    }

    /// Returns the throughput that `percentile` of the requests reached, in tokens per second.
    pub fn throughput(&self, percentile: u8) -> Option<f64> {
        let from_top = rank(self.throughputs.len(), percentile);
        self.throughputs.iter().rev().nth(from_top).copied()
    }
}

fn rank(count: usize, percentile: u8) -> usize {
    (count * usize::from(percentile))
        .div_ceil(100)
        .saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> EndpointId {
        "p/a-m".into()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    const FAILED: Observation = Observation::Failed {
        retry_after: None,
        is_only: false,
    };

    #[test]
    fn cooldown_doubles_and_one_success_closes_it() {
        let (health, e) = (Health::default(), endpoint());
        let cooldown = |now| health.view(&e, now).cooldown.map(|d| d.as_secs());
        let mut now = 0;
        for expected in [1, 2, 4, 8, 16, 32, 60, 60] {
            health.observe(&e, FAILED, at(now), at(now));
            assert_eq!(cooldown(at(now)), Some(expected));
            assert!(!health.begin(&e, at(now)));
            now += expected;
            assert_eq!(cooldown(at(now)), None);
        }
        assert!(health.begin(&e, at(now)), "half open: one probe");
        assert!(!health.begin(&e, at(now)), "and no second beside it");
        health.observe(
            &e,
            Observation::Answered { first_byte: 5 },
            at(now),
            at(now),
        );
        assert!(
            health.begin(&e, at(now)) && health.begin(&e, at(now)),
            "closed"
        );
        health.observe(&e, FAILED, at(now), at(now));
        assert_eq!(cooldown(at(now)), Some(1), "backoff begins anew");
    }

    #[test]
    fn what_began_before_a_failure_neither_closes_nor_doubles_nor_shortens_the_cooldown() {
        let (health, e) = (Health::default(), endpoint());
        let left = |now| health.view(&e, now).cooldown.map(|d| d.as_secs());
        health.observe(
            &e,
            Observation::Failed {
                retry_after: Some(Duration::from_secs(10)),
                is_only: false,
            },
            at(5),
            at(5),
        );
        for _ in 0..20 {
            health.observe(&e, FAILED, at(4), at(6));
        }
        assert_eq!(
            left(at(6)),
            Some(9),
            "twenty that fail together are one failure, and what the provider asked for stands"
        );
        health.observe(&e, Observation::Answered { first_byte: 3 }, at(3), at(7));
        assert_eq!(
            left(at(7)),
            Some(8),
            "an answer to an older request says nothing of now"
        );
        assert!(
            health.begin(&e, at(16)) && !health.begin(&e, at(16)),
            "one probe"
        );
        health.observe(&e, Observation::Answered { first_byte: 3 }, at(4), at(16));
        assert!(
            !health.begin(&e, at(16)),
            "and an older answer does not end it"
        );
        health.observe(&e, FAILED, at(16), at(17));
        assert_eq!(
            left(at(17)),
            Some(2),
            "the probe's own failure is the second in a row"
        );
    }

    #[test]
    fn a_probe_that_showed_nothing_makes_room_for_the_next() {
        let (health, e) = (Health::default(), endpoint());
        health.observe(&e, FAILED, at(0), at(0));
        assert!(health.begin(&e, at(1)));
        health.observe(&e, Observation::Nothing, at(1), at(1));
        assert!(health.begin(&e, at(1)));
    }

    #[test]
    fn a_models_only_endpoint_cools_down_after_three_failures_in_a_row() {
        let (health, e) = (Health::default(), endpoint());
        let fail = |seconds| {
            health.observe(
                &e,
                Observation::Failed {
                    retry_after: None,
                    is_only: true,
                },
                at(seconds),
                at(seconds),
            );
        };
        fail(0);
        fail(1);
        assert!(
            health.begin(&e, at(2)) && health.begin(&e, at(2)),
            "everybody is served, and nobody probes"
        );
        health.observe(&e, Observation::Answered { first_byte: 5 }, at(2), at(2));
        fail(3);
        fail(4);
        assert_eq!(
            health.cooldown(&e, at(4)),
            None,
            "they were not three in a row"
        );
        fail(5);
        assert_eq!(health.cooldown(&e, at(5)), Some(Duration::from_secs(1)));
        health.end_cooldown(&e);
        assert!(health.begin(&e, at(5)) && health.begin(&e, at(5)));
    }

    #[test]
    fn retry_after_is_honoured_within_bounds() {
        let (health, e) = (Health::default(), endpoint());
        health.observe(
            &e,
            Observation::Failed {
                retry_after: Some(Duration::from_secs(7)),
                is_only: false,
            },
            at(0),
            at(0),
        );
        assert_eq!(
            health.view(&e, at(0)).cooldown,
            Some(Duration::from_secs(7))
        );
        health.observe(
            &e,
            Observation::Failed {
                retry_after: Some(Duration::from_secs(99_999)),
                is_only: false,
            },
            at(0),
            at(0),
        );
        assert_eq!(health.view(&e, at(0)).cooldown, Some(LONGEST_ASKED));
    }

    #[test]
    fn percentiles_are_of_the_last_five_minutes() {
        let (health, e) = (Health::default(), endpoint());
        health.observe(
            &e,
            Observation::Answered { first_byte: 9_000 },
            at(0),
            at(0),
        );
        for v in 1..=10 {
            health.observe(
                &e,
                Observation::Answered { first_byte: v },
                at(400),
                at(400),
            );
            health.observe_throughput(&e, v as f64, at(400));
        }
        let view = health.view(&e, at(400));
        assert_eq!(
            (
                view.first_byte(50),
                view.first_byte(90),
                view.first_byte(99)
            ),
            (Some(5), Some(9), Some(10))
        );
        assert_eq!(
            (view.throughput(50), view.throughput(90)),
            (Some(6.0), Some(2.0))
        );
        assert_eq!(health.view(&e, at(800)), HealthView::default());
    }
}
