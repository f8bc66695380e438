//! Log lines, events and metrics for operators. They contain metadata only: a line has the request
//! id, and nothing that names an account, a key or a client address; labels have few values
//! (providers, outcomes, statuses, kinds of events) (P01).

mod events;
mod lines;
mod metrics;

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyrouter_core::{
    config::{LogFormat, LogLevel},
    ports,
    usage::{Outcome, Record},
};
use serde_json::json;
use tracing::Dispatch;

pub(crate) use self::{events::Event, metrics::Gauges};
use self::{lines::Lines, metrics::Metrics};

/// Minimum interval between two log lines of the same kind and subject.
const AGAIN: Duration = Duration::from_secs(60);
/// Maximum number of subjects that are remembered.
const SUBJECTS: usize = 1000;

/// Log lines, events and metrics.
#[derive(Debug)]
pub(crate) struct Observer {
    format: LogFormat,
    level: LogLevel,
    lines: Arc<Lines>,
    metrics: Metrics,
    /// Where events go. It is this server's own: what its libraries tell `tracing` is not for its
    /// log, since nobody knows what they repeat.
    dispatch: Dispatch,
    /// When something was last said, and how often it came since.
    told: Mutex<HashMap<String, (Instant, u64)>>,
}

impl Observer {
    /// Starts the thread that writes log lines to standard error.
    pub(crate) fn start(format: LogFormat, level: LogLevel) -> std::io::Result<Self> {
        let lines = Lines::start()?;
        Ok(Self {
            format,
            level,
            dispatch: events::dispatch(format, lines.clone()),
            lines,
            metrics: Metrics::new(),
            told: Mutex::default(),
        })
    }

    /// A request that was accepted has ended.
    pub(crate) fn record(&self, record: &Record) {
        self.metrics.record(record);
        if self.level > LogLevel::Warn || record.outcome != Outcome::Ok {
            self.lines.push(&self.format_record(record));
        }
    }

    /// A request was refused before it was accepted.
    pub(crate) fn refused(&self, status: u16) {
        self.metrics.refused(status);
    }

    /// How many requests were refused with this status before they were accepted.
    pub(crate) fn refused_so_far(&self, status: u16) -> u64 {
        self.metrics.refused_so_far(status)
    }

    /// Something happened that the operator should know. It is counted; it is written once a minute
    /// for each kind and subject, with how often it came meanwhile.
    pub(crate) fn emit(&self, event: &Event<'_>) {
        let is_written = match event.subject() {
            None => Some(0),
            Some(subject) => {
                if let Some(reversed) = event.reverses() {
                    self.told().remove(&format!("{reversed} {subject}"));
                }
                self.left_out(format!("{} {subject}", event.name()))
            }
        };
        self.metrics.event(event.name(), is_written.is_none());
        if let Some(left_out) = is_written {
            tracing::dispatcher::with_default(&self.dispatch, || event.trace(left_out));
        }
    }

    fn told(&self) -> MutexGuard<'_, HashMap<String, (Instant, u64)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often `what` came since it was last written, if it is to be written now.
    fn left_out(&self, what: String) -> Option<u64> {
        let mut told = self.told();
        let now = Instant::now();
        if let Some((at, count)) = told.get_mut(&what)
            && now.duration_since(*at) < AGAIN
        {
            *count += 1;
            return None;
        }
        if told.len() >= SUBJECTS {
            told.retain(|_, (at, _)| now.duration_since(*at) < AGAIN);
            if told.len() >= SUBJECTS {
                told.clear();
            }
        }
        let before = told.insert(what, (now, 0));
        Some(before.map_or(0, |(_, count)| count))
    }

    fn format_record(&self, r: &Record) -> String {
        let outcome = r.outcome.name();
        let attempts = r.attempts.len();
        match self.format {
            LogFormat::Json => {
                let line = json!({
                    "level": "info", "time": r.created_at.to_string(), "request_id": r.id, "outcome": outcome, "status": r.http_status,
                    "model": r.model, "endpoint": r.endpoint, "streamed": r.streamed, "prompt_tokens": r.tokens.prompt,
                    "completion_tokens": r.tokens.completion, "estimated": r.estimated, "latency_ms": r.latency / 1000,
                    "attempts": attempts, "code": r.error_code,
                });
                format!("{line}\n")
            }
            LogFormat::Text => {
                let mut line = format!("{} {} {outcome} {}", r.created_at, r.id, r.http_status);
                let endpoint = r.endpoint.as_ref().map_or("-", |e| e.as_str());
                let tokens = (r.tokens.prompt, r.tokens.completion);
                let _ = write!(
                    line,
                    " {endpoint} {}+{} tokens {} ms",
                    tokens.0,
                    tokens.1,
                    r.latency / 1000
                );
                if attempts > 1 {
                    let _ = write!(line, " {attempts} attempts");
                }
                if let Some(code) = &r.error_code {
                    let _ = write!(line, " {code}");
                }
                line.push('\n');
                line
            }
        }
    }

    /// Writes the lines that still wait, before the process ends.
    pub(crate) fn flush(&self) {
        self.lines.flush();
    }

    /// Metrics in the text format of OpenMetrics, which Prometheus reads.
    pub(crate) fn metrics(&self, gauges: Gauges) -> String {
        self.metrics.text(gauges, self.lines.dropped())
    }
}

impl ports::Events for Observer {
    fn emit(&self, event: ports::Event) {
        Self::emit(self, &Event::Gateway(&event));
    }
}
