//! System time and system randomness.

use std::{
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyrouter_core::{
    ports::{Clock, Randomness, StoreError, Timer},
    time::Timestamp,
};
use rand::TryRngCore as _;

/// The time of day, made monotonic. It advances with the monotonic clock from the time of day at
/// the start, and moves forward when the time of day is ahead, but never back.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
    /// Time of day at the start plus all forward corrections, in microseconds.
    base: AtomicU64,
}

impl SystemClock {
    /// Creates a clock that starts now.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            base: AtomicU64::new(time_of_day()),
        }
    }

    /// Moves the clock forward if the time of day is more than a second ahead.
    pub fn follow(&self) {
        let ahead = time_of_day().saturating_sub(self.now().micros());
        if ahead > 1_000_000 {
            self.base.fetch_add(ahead, Ordering::Relaxed);
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

fn time_of_day() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let run = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        Timestamp::from_micros(self.base.load(Ordering::Relaxed).saturating_add(run))
    }

    fn timer(&self, after: Duration) -> Pin<Box<dyn Timer>> {
        Box::pin(TokioTimer(Box::pin(tokio::time::sleep(after))))
    }
}

struct TokioTimer(Pin<Box<tokio::time::Sleep>>);

impl Future for TokioTimer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl Timer for TokioTimer {
    fn reset(mut self: Pin<&mut Self>, after: Duration) {
        self.0.as_mut().reset(tokio::time::Instant::now() + after);
    }
}

/// Randomness of the operating system, through a generator in each thread.
#[derive(Debug, Default)]
pub struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn fill(&self, bytes: &mut [u8]) {
        // `ThreadRng` cannot fail; `key_bits` uses the operating system directly.
        let _ = rand::rng().try_fill_bytes(bytes);
    }

    fn key_bits(&self) -> Result<[u8; 32], StoreError> {
        let mut bits = [0; 32];
        rand::rngs::OsRng
            .try_fill_bytes(&mut bits)
            .map_err(|e| StoreError::from(std::io::Error::other(e)).during("randomness"))?;
        Ok(bits)
    }
}
