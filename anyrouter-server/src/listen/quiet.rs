//! A waker that does not reschedule its task while the task is polling.
//!
//! The halves of a hyper connection exchange data and wake each other. Here one task polls them
//! all, so a wake-up during a poll would cost another round through the scheduler, and would often
//! wake another thread.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

const RESTING: u8 = 0;
const POLLING: u8 = 1;
const WOKEN: u8 = 2;

/// Maximum number of consecutive polls. A future that still wakes itself, or that has used up the
/// scheduler's budget, is rescheduled.
const ROUNDS: usize = 4;

/// Waker of the futures that one task polls.
struct Quiet {
    state: Arc<State>,
    waker: Waker,
}

struct State {
    now: AtomicU8,
    task: Mutex<Waker>,
}

impl Quiet {
    fn new() -> Self {
        let state = Arc::new(State {
            now: AtomicU8::new(RESTING),
            task: Mutex::new(Waker::noop().clone()),
        });
        Self {
            waker: state.clone().into(),
            state,
        }
    }

    /// Polls, and polls again if the future woke itself.
    fn poll<T>(
        &self,
        cx: &Context<'_>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.state.wake_for(cx.waker());
        for _ in 0..ROUNDS {
            self.state.now.store(POLLING, Ordering::SeqCst);
            let polled = poll(&mut Context::from_waker(&self.waker));
            // A future that woke itself can make progress, and is polled again.
            if self.state.now.swap(RESTING, Ordering::SeqCst) != WOKEN || polled.is_ready() {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A future that is polled with a quiet waker.
pub(crate) struct QuietTask<F> {
    quiet: Quiet,
    future: Pin<Box<F>>,
}

impl<F> QuietTask<F> {
    pub(crate) fn new(future: F) -> Self {
        Self {
            quiet: Quiet::new(),
            future: Box::pin(future),
        }
    }
}

impl<F: Future> Future for QuietTask<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { quiet, future } = &mut *self;
        quiet.poll(cx, |cx| future.as_mut().poll(cx))
    }
}

impl State {
    fn wake_for(&self, waker: &Waker) {
        self.task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(waker);
    }
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self
            .now
            .compare_exchange(POLLING, WOKEN, Ordering::SeqCst, Ordering::SeqCst)
            == Err(RESTING)
        {
            self.task
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .wake_by_ref();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn task() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), count.into())
    }

    #[test]
    fn what_wakes_itself_is_polled_again_and_the_task_is_left_alone() {
        let ((count, waker), quiet, mut polls) = (task(), Quiet::new(), 0);
        let polled = quiet.poll(&Context::from_waker(&waker), |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            if polls == 3 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        assert_eq!(
            (polled, polls, count.0.load(Ordering::SeqCst)),
            (Poll::Ready(()), 3, 0)
        );
    }

    #[test]
    fn what_wakes_itself_without_end_waits_its_turn() {
        let ((count, waker), quiet, mut polls) = (task(), Quiet::new(), 0);
        let polled: Poll<()> = quiet.poll(&Context::from_waker(&waker), |cx| {
            polls += 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        });
        assert_eq!(
            (polled, polls, count.0.load(Ordering::SeqCst)),
            (Poll::Pending, ROUNDS, 1)
        );
    }

    #[test]
    fn who_waits_is_woken_as_the_last_task_that_polled() {
        let ((first, a), (second, b), quiet) = (task(), task(), Quiet::new());
        let mut kept = None;
        for waker in [&a, &b] {
            let _: Poll<()> = quiet.poll(&Context::from_waker(waker), |cx| {
                kept = Some(cx.waker().clone());
                Poll::Pending
            });
        }
        kept.as_ref().unwrap().wake_by_ref();
        assert_eq!(
            (
                first.0.load(Ordering::SeqCst),
                second.0.load(Ordering::SeqCst)
            ),
            (0, 1)
        );
    }
}
