//! Sixty-four bytes of a string at once: which end it, which are escaped, which may not stand
//! there. Text full of escapes costs no more than text without (after Langdale and Lemire, *Parsing
//! gigabytes of JSON per second*, VLDB Journal 2019, 3.1.1).

use wide::u8x16;

/// The bytes of a block.
pub(super) const LEN: usize = 64;

/// Bytes of a block, the first one in the lowest bit.
type Set = u64;

/// What stands in a block that begins within a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Quotes that are not escaped.
    pub(super) ends: Set,
    /// Control characters, and what may not follow a backslash.
    pub(super) faults: Set,
    /// Each `u` of an escape by number.
    pub(super) numbers: Set,
    /// The block's last byte is a backslash that escapes what follows the block.
    pub(super) escapes_next: bool,
}

impl Block {
    /// Looks at a block whose first byte is escaped or not.
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

/// The bytes for which `test` gives ones.
fn set(bytes: &[u8; LEN], test: impl Fn(u8x16) -> u8x16) -> Set {
    let (quarters, _) = bytes.as_chunks::<16>();
    quarters.iter().rev().fold(0, |found, quarter| {
        found << 16 | Set::from(test(u8x16::new(*quarter)).to_bitmask())
    })
}

/// The bytes that a backslash escapes, and whether the last byte escapes what follows. In a run of
/// backslashes each second one is escaped: a subtraction carries through runs that begin at odd
/// places differently from those at even ones.
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
