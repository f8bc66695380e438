//! A service whose logs contain no personal data: a formatter for `tracing` redacts each line
//! before it is written.
//!
//! `cargo run --example redact-logs`

use anyrouter_core::redact::{PlaceholderKey, Placeholders, Redactor};
use tracing::{Event, Subscriber, info, warn};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    registry::LookupSpan,
};

/// Formats like `inner`, and redacts the values that the detectors find. Under one key, a person
/// has the same placeholder in every line, so that events can be related to each other without
/// revealing the person.
struct Redacting<F> {
    inner: F,
    redactor: Redactor,
    key: PlaceholderKey,
}

impl<S, N, F> FormatEvent<S, N> for Redacting<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut line = String::new();
        self.inner
            .format_event(context, Writer::new(&mut line), event)?;
        match self
            .redactor
            .redact(&line, &mut Placeholders::new(self.key.clone()))
        {
            Ok(left) => writer.write_str(left.as_str()),
            // A rule blocks the line, so it is not written.
            Err(blocked) => writeln!(writer, "(a line was withheld: {blocked})"),
        }
    }
}

fn main() {
    let mut secret = [0; 32];
    rand::fill(&mut secret[..]);
    let format = Redacting {
        inner: Format::default().with_target(false).with_ansi(false),
        redactor: Redactor::default(),
        key: PlaceholderKey::from_bytes(secret),
    };
    tracing_subscriber::fmt().event_format(format).init();

    info!(
        email = "jane@example.com",
        client_ip = "203.0.113.7",
        "signed in"
    );
    warn!("payment with card 4111 1111 1111 1111 refused for jane@example.com");
    info!(
        authorization = "Bearer 5f2b8c1d9e3a47b6a0c4",
        "request passed on"
    );
}
