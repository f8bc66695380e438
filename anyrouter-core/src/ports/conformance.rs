//! What every backend must do, as suites that any backend can run (feature `conformance`). They
//! panic with what went wrong, and need no runtime of their own: await them on yours.
//!
//! ```
//! # use std::{pin::pin, sync::Arc, task::{Context, Poll, Waker}};
//! use anyrouter_core::ports::{conformance, memory::MemoryLog};
//!
//! let mut suite = pin!(conformance::usage_log(Arc::new(MemoryLog::default())));
//! # let mut cx = Context::from_waker(Waker::noop());
//! # assert!(matches!(suite.as_mut().poll(&mut cx), Poll::Ready(())));
//! ```

#![allow(clippy::expect_used)] // a suite panics with what went wrong

use std::{future::poll_fn, sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Directory, Limiter, LogQuery, OpenRequest, UsageLog, memory::ManualClock};
use crate::{
    account::KeyRecord,
    catalog::{Protocol, Usd},
    ids::{AccountId, RequestId},
    key::{ApiKey, KeyHash, KeyKind},
    policy::Settings,
    time::Timestamp,
    usage::{Opening, Outcome, Record, Tokens},
};

fn hash(n: u8) -> KeyHash {
    ApiKey::from_random(KeyKind::Inference, [n; 32]).hash()
}

fn opening(n: u8, account: &str) -> Opening {
    Opening {
        id: RequestId::new(
            Timestamp::from_millis(1_800_000_000_000 + u64::from(n)),
            [n; 6],
        ),
        account: account.into(),
        key_hash: hash(n % 2),
        at: Timestamp::from_millis(1_800_000_000_000 + u64::from(n)),
        ip: Some([192, 0, 2, 1].into()),
        inbound: Protocol::Chat,
        model_requested: None,
        endpoint: None,
    }
}

fn record(opening: &Opening, model: &str, status: u16) -> Record {
    let mut record = Record::opened(opening.clone());
    record.outcome = if status == 200 {
        Outcome::Ok
    } else {
        Outcome::UpstreamError
    };
    record.http_status = status;
    record.model = Some(model.into());
    record.tokens = Tokens {
        prompt: 3,
        completion: 4,
        ..Tokens::default()
    };
    record.cost = Some(Usd::from_pico(7));
    record
}

/// The contract of [`UsageLog`], on a log that holds nothing of the accounts `acc_a` and `acc_b`.
#[allow(clippy::missing_panics_doc)] // it is what a suite does
pub async fn usage_log(log: Arc<dyn UsageLog>) {
    let (a, b) = (AccountId::from("acc_a"), AccountId::from("acc_b"));
    let mut ids = Vec::new();
    for n in 0..6 {
        let account = if n < 4 { "acc_a" } else { "acc_b" };
        let opening = opening(n, account);
        let open = Arc::new(OpenRequest::new(opening.clone()));
        log.take(&open).await.expect("a slot can be taken");
        open.note(|o| o.model_requested = Some("asked".to_owned()));
        let record = record(
            &opening,
            if n % 2 == 0 { "lab/even" } else { "lab/odd" },
            if n == 3 { 502 } else { 200 },
        );
        let mut filled = log.fill(&record);
        poll_fn(|cx| log.poll_durable(&mut filled, cx))
            .await
            .expect("what was filled becomes durable");
        assert_eq!(
            log.find(&opening.account, opening.id)
                .await
                .expect("records can be read"),
            Some(record),
            "a committed record reads back as it was"
        );
        ids.push(opening.id);
    }
    assert_eq!(
        log.find(&b, ids[0]).await.expect("records can be read"),
        None,
        "another account's record is not there"
    );

    let list = |query: LogQuery, account: AccountId| {
        let log = log.clone();
        async move {
            log.list(&account, &query)
                .await
                .expect("records can be listed")
                .into_iter()
                .map(|r| r.id)
                .collect::<Vec<_>>()
        }
    };
    let all = LogQuery {
        limit: 100,
        ..LogQuery::default()
    };
    assert_eq!(
        list(all.clone(), a.clone()).await,
        [ids[3], ids[2], ids[1], ids[0]],
        "the newest first, the account's own alone"
    );
    assert_eq!(
        list(
            LogQuery {
                limit: 2,
                ..all.clone()
            },
            a.clone()
        )
        .await,
        [ids[3], ids[2]],
        "no more than the limit"
    );
    assert_eq!(
        list(
            LogQuery {
                before: Some(ids[2]),
                ..all.clone()
            },
            a.clone()
        )
        .await,
        [ids[1], ids[0]],
        "only older ones"
    );
    assert_eq!(
        list(
            LogQuery {
                model: Some("lab/odd".to_owned()),
                ..all.clone()
            },
            a.clone()
        )
        .await,
        [ids[3], ids[1]],
        "by model"
    );
    assert_eq!(
        list(
            LogQuery {
                status: Some(502),
                ..all.clone()
            },
            a.clone()
        )
        .await,
        [ids[3]],
        "by status"
    );
    assert_eq!(
        list(
            LogQuery {
                outcome: Some(Outcome::UpstreamError),
                ..all.clone()
            },
            a.clone()
        )
        .await,
        [ids[3]],
        "by outcome"
    );
    assert_eq!(
        list(
            LogQuery {
                key: Some(hash(0)),
                ..all.clone()
            },
            a.clone()
        )
        .await,
        [ids[2], ids[0]],
        "by key"
    );
}

/// How a suite puts keys and settings where a [`Directory`] finds them.
#[async_trait]
pub trait DirectoryFixture: Send + Sync {
    /// Adds a key or replaces it; when this returns, the change is acknowledged.
    async fn put_key(&self, key: KeyRecord);
    /// Replaces an account's settings; when this returns, the change is acknowledged.
    async fn put_settings(&self, account: &AccountId, settings: Settings);
}

/// The contract of [`Directory`]. The fixture has an account `acc_a` with the default settings.
#[allow(clippy::missing_panics_doc)]
pub async fn directory(directory: &dyn Directory, fixture: &dyn DirectoryFixture) {
    let account = AccountId::from("acc_a");
    let find =
        |hash: KeyHash| async move { directory.find(&hash).await.expect("the directory answers") };
    assert!(
        find(hash(7)).await.is_none(),
        "a key that nobody made is not there"
    );
    let mut key = KeyRecord {
        hash: hash(7),
        account: account.clone(),
        name: "n".to_owned(),
        ..KeyRecord::default()
    };
    fixture.put_key(key.clone()).await;
    let caller = find(hash(7))
        .await
        .expect("a key that was made is there at once");
    assert_eq!(
        (&caller.key, &caller.settings),
        (&key, &Settings::default())
    );
    for round in 0..20 {
        key.revoked = round % 2 == 0;
        fixture.put_key(key.clone()).await;
        assert_eq!(
            find(hash(7)).await.map(|c| c.key.revoked),
            Some(key.revoked),
            "a change that was acknowledged holds"
        );
        let settings = Settings {
            enforce_zdr: round % 3 == 0,
            ..Settings::default()
        };
        fixture.put_settings(&account, settings.clone()).await;
        assert_eq!(
            find(hash(7)).await.map(|c| c.settings.clone()),
            Some(settings),
            "so does a change of settings"
        );
    }
}

/// The contract of [`Limiter`], which must go by `clock`.
#[allow(clippy::missing_panics_doc)]
pub async fn limiter(limiter: &dyn Limiter, clock: &ManualClock) {
    let key = hash(1);
    let mut admitted: Vec<Timestamp> = Vec::new();
    for _ in 0..600 {
        if limiter.request(&key, 5).await.admitted {
            admitted.push(super::Clock::now(clock));
        }
        clock.advance(Duration::from_millis(370));
    }
    for (i, at) in admitted.iter().enumerate() {
        let within = admitted
            .iter()
            .skip(i)
            .take_while(|t| t.since(*at) < Duration::from_secs(60))
            .count();
        assert!(within <= 5, "{within} requests within 60 seconds");
    }
    assert!(
        admitted.len() >= 15,
        "and there is room again: {} in 222 seconds",
        admitted.len()
    );
    let room = limiter.request(&key, 5).await;
    if !room.admitted {
        clock.advance(room.reset);
        assert!(
            limiter.request(&key, 5).await.admitted,
            "after `reset` there is room"
        );
    }
    assert!(
        limiter.request(&hash(2), 1).await.admitted,
        "keys do not share room"
    );

    let key = hash(3);
    let first = limiter.tokens(&key, 100, 80).await.expect("there is room");
    assert!(
        limiter.tokens(&key, 100, 30).await.is_err(),
        "a reservation takes room"
    );
    limiter.settle(&key, first, 10);
    let second = limiter
        .tokens(&key, 100, 90)
        .await
        .expect("what was not used is room again");
    limiter.settle(&key, second, 200);
    let full = limiter
        .tokens(&key, 100, 1)
        .await
        .expect_err("what was used beyond the reservation counts");
    clock.advance(full.reset);
    assert!(
        limiter.tokens(&key, 100, 100).await.is_ok(),
        "after `reset` there is room"
    );
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::ports::memory::{MemoryDirectory, MemoryLimiter, MemoryLog};

    /// Memory never waits: what it is asked is ready at the first poll.
    fn run(suite: impl Future<Output = ()>) {
        assert_eq!(
            pin!(suite).poll(&mut Context::from_waker(Waker::noop())),
            Poll::Ready(())
        );
    }

    #[async_trait]
    impl DirectoryFixture for MemoryDirectory {
        async fn put_key(&self, key: KeyRecord) {
            Self::put_key(self, key);
        }
        async fn put_settings(&self, account: &AccountId, settings: Settings) {
            Self::put_settings(self, account, settings);
        }
    }

    #[test]
    fn the_backends_in_memory_conform() {
        run(usage_log(Arc::new(MemoryLog::default())));
        let in_memory = MemoryDirectory::default();
        run(directory(&in_memory, &in_memory));
        let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000));
        run(limiter(
            &MemoryLimiter::new(Arc::new(clock.clone())),
            &clock,
        ));
    }
}
