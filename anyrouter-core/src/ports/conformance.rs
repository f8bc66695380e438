//! Conformance suites that every backend must pass (feature `conformance`). They panic with a
//! description of the fault, and run on any async runtime.
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
#![allow(clippy::indexing_slicing)] // a suite may panic

use std::{future::poll_fn, sync::Arc, time::Duration};

use super::{
    Accounts, Blocking, Credentials, Limiter, LogQuery, OpenRequest, SealedStore, StoreError,
    UsageLog, memory::ManualClock,
};
use crate::{
    account::{Caller, KeyRecord, StoredKey},
    catalog::{Protocol, Usd},
    credential::{
        CredentialRecord, OwnCredentials, account_key, credential as credential_identity,
    },
    ids::{AccountId, RequestId},
    key::{ApiKey, KeyHash, KeyKind},
    policy::{Eligible, Settings},
    ports,
    route::Holder,
    time::Timestamp,
    usage::{Opening, Outcome, Record, Tokens},
    vault::{Key, Salt},
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

/// Tests the contract of [`UsageLog`]. The log must have no records of `acc_a` and `acc_b`.
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

/// Tests the contract of [`Accounts`] and of its [`Directory`](super::Directory). The store must be
/// empty.
#[allow(clippy::missing_panics_doc)] // it is what a suite does
pub async fn accounts(store: &dyn Accounts) {
    let (a, b) = (AccountId::from("acc_a"), AccountId::from("acc_b"));
    let at = |n: u64| Timestamp::from_millis(1_800_000_000_000 + n);
    let key = |n: u8, account: &AccountId| KeyRecord {
        hash: hash(n),
        account: account.clone(),
        name: format!("key {n}"),
        created_at: at(u64::from(n)),
        ..KeyRecord::default()
    };
    let find = |n: u8| async move { store.find(&hash(n)).await.expect("the directory answers") };
    let strict = Settings {
        enforce_zdr: true,
        ..Settings::default()
    };

    assert_eq!(store.first_account().await, Ok(None), "nothing is there");
    assert!(
        find(7).await.is_none(),
        "a key that nobody made is not there"
    );
    let created = store.create_account(&a, Settings::default(), at(0), vec![key(7, &a)]);
    assert_eq!(created.await, Ok(()));
    let caller = find(7).await.expect("a key that was made is there at once");
    assert_eq!(
        (&caller.key, &caller.settings),
        (&key(7, &a), &Settings::default())
    );

    let again = store.create_account(&a, strict.clone(), at(1), vec![key(8, &a)]);
    assert!(
        matches!(again.await, Err(StoreError::Conflict(_))),
        "an account is made once"
    );
    let taken = store.create_account(&b, strict.clone(), at(1), vec![key(9, &b), key(7, &b)]);
    assert!(
        matches!(taken.await, Err(StoreError::Conflict(_))),
        "a key is made once"
    );
    assert_eq!(store.account(&b).await, Ok(None), "and all or nothing");
    assert!(find(8).await.is_none() && find(9).await.is_none());
    let created = store.create_account(&b, strict.clone(), at(2), Vec::new());
    assert_eq!(created.await, Ok(()));
    let first = store.first_account().await.expect("accounts can be read");
    assert_eq!(first.map(|f| f.id), Some(a.clone()));

    let orphan = store.add_key(key(9, &AccountId::from("acc_none"))).await;
    assert!(
        matches!(orphan, Err(StoreError::Absent(_))),
        "a key has an account"
    );
    assert_eq!(store.add_key(key(10, &a)).await, Ok(()));
    assert!(find(10).await.is_some(), "a key that was added is there");
    let twice = store.add_key(key(10, &a)).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))));
    let listed = store.keys(&a, at(9)).await.expect("keys can be listed");
    let names: Vec<_> = listed.iter().map(|k| k.record.name.as_str()).collect();
    assert_eq!(names, ["key 7", "key 10"], "the oldest first");
    assert_eq!(store.keys(&b, at(9)).await, Ok(Vec::new()));
    assert_eq!(
        store.key(&hash(7), at(9)).await,
        Ok(Some(StoredKey::unused(key(7, &a))))
    );

    let mut record = key(7, &a);
    let mut version = 1;
    let mut settings_version = 1;
    for round in 0..20 {
        record.revoked = round % 2 == 0;
        let put = store.put_key(record.clone(), version).await;
        let stale = store.put_key(key(7, &a), version).await;
        assert!(
            matches!(stale, Err(StoreError::Conflict(_))),
            "a change from an older version changes nothing"
        );
        version = put.expect("a change from the newest version is made");
        let known = store.key(&hash(7), at(9)).await.expect("keys can be read");
        assert_eq!(known.map(|k| k.version), Some(version));
        assert_eq!(
            find(7).await.map(|c| c.key.revoked),
            Some(record.revoked),
            "a change that was acknowledged holds"
        );
        let settings = Settings {
            enforce_zdr: round % 3 == 0,
            ..Settings::default()
        };
        let put = store.put_settings(&a, settings.clone(), settings_version);
        let put = put.await;
        let stale = store.put_settings(&a, strict.clone(), settings_version);
        assert!(matches!(stale.await, Err(StoreError::Conflict(_))));
        settings_version = put.expect("a change from the newest version is made");
        assert_eq!(
            find(7).await.map(|c| c.settings.clone()),
            Some(settings.clone()),
            "so does a change of settings"
        );
        assert_eq!(find(10).await.map(|c| c.settings.clone()), Some(settings));
    }
    let other = store.account(&b).await.expect("accounts can be read");
    assert_eq!(
        other.map(|b| b.settings),
        Some(strict.clone()),
        "another account has its own"
    );
    let none = AccountId::from("acc_none");
    let nobody = store.put_settings(&none, strict, 1);
    assert!(matches!(nobody.await, Err(StoreError::Absent(_))));
    let nothing = store.put_key(key(99, &a), 1).await;
    assert!(matches!(nothing, Err(StoreError::Absent(_))));
}

/// Tests the contract of [`Limiter`], which must use `clock`.
#[allow(clippy::missing_panics_doc)]
pub async fn limiter(limiter: &dyn Limiter, clock: &ManualClock) {
    let request = |key: KeyHash, limit| async move {
        let room = limiter.request(&key, limit).await;
        room.expect("the limiter answers")
    };
    let reserve = |key: KeyHash, tokens| async move {
        let tokens = limiter.tokens(&key, 100, tokens).await;
        match tokens.expect("the limiter answers") {
            ports::Tokens::Reserved(reservation) => Ok(reservation),
            ports::Tokens::Refused(room) => Err(room),
        }
    };
    let key = hash(1);
    let mut admitted: Vec<Timestamp> = Vec::new();
    for _ in 0..600 {
        if request(key, 5).await.admitted {
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
    let room = request(key, 5).await;
    if !room.admitted {
        clock.advance(room.reset);
        assert!(
            request(key, 5).await.admitted,
            "after `reset` there is room"
        );
    }
    assert!(request(hash(2), 1).await.admitted, "keys do not share room");

    let key = hash(3);
    let first = reserve(key, 80).await.expect("there is room");
    assert!(reserve(key, 30).await.is_err(), "a reservation takes room");
    limiter.settle(&key, first, 10);
    let second = reserve(key, 90).await;
    let second = second.expect("what was not used is room again");
    limiter.settle(&key, second, 200);
    let full = reserve(key, 1).await;
    let full = full.expect_err("what was used beyond the reservation counts");
    clock.advance(full.reset);
    assert!(
        reserve(key, 100).await.is_ok(),
        "after `reset` there is room"
    );
}

/// Tests the contract of [`SealedStore`], on a backend without accounts that also is a directory.
#[allow(clippy::missing_panics_doc)]
pub async fn sealed_store<S: SealedStore + Accounts>(store: &S) {
    let (account, other) = (AccountId::from("acc_sealed"), AccountId::from("acc_other"));
    let at = Timestamp::from_millis(1_800_000_000_000);
    let record = KeyRecord {
        hash: hash(9),
        account: account.clone(),
        ..KeyRecord::default()
    };
    for (id, keys) in [(&account, vec![record]), (&other, Vec::new())] {
        let made = store.create_account(id, Settings::default(), at, keys);
        made.await.expect("an account is created");
    }
    let [old, new, secret] = [1, 2, 3].map(|n| Key::from_random([n; 36]));
    let (key, salt) = (account_key(account.as_str()), Salt::from_random([4; 24]));
    let (first, second) = (old.wrap(&key, &secret, salt), new.wrap(&key, &secret, salt));
    store
        .put_account_key(&account, first.clone())
        .await
        .expect("an account's key is stored");
    assert!(
        matches!(
            store.put_account_key(&account, second.clone()).await,
            Err(StoreError::Conflict(_))
        ),
        "a key is never overwritten"
    );
    let credential = |id: &str, provider: &str, position| CredentialRecord {
        id: id.into(),
        provider: provider.into(),
        label: String::new(),
        preview: "…".to_owned(),
        position,
        disabled: false,
        tier: None,
        terms: None,
        stated_at: None,
        created_at: at,
    };
    let sealed = secret.seal(&credential_identity(account.as_str(), "a"), b"k", salt);
    for (id, provider, position) in [("a", "p", 2), ("b", "o", 0), ("c", "p", 1)] {
        let record = credential(id, provider, position);
        let added = store.add_credential(&account, record, sealed.clone());
        added.await.expect("a credential is added");
    }
    let again = store.add_credential(&account, credential("a", "p", 9), sealed.clone());
    assert!(matches!(again.await, Err(StoreError::Conflict(_))));
    let ids = async || {
        let own = store
            .own_credentials(&account)
            .await
            .expect("they are read");
        let caller = store.find(&hash(9)).await.expect("the directory answers");
        let of_caller = caller.expect("the key is there").own.clone();
        assert_eq!(own.key, of_caller.key, "the directory knows every change");
        let ids = |own: &OwnCredentials| -> Vec<String> {
            own.all.iter().map(|c| c.record.id.to_string()).collect()
        };
        assert_eq!(ids(&own), ids(&of_caller));
        ids(&own)
    };
    assert_eq!(ids().await, ["b", "c", "a"], "by provider and position");
    let elsewhere = store.own_credentials(&other).await.expect("they are read");
    assert!(elsewhere.key.is_none() && elsewhere.all.is_empty());
    let moved = credential("a", "p", 0);
    let put = store.put_credential(&account, moved.clone(), 1).await;
    put.expect("a version that was read is replaced");
    let put = store.put_credential(&account, moved, 1).await;
    assert!(matches!(put, Err(StoreError::Conflict(_))));
    assert_eq!(ids().await, ["b", "a", "c"]);
    assert!(matches!(
        store.remove_credential(&other, "a").await,
        Err(StoreError::Absent(_))
    ));
    let removed = store.remove_credential(&account, "b").await;
    removed.expect("a credential is removed");
    assert_eq!(ids().await, ["a", "c"]);
    let under = store.keys_not_under(new.id(), 10).await;
    assert_eq!(
        under.expect("they are listed"),
        [(account.clone(), first.clone())]
    );
    let replaced = store.replace_account_key(&account, &second, first.clone());
    assert!(matches!(replaced.await, Err(StoreError::Conflict(_))));
    let replaced = store.replace_account_key(&account, &first, second.clone());
    replaced.await.expect("the key is replaced");
    assert_eq!(ids().await, ["a", "c"]);
    let counts = store.keys_by_master().await.expect("they are counted");
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(new.id(), 1)]);
    let left = store.keys_not_under(new.id(), 10).await;
    assert!(left.expect("they are listed").is_empty());
    store.shred(&account).await.expect("the key is destroyed");
    assert_eq!(ids().await, [""; 0]);
    let own = store
        .own_credentials(&account)
        .await
        .expect("they are read");
    assert_eq!(own.key, None);
}

/// Tests the contract of [`Credentials`]. The operator must have `credential` for the provider of
/// `with`, and none for the provider of `without`, which needs one. `only_own` is an endpoint at
/// the provider of `with` that is eligible only with the caller's own credential, which the caller
/// does not have.
#[allow(clippy::missing_panics_doc)]
pub async fn credentials(
    credentials: &dyn Credentials,
    caller: &Caller,
    with: (Eligible<'_>, &str),
    without: Eligible<'_>,
    only_own: Eligible<'_>,
) {
    let (with, credential) = with;
    for caller in [None, Some(caller)] {
        assert_eq!(
            credentials.holder(caller, with.provider()),
            Some(Holder::Operator)
        );
        assert_eq!(credentials.holder(caller, without.provider()), None);
    }
    let opened = credentials.open(caller, with).await;
    let opened = opened.expect("a credential that is there can be opened");
    assert_eq!(
        opened.secret.as_ref().map(|s| s.expose().as_str()),
        Some(credential)
    );
    assert_eq!(opened.own, None);
    let opened = credentials.open(caller, without).await;
    assert!(
        matches!(opened, Err(StoreError::Absent(_))),
        "nothing is sent without the credential that is needed"
    );
    assert_eq!(only_own.provider(), with.provider());
    let opened = credentials.open(caller, only_own).await;
    assert!(
        matches!(opened, Err(StoreError::Absent(_))),
        "the operator's credential is not for what the caller's own terms admit"
    );
}

/// Tests the contract of [`Blocking`].
#[allow(clippy::missing_panics_doc)]
pub fn blocking(blocking: &dyn Blocking) {
    let mut runs = 0;
    blocking.run(&mut || runs += 1);
    assert_eq!(runs, 1, "the work is done, once, when the call returns");
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;
    use crate::{
        catalog::{Catalog, Document},
        policy::{CompiledCatalog, CompiledLayers, Layer, OwnTerms, evaluate},
        ports::memory::{Inline, MemoryCredentials, MemoryDirectory, MemoryLimiter, MemoryLog},
        secret::Secret,
    };

    /// A model at the providers `a` and `b`, of which nothing is known but `terms`.
    fn two_providers(terms: &str) -> Arc<CompiledCatalog> {
        let provider = |slug| {
            format!(
                "[[provider]]\nslug = \"{slug}\"\nprotocol = \"openai_chat\"\nbase_url = \"https://{slug}.example/v1\"\ntier = \"paid\"\nterms = {{ {terms} }}\n"
            )
        };
        let endpoint = |slug| format!("[[model.endpoint]]\nprovider = \"{slug}\"\n");
        let document = format!(
            "{}{}[[model]]\nid = \"lab/model\"\n{}{}",
            provider("a"),
            provider("b"),
            endpoint("a"),
            endpoint("b")
        );
        let document = Document::from_toml(&document).unwrap();
        let catalog = Catalog::from_documents(&[document]).unwrap();
        Arc::new(CompiledCatalog::new(Arc::new(catalog)))
    }

    /// Memory never waits: what it is asked is ready at the first poll.
    fn run(suite: impl Future<Output = ()>) {
        assert_eq!(
            pin!(suite).poll(&mut Context::from_waker(Waker::noop())),
            Poll::Ready(())
        );
    }

    #[test]
    fn the_backends_in_memory_conform() {
        run(usage_log(Arc::new(MemoryLog::default())));
        run(accounts(&MemoryDirectory::default()));
        run(sealed_store(&MemoryDirectory::default()));
        blocking(&Inline);
        run(async {
            let catalog = two_providers("");
            let contract = two_providers(
                "trains_on_paid = false, trains_on_free = false, publishes_free = false",
            );
            let stated = &contract.catalog().endpoints()[0];
            let layers = CompiledLayers::new(catalog.clone(), Vec::new());
            let own = CompiledLayers::with_own_terms(
                catalog,
                vec![(Layer::Account, Settings::default().restriction())],
                &[OwnTerms {
                    provider: stated.provider.clone(),
                    tier: stated.tier,
                    terms: Some(stated.terms.clone()),
                }],
                false,
            );
            let only_own = evaluate(&own, &[], 0);
            let decision = evaluate(&layers, &[], 0);
            let endpoints: Vec<_> = decision.eligible().collect();
            let store = MemoryCredentials::default().with("a", Secret::new("k".to_owned()));
            let caller = Caller::new(KeyRecord::default(), Settings::default());
            let (with, without) = ((endpoints[0], "k"), endpoints[1]);
            credentials(
                &store,
                &caller,
                with,
                without,
                only_own.eligible().next().unwrap(),
            )
            .await;
        });
        let clock = ManualClock::new(Timestamp::from_millis(1_800_000_000_000));
        run(limiter(
            &MemoryLimiter::new(Arc::new(clock.clone())),
            &clock,
        ));
    }
}
