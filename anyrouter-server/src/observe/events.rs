//! Events for operators, as data, and the log lines that are made of them through `tracing`.

use std::{fmt, sync::Arc, time::Duration};

use anyrouter_core::{
    catalog::FailureClass,
    config::{ConfigError, LogFormat},
    ids::{EndpointId, ProviderSlug},
    ports::{self, StoreError},
    time::Timestamp,
    wire::connection::ConnectionFault,
};
use serde_json::{Map, Value};
use tracing::{Dispatch, Level, field::Field};
use tracing_subscriber::{Layer, layer::Context, layer::SubscriberExt as _, registry::Registry};

use super::lines::Lines;

/// An event for operators. Its fields come from the configuration, the system and the libraries,
/// and contain no data of a client or a provider.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event<'a> {
    /// An event of the gateway.
    Gateway(&'a ports::Event),
    /// Records cannot be written, and requests are refused.
    JournalFailed { error: &'a StoreError, refused: u64 },
    /// The database does not accept records, which stay in the journal.
    ImportFailed { error: &'a StoreError, refused: u64 },
    /// The journal and the database work again.
    StorageRecovered { refused: u64 },
    /// The configuration was reloaded.
    ConfigReloaded { catalog: &'a str },
    /// The configuration was not reloaded, and the previous one stays in use.
    ConfigRejected { error: &'a ConfigError },
    /// The configuration has a setting that is probably a mistake.
    ConfigWarning { warning: &'a str },
    /// The certificate was not reloaded, and the previous one stays in use.
    CertificateRejected { reason: &'a str },
    /// The server accepts no more requests.
    Stopping,
}

/// Names of all kinds of events, as in logs and metrics.
pub(super) const KINDS: [&str; 12] = [
    "upstream_failed",
    "cooldown_opened",
    "cooldown_closed",
    "backend_failed",
    "journal_failed",
    "import_failed",
    "storage_recovered",
    "config_reloaded",
    "config_rejected",
    "config_warning",
    "certificate_rejected",
    "stopping",
];

impl Event<'_> {
    /// Returns the name of the kind, as in logs and metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Gateway(ports::Event::UpstreamFailed { .. }) => "upstream_failed",
            Self::Gateway(ports::Event::CooldownOpened { .. }) => "cooldown_opened",
            Self::Gateway(ports::Event::CooldownClosed { .. }) => "cooldown_closed",
            Self::Gateway(ports::Event::BackendFailed { .. }) => "backend_failed",
            Self::JournalFailed { .. } => "journal_failed",
            Self::ImportFailed { .. } => "import_failed",
            Self::StorageRecovered { .. } => "storage_recovered",
            Self::ConfigReloaded { .. } => "config_reloaded",
            Self::ConfigRejected { .. } => "config_rejected",
            Self::ConfigWarning { .. } => "config_warning",
            Self::CertificateRejected { .. } => "certificate_rejected",
            Self::Stopping => "stopping",
        }
    }

    /// Returns the subject, or `None` if every event is logged. One event a minute is logged per
    /// subject.
    pub(super) fn subject(&self) -> Option<String> {
        match self {
            Self::Gateway(ports::Event::UpstreamFailed {
                provider,
                endpoint,
                class,
                connection,
                ..
            }) => Some(match (class, connection) {
                // All endpoints of a provider fail in the same way.
                (_, Some(fault)) => format!("{provider} {}", fault.as_str()),
                (FailureClass::Credential | FailureClass::Quota | FailureClass::Location, _) => {
                    format!("{provider} {}", class.as_str())
                }
                _ => format!("{endpoint} {}", class.as_str()),
            }),
            Self::Gateway(
                ports::Event::CooldownOpened { endpoint, .. }
                | ports::Event::CooldownClosed { endpoint },
            ) => Some(endpoint.to_string()),
            Self::Gateway(ports::Event::BackendFailed { backend, error }) => {
                Some(format!("{} {}", backend.as_str(), error.kind()))
            }
            Self::JournalFailed { .. }
            | Self::ImportFailed { .. }
            | Self::StorageRecovered { .. }
            | Self::ConfigReloaded { .. }
            | Self::ConfigRejected { .. }
            | Self::ConfigWarning { .. }
            | Self::CertificateRejected { .. }
            | Self::Stopping => None,
        }
    }

    /// Returns the kind of event that this one reverses. The next event of that kind about the same
    /// subject is logged, so that the last line about a subject shows its current state.
    pub(super) fn reverses(&self) -> Option<&'static str> {
        match self {
            Self::Gateway(ports::Event::CooldownOpened { .. }) => Some("cooldown_closed"),
            Self::Gateway(ports::Event::CooldownClosed { .. }) => Some("cooldown_opened"),
            _ => None,
        }
    }

    /// Passes the event to `tracing`, with the number of similar events left out before it.
    pub(super) fn trace(&self, left_out: u64) {
        /// Emits an event of this level, with its name, its fields and its message.
        macro_rules! trace {
            ($level:ident $(, $field:ident = $value:expr)*) => {
                tracing::event!(target: TARGET, Level::$level, event = self.name(), left_out $(, $field = $value)*, "{self}")
            };
        }
        match self {
            Self::Gateway(ports::Event::UpstreamFailed {
                request,
                provider,
                endpoint,
                class,
                status,
                connection,
            }) => trace!(
                WARN,
                request_id = display(request),
                provider = provider.as_str(),
                endpoint = endpoint.as_str(),
                class = class.as_str(),
                status = *status,
                reason = connection.map(ConnectionFault::as_str)
            ),
            Self::Gateway(ports::Event::CooldownOpened { endpoint, lasts }) => trace!(
                WARN,
                endpoint = endpoint.as_str(),
                seconds = lasts.as_secs_f64()
            ),
            Self::Gateway(ports::Event::CooldownClosed { endpoint }) => {
                trace!(INFO, endpoint = endpoint.as_str());
            }
            Self::Gateway(ports::Event::BackendFailed { backend, error }) => trace!(
                ERROR,
                backend = backend.as_str(),
                kind = error.kind(),
                reason = display(error)
            ),
            Self::JournalFailed { error, refused } | Self::ImportFailed { error, refused } => {
                trace!(
                    ERROR,
                    kind = error.kind(),
                    reason = display(error),
                    refused = *refused
                );
            }
            Self::StorageRecovered { refused } => trace!(INFO, refused = *refused),
            Self::ConfigReloaded { catalog } => trace!(INFO, catalog = *catalog),
            Self::ConfigRejected { error } => trace!(ERROR, reason = display(error)),
            Self::ConfigWarning { warning } => trace!(WARN, reason = *warning),
            Self::CertificateRejected { reason } => trace!(ERROR, reason = *reason),
            Self::Stopping => trace!(INFO),
        }
    }
}

/// Describes the event and what to do.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(ports::Event::UpstreamFailed {
                provider,
                endpoint,
                class,
                status,
                connection,
                ..
            }) => upstream_failed(f, provider, endpoint, *class, *status, *connection),
            Self::Gateway(ports::Event::CooldownOpened { endpoint, lasts }) => {
                let seconds = lasts.max(&Duration::from_secs(1)).as_secs();
                write!(
                    f,
                    "endpoint `{endpoint}` is not asked for {seconds} s, since it failed"
                )
            }
            Self::Gateway(ports::Event::CooldownClosed { endpoint }) => {
                write!(f, "endpoint `{endpoint}` is asked again")
            }
            Self::Gateway(ports::Event::BackendFailed { backend, error }) => {
                let what = match backend {
                    ports::Backend::Directory => "keys cannot be read",
                    ports::Backend::Limiter => "limits of keys cannot be counted",
                    ports::Backend::Credentials => "providers' keys cannot be read",
                    ports::Backend::UsageLog => "usage records cannot be written",
                };
                write!(f, "{what}: {error}")
            }
            Self::JournalFailed { error, refused } => write!(
                f,
                "the usage journal cannot be written: {error}; {refused} requests refused so far; free disk space, or see /readyz"
            ),
            Self::ImportFailed { error, refused } => write!(
                f,
                "usage records cannot be imported into the database: {error}; {refused} requests refused so far; free disk space, or see /readyz"
            ),
            Self::StorageRecovered { refused } => write!(
                f,
                "storage can be used again; {refused} requests were refused meanwhile"
            ),
            Self::ConfigReloaded { catalog } => write!(
                f,
                "configuration reloaded: catalog {catalog}; changes to [limits], [deadlines], [usage], [metrics] listen, [tls] and listen take effect at the next start"
            ),
            Self::ConfigRejected { error } => write!(
                f,
                "the configuration was not reloaded, and nothing changed: {error}"
            ),
            Self::ConfigWarning { warning } => f.write_str(warning),
            Self::CertificateRejected { reason } => write!(
                f,
                "the certificate was not reloaded, and the previous one stays in use: {reason}"
            ),
            Self::Stopping => f.write_str("stopping: streams may finish"),
        }
    }
}

fn upstream_failed(
    f: &mut fmt::Formatter<'_>,
    provider: &ProviderSlug,
    endpoint: &EndpointId,
    class: FailureClass,
    status: Option<u16>,
    connection: Option<ConnectionFault>,
) -> fmt::Result {
    let with = status
        .map(|s| format!(" with status {s}"))
        .unwrap_or_default();
    match (class, connection) {
        (_, Some(fault)) => write!(f, "provider `{provider}` cannot be reached: {fault}"),
        (FailureClass::Credential, None) if status.is_none() => write!(
            f,
            "there is no usable key for provider `{provider}`; give it one and send SIGHUP"
        ),
        (FailureClass::Credential, None) => write!(
            f,
            "provider `{provider}` refused the operator's key{with}; give it another one and send SIGHUP"
        ),
        (FailureClass::Quota, None) => {
            let says = status
                .map(|s| format!(" with status {s}"))
                .unwrap_or_default();
            write!(
                f,
                "provider `{provider}` says{says} that the operator's quota or credit is used up"
            )
        }
        (FailureClass::Location, None) => write!(
            f,
            "provider `{provider}` refused this server's location{with}"
        ),
        (FailureClass::ModelMissing, None) => write!(
            f,
            "provider `{provider}` does not have the model of endpoint `{endpoint}`{with}"
        ),
        (FailureClass::Timeout, None) => {
            write!(f, "endpoint `{endpoint}` did not answer in time")
        }
        (FailureClass::RateLimited, None) => {
            write!(
                f,
                "endpoint `{endpoint}` accepts no more requests at present{with}"
            )
        }
        (FailureClass::BadAnswer, None) => write!(
            f,
            "the response of endpoint `{endpoint}`{with} cannot be parsed; check its `protocol` and `base_url`"
        ),
        (_, None) => write!(f, "endpoint `{endpoint}` failed{with}: {}", class.as_str()),
    }
}

/// Target of this server's events, which excludes those of libraries.
const TARGET: &str = "anyrouter";

/// Creates the dispatcher that writes events to `lines` in this format.
pub(super) fn dispatch(format: LogFormat, lines: Arc<Lines>) -> Dispatch {
    Dispatch::new(Registry::default().with(LinesLayer { format, lines }))
}

struct LinesLayer {
    format: LogFormat,
    lines: Arc<Lines>,
}

impl<S: tracing::Subscriber> Layer<S> for LinesLayer {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let time = now();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let left_out = fields
            .all
            .get("left_out")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        if left_out == 0 {
            fields.all.remove("left_out");
        }
        let line = match self.format {
            LogFormat::Text if left_out == 0 => format!("{time} {level} {}\n", fields.message),
            LogFormat::Text => format!(
                "{time} {level} {} ({left_out} more since the last such line)\n",
                fields.message
            ),
            LogFormat::Json => {
                let mut all = Map::new();
                all.insert("level".to_owned(), level.into());
                all.insert("time".to_owned(), time.into());
                all.append(&mut fields.all);
                all.insert("message".to_owned(), fields.message.into());
                format!("{}\n", Value::Object(all))
            }
        };
        self.lines.push(&line);
    }
}

/// Returns the current time in the format of log lines.
fn now() -> String {
    use std::time::{SystemTime, UNIX_EPOCH};
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX)).to_string()
}

/// The fields of an event, as JSON.
#[derive(Default)]
struct Fields {
    message: String,
    all: Map<String, Value>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: impl Into<Value>) {
        self.all.insert(field.name().to_owned(), value.into());
    }
}

impl tracing::field::Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            _ => self.add(field, text),
        }
    }
}

#[cfg(test)]
mod tests {
    use anyrouter_core::{
        catalog::Protocol,
        config::LogLevel,
        ids::RequestId,
        key::KeyHash,
        usage::{Opening, Record},
    };

    use super::*;
    use crate::observe::{Gauges, Observer};

    const NONE: Gauges = Gauges {
        open: 0,
        held: 0,
        limit: 0,
        waiting: 0,
    };

    fn failed(class: FailureClass, connection: Option<ConnectionFault>) -> ports::Event {
        ports::Event::UpstreamFailed {
            request: RequestId::new(Timestamp::from_micros(0), [7; 6]),
            provider: "prov".into(),
            endpoint: "prov/lab-x".into(),
            class,
            status: connection.is_none().then_some(503),
            connection,
        }
    }

    /// What is written of some events in JSON, line by line.
    fn written(format: LogFormat, events: &[Event<'_>]) -> Vec<String> {
        let observer = Observer::start(format, LogLevel::Info).unwrap();
        let text = observer.lines.hold(|| {
            for event in events {
                observer.emit(event);
            }
        });
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_event_is_a_line_with_its_fields_and_one_a_minute_of_a_kind() {
        let dns = failed(FailureClass::Connection, Some(ConnectionFault::Dns));
        let server = failed(FailureClass::Server, None);
        let opened = ports::Event::CooldownOpened {
            endpoint: "prov/lab-x".into(),
            lasts: Duration::from_secs(2),
        };
        let events = [
            Event::Gateway(&dns),
            Event::Gateway(&dns),
            Event::Gateway(&server),
            Event::Gateway(&opened),
            Event::Stopping,
            Event::Stopping,
        ];
        let lines = written(LogFormat::Json, &events);
        let lines: Vec<Value> = lines
            .iter()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        let names: Vec<&str> = lines.iter().map(|l| l["event"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "upstream_failed",
                "upstream_failed",
                "cooldown_opened",
                "stopping",
                "stopping"
            ],
            "one of the same subject is left out; what is done by hand never is"
        );
        assert_eq!(lines[0]["level"], "warn");
        assert_eq!(lines[0]["reason"], "dns");
        assert_eq!(lines[0]["provider"], "prov");
        assert_eq!(lines[0]["class"], "connection_failed");
        assert!(lines[0].get("status").is_none() && lines[0].get("left_out").is_none());
        assert_eq!(
            lines[0]["message"],
            "provider `prov` cannot be reached: its host name cannot be resolved"
        );
        assert_eq!(
            (&lines[1]["status"], &lines[1]["class"]),
            (&503.into(), &"server_error".into())
        );
        assert_eq!(lines[2]["seconds"], 2.0);
        let text = written(LogFormat::Text, &events[..1]);
        assert!(
            text[0].ends_with(
                " warn provider `prov` cannot be reached: its host name cannot be resolved"
            ),
            "{text:?}"
        );
    }

    #[test]
    fn the_last_line_about_a_cooldown_is_how_it_stands() {
        let endpoint = || "prov/lab-x".into();
        let lasts = Duration::from_secs(1);
        let opened = ports::Event::CooldownOpened {
            endpoint: endpoint(),
            lasts,
        };
        let closed = ports::Event::CooldownClosed {
            endpoint: endpoint(),
        };
        let events = [&opened, &closed, &opened, &closed, &opened].map(Event::Gateway);
        let lines = written(LogFormat::Text, &events);
        assert_eq!(lines.len(), 5);
        assert!(lines[4].contains("is not asked for 1 s"), "{lines:?}");
    }

    #[test]
    fn what_is_left_out_is_counted() {
        let observer = Observer::start(LogFormat::Text, LogLevel::Info).unwrap();
        let event = ports::Event::BackendFailed {
            backend: ports::Backend::Directory,
            error: StoreError::Busy("locked".to_owned()),
        };
        for _ in 0..5 {
            ports::Events::emit(&observer, event.clone());
        }
        let metrics = observer.metrics(NONE);
        for line in [
            "anyrouter_events_total{event=\"backend_failed\"} 5\n",
            "anyrouter_events_left_out_total{event=\"backend_failed\"} 4\n",
            "anyrouter_events_total{event=\"config_rejected\"} 0\n",
            "anyrouter_refused_total{status=\"503\"} 0\n",
            "# EOF\n",
        ] {
            assert!(metrics.contains(line), "{metrics}");
        }
    }

    #[test]
    fn every_metric_is_in_the_documentation() {
        let docs = include_str!("../../../docs/operating.md");
        let observer = Observer::start(LogFormat::Text, LogLevel::Info).unwrap();
        // A family is there once it has something.
        observer.refused(400);
        observer.emit(&Event::Stopping);
        observer.metrics.event("stopping", true);
        observer.record(&Record::opened(Opening {
            id: RequestId::new(Timestamp::from_micros(0), [7; 6]),
            at: Timestamp::from_micros(0),
            account: "acc_0000000000000000".into(),
            key_hash: KeyHash::from_bytes(&[7; 32]).unwrap(),
            ip: None,
            inbound: Protocol::Chat,
            model_requested: None,
            endpoint: None,
        }));
        let metrics = observer.metrics(NONE);
        let mut families = metrics.lines().filter_map(|l| l.strip_prefix("# TYPE "));
        assert_eq!(families.clone().count(), 13);
        let missing = families.find(|f| match f.split_once(' ').unwrap() {
            (name, "counter") => !docs.contains(&format!("`{name}_total`")),
            (name, _) => !docs.contains(&format!("`{name}`")),
        });
        assert_eq!(missing, None);
    }

    #[test]
    fn what_libraries_tell_is_not_written() {
        let observer = Observer::start(LogFormat::Text, LogLevel::Info).unwrap();
        let text = observer.lines.hold(|| {
            tracing::dispatcher::with_default(&observer.dispatch, || {
                tracing::error!(target: "h2", "a header with a secret");
            });
        });
        assert_eq!(text, "");
    }
}
