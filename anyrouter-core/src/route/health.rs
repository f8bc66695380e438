//! How endpoints have fared lately: a cooldown that opens on failures of theirs, with half-open
//! probes and backoff, and what was measured of their speed.
//!
//! A failure opens a cooldown of 1 s, and of a model's only endpoint the third in a row does; each
//! further one in a row doubles it, up to 60 s; a provider's `Retry-After` lengthens it, up to 300
//! s. Requests that were under way together and fail together are one failure. When it is over, one
//! request at a time is let through; its success closes the cooldown, its failure opens the next.
//! Measurements are kept for five minutes. An endpoint whose first byte takes four times as long as
//! the quickest candidate's, and more than a second, goes behind the others for as long as it was
//! measured so within the last minute, and is tried again after. A candidate that was not measured
//! within the minute is taken for one of two seconds.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use smallvec::SmallVec;

use crate::{ids::EndpointId, time::Timestamp};

/// The first cooldown.
const FIRST: Duration = Duration::from_secs(1);
/// The longest that failures alone open.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest that a provider can ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(300);
/// Failures in a row of a model's only endpoint that open no cooldown.
const BEARABLE: u32 = 2;
/// A probe that has not ended after this does not keep another from being made.
const PROBE: Duration = Duration::from_secs(30);
/// How long measurements count, and how many are kept.
const WINDOW: Duration = Duration::from_secs(300);
const KEPT: usize = 100;
/// How long slowness counts.
const SLOW_WINDOW: Duration = Duration::from_secs(60);

/// What an attempt showed of its endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Observation {
    /// It began to answer, so many microseconds after it was asked.
    Answered {
        /// Microseconds to the first byte.
        first_byte: u64,
    },
    /// It failed in a way that is the endpoint's own.
    Failed {
        /// How long the provider asks to be left alone.
        retry_after: Option<Duration>,
        /// The model has no other endpoint: a cooldown would keep everybody waiting, and opens only
        /// after three failures in a row.
        is_only: bool,
    },
    /// It showed nothing: the request was at fault, or the client went away.
    Nothing,
}

/// What an observation did to an endpoint's cooldown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CooldownChange {
    /// It opened, and lasts so long from now.
    Opened(Duration),
    /// It closed: the endpoint answers again.
    Closed,
}

/// The health of every endpoint, by id, so that it outlives a change of the catalog.
#[derive(Debug, Default)]
pub struct Health {
    endpoints: Mutex<HashMap<EndpointId, State, foldhash::fast::FixedState>>,
}

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    failed_at: Option<Timestamp>,
    cooldown_until: Option<Timestamp>,
    probing_since: Option<Timestamp>,
    first_bytes: VecDeque<(Timestamp, u64)>,
    throughputs: VecDeque<(Timestamp, f64)>,
}

/// What is known of one endpoint at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthView {
    /// It is not asked for so long.
    pub cooldown: Option<Duration>,
    /// The median of microseconds to the first byte, of the last minute.
    pub recent_first_byte: Option<u64>,
    /// Microseconds to the first byte, of five minutes, in order.
    pub first_bytes: Vec<u64>,
    /// Tokens a second, of five minutes, in order.
    pub throughputs: Vec<f64>,
}

impl Health {
    /// What is known of `endpoint` at `now`.
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

    /// How long `endpoint` is not asked from `now` on; none where it may be asked.
    pub fn cooldown(&self, endpoint: &EndpointId, now: Timestamp) -> Option<Duration> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(endpoint)?
            .cooldown(now)
    }

    /// The median of microseconds to the first byte, of the last minute.
    pub fn recent_first_byte(&self, endpoint: &EndpointId, now: Timestamp) -> Option<u64> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(endpoint)?
            .recent_first_byte(now)
    }

    /// Returns true if an attempt may be made at `now`. Where the endpoint has just come out of its
    /// cooldown, this is the one probe.
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

    /// Learns from an attempt that was made at `started`, and ended, or began to answer, at `now`.
    /// One that was not made after the last failure says nothing of how the endpoint has fared
    /// since: its success closes no cooldown, and its failure is that same failure. A failed probe
    /// lengthens the cooldown that is open.
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

    /// Forgets that `endpoint` failed: its address or its credential is another one. True if a
    /// cooldown was open.
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

    /// Learns how fast an answer came: tokens a second.
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
    /// How long it still is not asked: its cooldown, or until another's probe has ended.
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
    /// The latency in microseconds that `percentile` of the requests did not exceed.
    pub fn first_byte(&self, percentile: u8) -> Option<u64> {
        self.first_bytes
            .get(rank(self.first_bytes.len(), percentile))
            .copied()
    }

    /// The tokens a second that `percentile` of the requests reached.
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
