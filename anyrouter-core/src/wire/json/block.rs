//! Classification of 64 bytes of a string at once: bytes that end it, escapes, and invalid bytes.
//! Text full of escapes costs no more than text without (after Langdale and Lemire, *Parsing
//! gigabytes of JSON per second*, VLDB Journal 2019, 3.1.1).

use wide::u8x16;

/// Length of a block, in bytes.
pub(super) const LEN: usize = 64;

/// A set of bytes of a block; the lowest bit stands for the first byte.
type Set = u64;

/// The classified bytes of a block that begins within a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Quotes that are not escaped.
    pub(super) ends: Set,
    /// Control characters, and bytes that are invalid after a backslash.
    pub(super) faults: Set,
    /// The `u` of each escape by code point (`\u0041`).
    pub(super) numbers: Set,
    /// True if the block's last byte is a backslash that escapes the byte after the block.
    pub(super) escapes_next: bool,
}

impl Block {
    /// Classifies a block; `is_escaped` is true if its first byte is escaped.
    pub(super) fn new(bytes: &[u8; LEN], is_escaped: bool) -> Self {
        let equal = |byte: u8| set(bytes, |v| v.simd_eq(u8x16::splat(byte)));
        let (quotes, backslashes) = (equal(b'"'), equal(b'\\'));
        let controls = set(bytes, |v| v.min(u8x16::splat(0x1f)).simd_eq(v));
        if backslashes == 0 && !is_escaped {
            return Self {
                ends: quotes,
                faults: controls,
                numbers: 0,
                escapes_next: false,
            };
        }
        let (escaped, escapes_next) = escaped(backslashes, is_escaped);
        let letters = b"/bfnrt"
            .iter()
            .fold(0, |found, letter| found | equal(*letter));
        let numbers = equal(b'u') & escaped;
        let faults = controls | (escaped & !(quotes | backslashes | letters | numbers));
        Self {
            ends: quotes & !escaped,
            faults,
            numbers,
            escapes_next,
        }
    }
}

/// Returns the bytes for which `test` returns ones.
fn set(bytes: &[u8; LEN], test: impl Fn(u8x16) -> u8x16) -> Set {
    let (quarters, _) = bytes.as_chunks::<16>();
    quarters.iter().rev().fold(0, |found, quarter| {
        found << 16 | Set::from(test(u8x16::new(*quarter)).to_bitmask())
    })
}

/// Returns the bytes that a backslash escapes, and true if the last byte escapes the next one. In a
/// run of backslashes, every second one is escaped: a subtraction carries through runs that begin
/// at odd positions differently from those at even ones.
fn escaped(backslashes: Set, first_is_escaped: bool) -> (Set, bool) {
    const ODD: Set = 0xaaaa_aaaa_aaaa_aaaa;
    let first = Set::from(first_is_escaped);
    let free = backslashes & !first;
    let behind = free << 1;
    let codes = (behind | ODD).wrapping_sub(free) ^ ODD;
    (
        codes ^ (backslashes | first),
        codes & backslashes & (1 << (LEN - 1)) != 0,
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same, byte by byte.
    fn plainly(bytes: &[u8; LEN], mut is_escaped: bool) -> Block {
        let mut block = Block {
            ends: 0,
            faults: 0,
            numbers: 0,
            escapes_next: false,
        };
        for (i, byte) in bytes.iter().enumerate() {
            let bit = 1 << i;
            if *byte < 0x20 || (is_escaped && !br#""\/bfnrtu"#.contains(byte)) {
                block.faults |= bit;
            }
            if is_escaped && *byte == b'u' {
                block.numbers |= bit;
            }
            if !is_escaped && *byte == b'"' {
                block.ends |= bit;
            }
            is_escaped = !is_escaped && *byte == b'\\';
        }
        block.escapes_next = is_escaped;
        block
    }

    proptest! {
        #[test]
        fn a_block_is_what_its_bytes_are_one_by_one(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\\'), Just(b'\\'), Just(b'"'), Just(b'u'), 0x1eu8..0x22], LEN),
            is_escaped in any::<bool>(),
        ) {
            let bytes: [u8; LEN] = bytes.try_into().unwrap();
            prop_assert_eq!(Block::new(&bytes, is_escaped), plainly(&bytes, is_escaped));
        }
    }
}
