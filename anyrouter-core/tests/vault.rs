//! The vault's format, by examples that other programs can open: `tests/vault/vectors.json`, which
//! `scripts/test-vault` opens with Python. `UPDATE_GOLDEN=1` writes them anew.
#![allow(clippy::disallowed_methods, clippy::expect_used, clippy::unwrap_used)] // examples are a file

use std::{fs, path::PathBuf};

use anyrouter_core::vault::{Identity, Key, Salt, Sealed};
use serde_json::{Value, json};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let digits = hex.as_str().unwrap().as_bytes().chunks(2);
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

fn vectors() -> Value {
    let rising =
        |from: u8| -> [u8; 36] { std::array::from_fn(|i| from + u8::try_from(i).unwrap()) };
    let salt = |from: u8| -> [u8; 24] { std::array::from_fn(|i| from + u8::try_from(i).unwrap()) };
    let of = |key: [u8; 36], parts: &[&str], plain: &[u8], salt: [u8; 24]| {
        let identity = Identity::new(parts[0], &parts[1..]);
        let sealed = Key::from_random(key).seal(&identity, plain, Salt::from_random(salt));
        json!({"key_id": hex(&key[..4]), "key": hex(&key[4..]), "identity": parts, "plain": hex(plain), "sealed": hex(sealed.bytes())})
    };
    json!([
        of(
            rising(0),
            &["credential", "acc_1", "byok_1"],
            b"sk-secret",
            salt(100)
        ),
        of(rising(7), &["account-key", "acc_1"], &rising(50), salt(3)),
        of(rising(9), &["credential", "acc_é", ""], b"", salt(200)),
        of([0; 36], &["x"], &[0xff; 200], [0; 24]),
    ])
}

#[test]
fn the_format_is_that_of_the_examples() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vault/vectors.json");
    let made = vectors();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{made:#}\n")).unwrap();
    }
    let kept: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(kept, made, "rows that are stored would not open any more");
    for vector in kept.as_array().unwrap() {
        let key = [bytes(&vector["key_id"]), bytes(&vector["key"])].concat();
        let parts: Vec<&str> = vector["identity"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part.as_str().unwrap())
            .collect();
        let identity = Identity::new(parts[0], &parts[1..]);
        let sealed = Sealed::from_bytes(bytes(&vector["sealed"])).unwrap();
        let key = Key::from_random(key.try_into().unwrap());
        let opened = key.open(&identity, &sealed).unwrap();
        assert_eq!(*opened.expose(), bytes(&vector["plain"]));
    }
}
