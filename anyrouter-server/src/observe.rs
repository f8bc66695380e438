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
    /// Destination of events. It is private to this server, because events of its libraries could
    /// repeat data that must not be in the log.
    dispatch: Dispatch,
    /// Time of the last line about each subject, and the number of events since then.
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

    /// Records the end of an accepted request.
    pub(crate) fn record(&self, record: &Record) {
        self.metrics.record(record);
        if self.level > LogLevel::Warn || record.outcome != Outcome::Ok {
            self.lines.push(&self.format_record(record));
        }
    }

    /// Counts a request that was refused before it was accepted.
    pub(crate) fn refused(&self, status: u16) {
        self.metrics.refused(status);
    }

    /// Returns the number of requests refused with this status before they were accepted.
    pub(crate) fn refused_so_far(&self, status: u16) -> u64 {
        self.metrics.refused_so_far(status)
    }

    /// Counts an event for the operator, and logs it at most once a minute for each kind and
    /// subject, with the number of events left out.
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

    /// Returns the number of events left out since the last line, if `what` must be logged now.
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

    /// Writes the queued lines, before the process ends.
    pub(crate) fn flush(&self) {
        self.lines.flush();
    }

    /// Returns the metrics in the text format of OpenMetrics, which Prometheus reads.
    pub(crate) fn metrics(&self, gauges: Gauges) -> String {
        self.metrics.text(gauges, self.lines.dropped())
    }
}

impl ports::Events for Observer {
    fn emit(&self, event: ports::Event) {
        Self::emit(self, &Event::Gateway(&event));
    }
}
