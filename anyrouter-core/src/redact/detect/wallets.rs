//! The checksums of cryptocurrency addresses.

use crate::part::Part as _;

use sha2::{Digest, Sha256};

/// Returns true for Base58 with a checksum of four bytes of a double SHA-256 (the addresses of
/// Bitcoin and related currencies).
pub(super) fn base58check(text: &[u8]) -> bool {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    const RIPPLE: &[u8; 58] = b"rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz";
    if text.iter().any(|b| matches!(b, b'0' | b'O' | b'I' | b'l')) {
        return false;
    }
    let decode = |alphabet: &[u8; 58]| {
        let mut bytes = [0_u8; 25];
        for c in text {
            let mut carry = alphabet.iter().position(|a| a == c)?;
            for byte in bytes.iter_mut().rev() {
                carry += usize::from(*byte) * 58;
                *byte = (carry & 0xff) as u8;
                carry >>= 8;
            }
            if carry != 0 {
                return None;
            }
        }
        let (body, check) = bytes.split_at(21);
        let hash = Sha256::digest(Sha256::digest(body));
        Some(hash.starts_with(check))
    };
    decode(ALPHABET) == Some(true) || (text.first() == Some(&b'r') && decode(RIPPLE) == Some(true))
}

/// Returns true for Bech32 or Bech32m (BIP 173, BIP 350).
pub(super) fn is_bech32(token: &[u8]) -> bool {
    const ALPHABET: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let Some(one) = token.iter().rposition(|b| *b == b'1') else {
        return false;
    };
    let (human, data) = (token.part(..one), token.part(one + 1..));
    if human.is_empty()
        || human.len() > 10
        || data.len() < 8
        || token.iter().any(u8::is_ascii_uppercase)
    {
        return false;
    }
    let step = |check: u32, value: u32| {
        let top = check >> 25;
        let next = (check & 0x01ff_ffff) << 5 ^ value;
        [
            0x3b6a_57b2,
            0x2650_8e6d,
            0x1ea1_19fa,
            0x3d42_33dd,
            0x2a14_62b3,
        ]
        .iter()
        .enumerate()
        .fold(next, |n, (i, g)| if top >> i & 1 == 1 { n ^ g } else { n })
    };
    let spread = human
        .iter()
        .map(|b| u32::from(b >> 5))
        .chain([0])
        .chain(human.iter().map(|b| u32::from(b & 31)));
    let head = spread.fold(1, step);
    let values = data
        .iter()
        .map(|b| ALPHABET.iter().position(|a| a == b).map(|v| v as u32));
    let Some(check) = values.into_iter().try_fold(head, |c, v| Some(step(c, v?))) else {
        return false;
    };
    check == 1 || check == 0x2bc8_30a3
}
