//! Metrics, in the text format of OpenMetrics 1.0, which Prometheus reads.

use std::sync::atomic::AtomicU64;

use super::events::KINDS;
use anyrouter_core::{ids::ProviderSlug, usage::Record};
use prometheus_client::{
    encoding::{EncodeLabelSet, LabelSetEncoder, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// Upper edges of the latency buckets, in seconds.
const BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];

/// Outcome of a request and the last provider that it reached, if any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Served {
    outcome: &'static str,
    provider: Option<ProviderSlug>,
}

impl EncodeLabelSet for Served {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        let provider = self.provider.as_ref().map_or("", ProviderSlug::as_str);
        [("outcome", self.outcome), ("provider", provider)].encode(encoder)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    event: &'static str,
}

/// Values that are read when metrics are requested.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gauges {
    /// Requests under way.
    pub(crate) open: usize,
    /// Bytes that bodies hold; `limit` is their maximum.
    pub(crate) held: usize,
    pub(crate) limit: usize,
    /// Bodies that wait for memory.
    pub(crate) waiting: usize,
}

type Seconds = fn() -> Histogram;

#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<Served, Counter>,
    prompt: Family<Served, Counter>,
    completion: Family<Served, Counter>,
    cost: Family<Served, Counter<f64, AtomicU64>>,
    duration: Family<Served, Histogram, Seconds>,
    refused: Family<Status, Counter>,
    events: Family<Kind, Counter>,
    left_out: Family<Kind, Counter>,
    open: Gauge,
    held: Gauge,
    limit: Gauge,
    waiting: Gauge,
    dropped: Counter,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let seconds: Seconds = || Histogram::new(BUCKETS);
        let mut all = Self {
            registry: Registry::with_prefix("anyrouter"),
            requests: Family::default(),
            prompt: Family::default(),
            completion: Family::default(),
            cost: Family::default(),
            duration: Family::new_with_constructor(seconds),
            refused: Family::default(),
            events: Family::default(),
            left_out: Family::default(),
            open: Gauge::default(),
            held: Gauge::default(),
            limit: Gauge::default(),
            waiting: Gauge::default(),
            dropped: Counter::default(),
        };
        // A counter starts at 0 instead of being absent, so that alerts on an increase see the
        // first event.
        for event in KINDS {
            let kind = Kind { event };
            drop((
                all.events.get_or_create(&kind),
                all.left_out.get_or_create(&kind),
            ));
        }
        for status in [400, 401, 403, 429, 503] {
            drop(all.refused.get_or_create(&Status { status }));
        }
        let r = &mut all.registry;
        // The encoder appends `_total` to counters, and a full stop to help texts.
        r.register("requests", "Accepted requests", all.requests.clone());
        r.register("prompt_tokens", "Tokens of prompts", all.prompt.clone());
        let help = "Tokens of responses";
        r.register("completion_tokens", help, all.completion.clone());
        let help = "Cost in USD, where prices are known";
        r.register("cost_usd", help, all.cost.clone());
        let help = "Seconds from acceptance to the end";
        r.register("request_duration_seconds", help, all.duration.clone());
        let help = "Requests refused before they were accepted";
        r.register("refused", help, all.refused.clone());
        let help = "Events, whether they were written to the log or not";
        r.register("events", help, all.events.clone());
        let help =
            "Events left out of the log because the same subject was logged within the last minute";
        r.register("events_left_out", help, all.left_out.clone());
        r.register("open_requests", "Requests under way", all.open.clone());
        r.register("body_bytes", "Memory that bodies hold", all.held.clone());
        let help = "Memory that bodies may hold";
        r.register("body_bytes_limit", help, all.limit.clone());
        let help = "Bodies that wait for memory";
        r.register("bodies_waiting", help, all.waiting.clone());
        let help = "Log lines dropped, because they came faster than they could be written";
        r.register("log_lines_dropped", help, all.dropped.clone());
        all
    }

    pub(super) fn record(&self, record: &Record) {
        let served = Served {
            outcome: record.outcome.name(),
            provider: record.provider.clone(),
        };
        self.requests.get_or_create(&served).inc();
        let (prompt, completion) = (record.tokens.prompt, record.tokens.completion);
        self.prompt.get_or_create(&served).inc_by(prompt);
        self.completion.get_or_create(&served).inc_by(completion);
        let cost = record.cost.unwrap_or_default().as_f64();
        self.cost.get_or_create(&served).inc_by(cost);
        let seconds = record.latency as f64 / 1e6;
        self.duration.get_or_create(&served).observe(seconds);
    }

    pub(super) fn refused(&self, status: u16) {
        self.refused.get_or_create(&Status { status }).inc();
    }

    pub(super) fn refused_so_far(&self, status: u16) -> u64 {
        let counter = self.refused.get(&Status { status });
        counter.map_or(0, |counter| counter.get())
    }

    pub(super) fn event(&self, event: &'static str, is_left_out: bool) {
        debug_assert!(KINDS.contains(&event), "{event} is not among the kinds");
        let kind = Kind { event };
        self.events.get_or_create(&kind).inc();
        if is_left_out {
            self.left_out.get_or_create(&kind).inc();
        }
    }

    pub(super) fn text(&self, gauges: Gauges, dropped: u64) -> String {
        for (gauge, value) in [
            (&self.open, gauges.open),
            (&self.held, gauges.held),
            (&self.limit, gauges.limit),
            (&self.waiting, gauges.waiting),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        self.dropped
            .inner()
            .store(dropped, std::sync::atomic::Ordering::Relaxed);
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut out, &self.registry);
        out
    }
}
