//! Limits on concurrent load: memory for bodies, and requests under way.
//!
//! All bodies in memory share a budget. A body that does not fit waits. Free memory goes first to
//! the key that holds the least, then to the request that came first. No key may hold more than
//! half of the budget, so that one key cannot exclude another. There is no timeout here: the caller
//! drops the future.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;

use crate::key::KeyHash;

/// A budget of bytes, shared by all keys.
#[derive(Debug)]
pub struct MemoryBudget {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    by_key: HashMap<KeyHash, usize, foldhash::fast::RandomState>,
    /// Waiting requests in order of arrival.
    waiting: Vec<Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    key: KeyHash,
    bytes: usize,
    already: usize,
    waker: Waker,
    admitted: bool,
}

impl State {
    fn of(&self, key: &KeyHash) -> usize {
        self.by_key.get(key).copied().unwrap_or(0)
    }

    fn fits(&self, limit: usize, key: &KeyHash, bytes: usize, already: usize) -> bool {
        let own = self.of(key);
        // A body larger than a key's share is admitted only if the key holds no other.
        let within_share = own <= already || own.saturating_add(bytes) <= limit / 2;
        let within_all = self.used <= already || self.used.saturating_add(bytes) <= limit;
        within_share && within_all
    }

    fn take(&mut self, key: KeyHash, bytes: usize) {
        self.used = self.used.saturating_add(bytes);
        let own = self.by_key.entry(key).or_default();
        *own = own.saturating_add(bytes);
    }

    fn give_back(&mut self, key: KeyHash, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
        if let Entry::Occupied(mut own) = self.by_key.entry(key) {
            *own.get_mut() = own.get().saturating_sub(bytes);
            if *own.get() == 0 {
                own.remove();
            }
        }
    }

    /// Admits the waiting requests that fit now.
    fn admit(&mut self, limit: usize) {
        loop {
            let of_key = |w: &Waiting| self.of(&w.key);
            let fitting = self
                .waiting
                .iter()
                .filter(|w| !w.admitted && self.fits(limit, &w.key, w.bytes, w.already));
            let Some(ticket) = fitting
                .min_by_key(|w| (of_key(w), w.ticket))
                .map(|w| w.ticket)
            else {
                return;
            };
            let Some(next) = self.waiting.iter_mut().find(|w| w.ticket == ticket) else {
                return;
            };
            next.admitted = true;
            next.waker.wake_by_ref();
            let (key, bytes) = (next.key, next.bytes);
            self.take(key, bytes);
        }
    }
}

impl MemoryBudget {
    /// Creates a budget of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            state: Mutex::default(),
        })
    }

    /// Returns the size of the budget, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Returns the number of bytes in use.
    pub fn used(&self) -> usize {
        self.state().used
    }

    /// Returns the number of waiting requests.
    pub fn waiting(&self) -> usize {
        self.state().waiting.iter().filter(|w| !w.admitted).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes `bytes` for a key once there is room. If the future is dropped, nothing is taken.
    pub fn take(self: &Arc<Self>, key: KeyHash, bytes: usize) -> MemoryWait {
        self.take_more(key, 0, bytes)
    }

    /// Takes `bytes` more for a body that holds `already` bytes.
    pub fn take_more(self: &Arc<Self>, key: KeyHash, already: usize, bytes: usize) -> MemoryWait {
        MemoryWait {
            budget: self.clone(),
            key,
            bytes,
            already,
            ticket: None,
        }
    }
}

/// The future of [`MemoryBudget::take`].
#[derive(Debug)]
pub struct MemoryWait {
    budget: Arc<MemoryBudget>,
    key: KeyHash,
    bytes: usize,
    already: usize,
    ticket: Option<u64>,
}

impl Future for MemoryWait {
    type Output = HeldMemory;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<HeldMemory> {
        let (key, bytes, already, limit) = (self.key, self.bytes, self.already, self.budget.limit);
        let held = |budget: &Arc<MemoryBudget>| HeldMemory {
            budget: budget.clone(),
            key,
            bytes,
        };
        let budget = self.budget.clone();
        let mut state = budget.state();
        match self.ticket {
            None => {
                // A request does not overtake a waiting one of the same key.
                let waits = state.waiting.iter().any(|w| w.key == key && !w.admitted);
                if !waits && state.fits(limit, &key, bytes, already) {
                    state.take(key, bytes);
                    return Poll::Ready(held(&self.budget));
                }
                let ticket = state.next;
                state.next += 1;
                state.waiting.push(Waiting {
                    ticket,
                    key,
                    bytes,
                    already,
                    waker: cx.waker().clone(),
                    admitted: false,
                });
                self.ticket = Some(ticket);
                Poll::Pending
            }
            Some(ticket) => {
                let Some(at) = state.waiting.iter().position(|w| w.ticket == ticket) else {
                    return Poll::Pending;
                };
                let Some(own) = state.waiting.get_mut(at) else {
                    return Poll::Pending;
                };
                if own.admitted {
                    state.waiting.remove(at);
                    self.ticket = None;
                    return Poll::Ready(held(&self.budget));
                }
                own.waker.clone_from(cx.waker());
                Poll::Pending
            }
        }
    }
}

impl Drop for MemoryWait {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut state = self.budget.state();
        let Some(at) = state.waiting.iter().position(|w| w.ticket == ticket) else {
            return;
        };
        let own = state.waiting.remove(at);
        if own.admitted {
            state.give_back(own.key, own.bytes);
        }
        state.admit(self.budget.limit);
    }
}

/// Memory taken from a budget; it is returned on drop.
#[derive(Debug)]
pub struct HeldMemory {
    budget: Arc<MemoryBudget>,
    key: KeyHash,
    bytes: usize,
}

impl HeldMemory {
    /// Returns the number of bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes over the memory of `other`.
    pub fn join(&mut self, mut other: Self) {
        if other.key == self.key && Arc::ptr_eq(&other.budget, &self.budget) {
            self.bytes = self.bytes.saturating_add(std::mem::take(&mut other.bytes));
        }
    }

    /// Returns the memory beyond `bytes` to the budget.
    pub fn shrink_to(&mut self, bytes: usize) {
        let Some(more) = self.bytes.checked_sub(bytes).filter(|more| *more > 0) else {
            return;
        };
        self.bytes = bytes;
        let mut state = self.budget.state();
        state.give_back(self.key, more);
        state.admit(self.budget.limit);
    }
}

impl HeldMemory {
    /// Converts `bytes` into [`Bytes`] that hold this memory until the last reference is dropped.
    pub fn keep(self, bytes: impl AsRef<[u8]> + Send + 'static) -> Bytes {
        struct Kept<T>(T, #[allow(dead_code)] HeldMemory); // held, not read
        impl<T: AsRef<[u8]>> AsRef<[u8]> for Kept<T> {
            fn as_ref(&self) -> &[u8] {
                self.0.as_ref()
            }
        }
        Bytes::from_owner(Kept(bytes, self))
    }
}

impl Drop for HeldMemory {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// Counts concurrent requests by name, up to a limit for each.
#[derive(Debug)]
pub(super) struct Concurrency<T: Eq + Hash + Clone> {
    limit: usize,
    counts: Mutex<HashMap<T, usize, foldhash::fast::RandomState>>,
}

impl<T: Eq + Hash + Clone> Concurrency<T> {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            counts: Mutex::default(),
        })
    }

    /// Counts one more of this name; `None` if the name is at its limit.
    pub(super) fn enter(self: &Arc<Self>, name: &T) -> Option<ConcurrencySlot<T>> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name.clone()).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(ConcurrencySlot {
            all: self.clone(),
            name: name.clone(),
        })
    }
}

/// A counted request; it is under way until this is dropped.
#[derive(Debug)]
pub(super) struct ConcurrencySlot<T: Eq + Hash + Clone> {
    all: Arc<Concurrency<T>>,
    name: T,
}

impl<T: Eq + Hash + Clone> Drop for ConcurrencySlot<T> {
    fn drop(&mut self) {
        let mut counts = self
            .all
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(self.name.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> KeyHash {
        KeyHash::from_bytes(&[n; 32]).unwrap()
    }

    fn poll(take: &mut MemoryWait) -> Option<HeldMemory> {
        match Pin::new(take).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(held) => Some(held),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_does_not_fit_waits_until_room_is_given_back() {
        let budget = MemoryBudget::new(100);
        let first = poll(&mut budget.take(key(1), 40)).unwrap();
        let second = poll(&mut budget.take(key(2), 50)).unwrap();
        let mut third = budget.take(key(3), 20);
        assert!(poll(&mut third).is_none());
        drop(first);
        assert_eq!(poll(&mut third).unwrap().bytes(), 20);
        drop(second);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn one_key_holds_at_most_half_and_room_goes_to_who_holds_least() {
        let budget = MemoryBudget::new(100);
        let mut greedy = vec![
            poll(&mut budget.take(key(1), 30)).unwrap(),
            poll(&mut budget.take(key(1), 20)).unwrap(),
        ];
        let mut more = budget.take(key(1), 10);
        assert!(poll(&mut more).is_none(), "half is the most");
        let mut fifty = poll(&mut budget.take(key(2), 50)).unwrap();
        let mut other = budget.take(key(3), 20);
        assert!(poll(&mut other).is_none());
        greedy.remove(0);
        assert!(
            poll(&mut other).is_some() || budget.used() == 100,
            "the other key comes before the greedy one"
        );
        fifty.shrink_to(0);
        assert!(poll(&mut more).is_some());
    }

    #[test]
    fn what_is_larger_than_a_share_goes_alone() {
        let budget = MemoryBudget::new(100);
        let all = poll(&mut budget.take(key(1), 500)).unwrap();
        let mut other = budget.take(key(2), 1);
        assert!(poll(&mut other).is_none());
        drop(all);
        assert!(poll(&mut other).is_some());
    }

    #[test]
    fn a_dropped_wait_takes_nothing_though_it_was_let_in() {
        let budget = MemoryBudget::new(100);
        let held = poll(&mut budget.take(key(1), 100)).unwrap();
        let mut waits = budget.take(key(2), 60);
        let mut behind = budget.take(key(3), 60);
        assert!(poll(&mut waits).is_none() && poll(&mut behind).is_none());
        drop(held);
        drop(waits);
        assert!(poll(&mut behind).is_some());
        drop(behind);
        assert_eq!((budget.used(), budget.waiting()), (0, 0));
    }

    #[test]
    fn kept_bytes_are_held_until_the_last_of_them_is_gone() {
        let budget = MemoryBudget::new(100);
        let bytes = poll(&mut budget.take(key(1), 40))
            .unwrap()
            .keep(vec![1_u8; 40]);
        let part = bytes.slice(3..5);
        drop(bytes);
        assert_eq!((&part[..], budget.used()), (&[1_u8, 1][..], 40));
        drop(part);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn so_many_are_under_way_and_no_more() {
        let all = Concurrency::new(2);
        let first = all.enter(&key(1)).unwrap();
        let _second = all.enter(&key(1)).unwrap();
        assert!(all.enter(&key(1)).is_none());
        assert!(all.enter(&key(2)).is_some(), "another key is another count");
        drop(first);
        assert!(all.enter(&key(1)).is_some());
    }
}
