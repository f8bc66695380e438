//! Benchmark of authenticating a caller among 100,000 keys: in memory, and in the server's database
//! after the first use of a key.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    hint::black_box,
    pin::pin,
    task::{Context, Poll, Waker},
};

use anyrouter_core::{
    account::KeyRecord,
    key::{ApiKey, KeyKind, Scope},
    policy::Settings,
    ports::{Accounts as _, Directory, memory::MemoryDirectory},
    time::Timestamp,
};
use anyrouter_server::storage::Database;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

const KEYS: u32 = 100_000;

fn key(n: u32) -> ApiKey {
    let mut bits = [7; 32];
    bits[..4].copy_from_slice(&n.to_le_bytes());
    ApiKey::from_random(KeyKind::Inference, bits)
}

fn record(n: u32) -> KeyRecord {
    let mut record = KeyRecord::default();
    (record.hash, record.account, record.scopes) = (
        key(n).hash(),
        "acc".into(),
        Scope::defaults(KeyKind::Inference),
    );
    record
}

/// Authenticates a request: parses and hashes the key, and looks up the hash.
fn verify(directory: &dyn Directory, sent: &str, now: Timestamp) -> bool {
    let key = ApiKey::parse(sent).unwrap();
    let hash = key.hash();
    let mut found = pin!(directory.find(&hash));
    loop {
        if let Poll::Ready(caller) = found.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return caller.unwrap().is_some_and(|c| {
                c.key.check(now).is_ok() && c.key.scopes.contains(&Scope::Inference)
            });
        }
        std::thread::yield_now();
    }
}

fn keys(c: &mut Criterion) {
    let sent: Vec<String> = (0..KEYS).map(|n| key(n).reveal().to_owned()).collect();
    let now = Timestamp::from_millis(1);
    let memory = MemoryDirectory::default();
    (0..KEYS).for_each(|n| memory.put_key(record(n)));

    let folder = tempfile::tempdir().unwrap();
    let (database, _table) = Database::open(folder.path(), &mut |_| {}).unwrap();
    let account = "acc".into();
    let mut made =
        pin!(database.create_account(&account, Settings::default(), now, vec![record(0)]));
    while made
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
    {
        std::thread::yield_now();
    }
    let mut rows = rusqlite::Connection::open(folder.path().join("anyrouter.db")).unwrap();
    let transaction = rows.transaction().unwrap();
    for n in 1..KEYS {
        let (record, insert) = (
            record(n),
            "INSERT INTO key (hash, account, created_at, record) VALUES (?1, 'acc', 1, ?2)",
        );
        transaction
            .prepare_cached(insert)
            .unwrap()
            .execute((
                record.hash.as_bytes().as_slice(),
                serde_json::to_string(&record).unwrap(),
            ))
            .unwrap();
    }
    transaction.commit().unwrap();

    let mut group = c.benchmark_group("key");
    group.bench_function("read and hash", |b| {
        b.iter(|| ApiKey::parse(black_box(&sent[0])).unwrap().hash());
    });
    for (name, directory) in [
        ("verify among 100,000 in memory", &memory as &dyn Directory),
        ("verify among 100,000 in the database", &database),
    ] {
        assert!(
            sent.iter().all(|key| verify(directory, key, now)),
            "each is known"
        );
        let mut n = 0;
        group.bench_function(name, |b| {
            // The stride visits all keys, and never two neighbours in a row. The text is created
            // outside the measured time, because a real one was just read from a socket.
            let next = || {
                n = (n + 61_681) % sent.len();
                sent[n].clone()
            };
            b.iter_batched(
                next,
                |key| assert!(verify(directory, &key, now)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, keys);
criterion_main!(benches);
