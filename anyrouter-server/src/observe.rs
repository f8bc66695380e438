//! What operators see: a log line for each request, and metrics. Metadata only: a line has the
//! request id, and nothing that names an account, a key or an address; labels are providers and
//! outcomes, which are few (P01, P02).

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::Write as _,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyrouter_core::{
    catalog::Usd,
    ids::ProviderSlug,
    usage::{Outcome, Record},
};
use serde_json::json;

use crate::config::{LogFormat, LogLevel};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Log lines wait for the thread that writes them in at most so many bytes; beyond, they are
/// counted and dropped.
const WAITING: usize = 4 << 20;
/// How long a line may wait for others.
const GATHER: Duration = Duration::from_millis(20);

/// Log lines and metrics.
#[derive(Debug)]
pub(crate) struct Observer {
    format: LogFormat,
    level: LogLevel,
    lines: Arc<Lines>,
    metrics: Mutex<BTreeMap<(&'static str, Option<ProviderSlug>), Totals>>,
    refused: Mutex<BTreeMap<u16, u64>>,
    /// When something was last said, and how often it came since.
    told: Mutex<HashMap<String, (Instant, u64)>>,
}

#[derive(Debug, Default)]
struct Lines {
    waiting: Mutex<Vec<u8>>,
    writing: Mutex<()>,
    wake: Condvar,
    dropped: AtomicU64,
}

impl Lines {
    fn write(&self) {
        let _in_order = lock(&self.writing);
        let batch = std::mem::take(&mut *lock(&self.waiting));
        // A log that cannot be written must not stop the gateway.
        let _ = std::io::stderr().write_all(&batch);
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    requests: u64,
    prompt: u64,
    completion: u64,
    cost: Usd,
    latency: [u64; BUCKETS.len() + 1],
    latency_sum: f64,
}

/// The time between two lines about the same thing, and the most things that are kept in mind.
const AGAIN: Duration = Duration::from_secs(60);
const SUBJECTS: usize = 1000;

/// Now, as log lines write it.
fn now() -> String {
    use std::time::{SystemTime, UNIX_EPOCH};
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    anyrouter_core::time::Timestamp::from_micros(
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
    )
    .to_string()
}

/// Upper edges of the latency buckets, in seconds.
const BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 120.0];

impl Observer {
    /// Starts the thread that writes log lines to standard error.
    pub(crate) fn start(format: LogFormat, level: LogLevel) -> std::io::Result<Self> {
        let lines = Arc::new(Lines::default());
        let theirs = lines.clone();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || {
                loop {
                    let mut waiting = lock(&theirs.waiting);
                    while waiting.is_empty() {
                        waiting = theirs
                            .wake
                            .wait(waiting)
                            .unwrap_or_else(PoisonError::into_inner);
                    }
                    drop(waiting);
                    // What comes within the next moment is written together: a line must not cost a
                    // request a wake-up and a `write`.
                    std::thread::sleep(GATHER);
                    theirs.write();
                }
            })?;
        Ok(Self {
            format,
            level,
            lines,
            metrics: Mutex::default(),
            refused: Mutex::default(),
            told: Mutex::default(),
        })
    }

    /// A request that was accepted has ended.
    pub(crate) fn record(&self, record: &Record) {
        let outcome = record.outcome.name();
        {
            let mut metrics = lock(&self.metrics);
            let totals = metrics
                .entry((outcome, record.provider.clone()))
                .or_default();
            totals.requests += 1;
            totals.prompt += record.tokens.prompt;
            totals.completion += record.tokens.completion;
            totals.cost = totals.cost.plus(record.cost.unwrap_or_default());
            let seconds = record.latency as f64 / 1e6;
            totals.latency_sum += seconds;
            let bucket = BUCKETS
                .iter()
                .position(|edge| seconds <= *edge)
                .unwrap_or(BUCKETS.len());
            if let Some(count) = totals.latency.get_mut(bucket) {
                *count += 1;
            }
        }
        self.attempts(record);
        if self.level > LogLevel::Warn || record.outcome != Outcome::Ok {
            self.line(&self.format_record(record, outcome));
        }
    }

    /// A request was refused before it was accepted.
    pub(crate) fn refused(&self, status: u16) {
        *lock(&self.refused).entry(status).or_default() += 1;
    }

    /// Something that the operator should know.
    pub(crate) fn note(&self, level: &str, message: &str) {
        let time = now();
        self.line(&match self.format {
            LogFormat::Text => format!("{time} {level} {message}\n"),
            LogFormat::Json => format!(
                "{}\n",
                json!({"level": level, "time": time, "message": message})
            ),
        });
    }

    /// The same, once a minute for each `subject`, with how often it came meanwhile.
    pub(crate) fn note_often(&self, level: &str, subject: &str, message: &str) {
        let left_out = {
            let mut told = lock(&self.told);
            let now = Instant::now();
            match told.get_mut(subject) {
                Some((at, count)) if now.duration_since(*at) < AGAIN => {
                    *count += 1;
                    return;
                }
                _ => {}
            }
            if told.len() >= SUBJECTS {
                told.retain(|_, (at, _)| now.duration_since(*at) < AGAIN);
            }
            told.insert(subject.to_owned(), (now, 0))
                .map_or(0, |(_, count)| count)
        };
        match left_out {
            0 => self.note(level, message),
            n => self.note(
                level,
                &format!("{message} (and {n} times since it was last said)"),
            ),
        }
    }

    /// Failures of an attempt that the operator can mend: they are told in words.
    fn attempts(&self, record: &Record) {
        for attempt in &record.attempts {
            let endpoint = attempt.endpoint.as_str();
            let provider = endpoint.split('/').next().unwrap_or_default();
            let status = attempt
                .http_status
                .map(|s| format!(" with status {s}"))
                .unwrap_or_default();
            let said = match &*attempt.outcome {
                "credential" => format!(
                    "provider `{provider}` refused the operator's key{status}; give it another one and send SIGHUP"
                ),
                "quota" => format!(
                    "provider `{provider}` says{status} that the operator's quota or credit is used up"
                ),
                "location" => format!(
                    "provider `{provider}` refused{status} the place that this server calls from"
                ),
                "model_missing" => format!(
                    "provider `{provider}` does not have the model of endpoint `{endpoint}`{status}"
                ),
                _ => continue,
            };
            self.note_often("warn", &format!("{}:{provider}", attempt.outcome), &said);
        }
    }

    fn format_record(&self, r: &Record, outcome: &str) -> String {
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

    fn line(&self, line: &str) {
        let mut waiting = lock(&self.lines.waiting);
        if waiting.len() > WAITING {
            self.lines.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let was_empty = waiting.is_empty();
        waiting.extend_from_slice(line.as_bytes());
        drop(waiting);
        if was_empty {
            self.lines.wake.notify_one();
        }
    }

    /// Writes the lines that still wait, before the process ends.
    pub(crate) fn flush(&self) {
        self.lines.write();
    }

    /// How many requests were refused with this status before they were accepted.
    pub(crate) fn refused_so_far(&self, status: u16) -> u64 {
        lock(&self.refused).get(&status).copied().unwrap_or(0)
    }

    /// Metrics in Prometheus' text format: with the requests under way, and the bytes of bodies
    /// that are held, may be held, and wait.
    pub(crate) fn metrics(
        &self,
        open: usize,
        (held, limit, waiting): (usize, usize, usize),
    ) -> String {
        let mut out = String::new();
        let metrics = lock(&self.metrics).clone();
        let mut family = |name: &str, kind: &str, help: &str, value: &dyn Fn(&Totals) -> String| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for ((outcome, provider), totals) in &metrics {
                let provider = label(provider);
                let _ = writeln!(
                    out,
                    "{name}{{outcome=\"{outcome}\",provider=\"{provider}\"}} {}",
                    value(totals)
                );
            }
        };
        family(
            "anyrouter_requests_total",
            "counter",
            "Accepted requests.",
            &|t| t.requests.to_string(),
        );
        family(
            "anyrouter_prompt_tokens_total",
            "counter",
            "Tokens of prompt.",
            &|t| t.prompt.to_string(),
        );
        family(
            "anyrouter_completion_tokens_total",
            "counter",
            "Tokens of answer.",
            &|t| t.completion.to_string(),
        );
        family(
            "anyrouter_cost_usd_total",
            "counter",
            "Cost in USD, where prices are known.",
            &|t| t.cost.to_string(),
        );
        let name = "anyrouter_request_duration_seconds";
        let _ = writeln!(
            out,
            "# HELP {name} From acceptance to the end.\n# TYPE {name} histogram"
        );
        for ((outcome, provider), totals) in &metrics {
            let provider = label(provider);
            let labels = format!("outcome=\"{outcome}\",provider=\"{provider}\"");
            let mut sum = 0;
            for (edge, count) in BUCKETS
                .iter()
                .map(ToString::to_string)
                .chain(["+Inf".to_owned()])
                .zip(totals.latency)
            {
                sum += count;
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{edge}\"}} {sum}");
            }
            let _ = writeln!(
                out,
                "{name}_sum{{{labels}}} {}\n{name}_count{{{labels}}} {sum}",
                totals.latency_sum
            );
        }
        let _ = writeln!(
            out,
            "# HELP anyrouter_refused_total Requests refused before they were accepted.\n# TYPE anyrouter_refused_total counter"
        );
        for (status, count) in &*lock(&self.refused) {
            let _ = writeln!(
                out,
                "anyrouter_refused_total{{status=\"{status}\"}} {count}"
            );
        }
        let _ = writeln!(
            out,
            "# HELP anyrouter_open_requests Requests under way.\n# TYPE anyrouter_open_requests gauge\nanyrouter_open_requests {open}"
        );
        for (name, help, value) in [
            ("anyrouter_body_bytes", "Memory that bodies hold.", held),
            (
                "anyrouter_body_bytes_limit",
                "Memory that bodies may hold.",
                limit,
            ),
            (
                "anyrouter_bodies_waiting",
                "Bodies that wait for memory.",
                waiting,
            ),
        ] {
            let _ = writeln!(
                out,
                "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"
            );
        }
        let dropped = self.lines.dropped.load(Ordering::Relaxed);
        let _ = writeln!(
            out,
            "# HELP anyrouter_log_lines_dropped_total Log lines dropped.\n# TYPE anyrouter_log_lines_dropped_total counter\nanyrouter_log_lines_dropped_total {dropped}"
        );
        out
    }
}

/// A provider as a label; empty where a request reached none.
fn label(provider: &Option<ProviderSlug>) -> &str {
    provider.as_ref().map_or("", ProviderSlug::as_str)
}
