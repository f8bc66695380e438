//! Benchmark of the vault: a credential sealed and opened, with and without the account's key.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use anyrouter_core::vault::{Identity, Key, KeyRing, Salt};
use criterion::{Criterion, criterion_group, criterion_main};

fn vault(c: &mut Criterion) {
    let ring = KeyRing::new(Key::from_random([1; 36]), [2; 32]);
    let (key, salt) = (Key::from_random([3; 36]), Salt::from_random([4; 24]));
    let account = Identity::new("account-key", &["acc_0123456789abcdef"]);
    let wrapped = ring.current().wrap(&account, &key, salt);
    let row = Identity::new(
        "credential",
        &["acc_0123456789abcdef", "byok_0123456789abcdef"],
    );
    let plain = [7; 100];
    let sealed = key.seal(&row, &plain, salt);
    let mut group = c.benchmark_group("vault");
    group.bench_function("seal 100 bytes", |b| {
        b.iter(|| key.seal(black_box(&row), &plain, salt));
    });
    group.bench_function("open 100 bytes", |b| {
        b.iter(|| key.open(black_box(&row), &sealed).unwrap());
    });
    group.bench_function("open a credential, with the account's key", |b| {
        b.iter(|| {
            let key = ring
                .key(wrapped.key_id())
                .unwrap()
                .unwrap(&account, &wrapped);
            key.unwrap().open(black_box(&row), &sealed).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, vault);
criterion_main!(benches);
