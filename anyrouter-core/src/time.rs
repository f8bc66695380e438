//! Timestamps. The core has no clock of its own.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A point in time, in microseconds since 1970-01-01 UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// Creates a timestamp from microseconds since 1970.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Creates a timestamp from milliseconds since 1970.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Returns the microseconds since 1970.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Returns the milliseconds since 1970.
    pub const fn millis(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the seconds since 1970.
    pub const fn seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Returns the time since `earlier`; zero if the clock stepped back.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// Returns the time `duration` later.
    pub fn after(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)),
        )
    }

    /// Parses an RFC 3339 date and time.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let at =
            ::time::OffsetDateTime::parse(text, &::time::format_description::well_known::Rfc3339)
                .ok()?;
        u64::try_from(at.unix_timestamp_nanos() / 1000)
            .ok()
            .map(Self)
    }
}

impl fmt::Display for Timestamp {
    /// Formats the time as RFC 3339 in UTC with milliseconds, as `2026-10-01T12:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(at) = ::time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1000)
        else {
            return f.write_str("out of range");
        };
        let (date, time) = (at.date(), at.time());
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_is_written_and_read_as_rfc_3339() {
        let at = Timestamp::from_millis(1_790_769_600_123);
        assert_eq!(at.to_string(), "2026-09-30T12:00:00.123Z");
        assert_eq!(
            Timestamp::parse_rfc3339("2026-09-30T12:00:00.123Z"),
            Some(at)
        );
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_negative_duration() {
        assert_eq!(
            Timestamp::from_millis(1).since(Timestamp::from_millis(2)),
            Duration::ZERO
        );
    }
}
