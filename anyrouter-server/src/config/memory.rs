//! The memory that bodies may have where the operator does not say: a quarter of what the machine,
//! or the container, has.

use std::fs;

/// Where nothing can be read of the machine.
const UNKNOWN: u64 = 4 << 30;
/// The least and the most that bodies get, in bytes.
const LEAST: u64 = 64 << 20;
const MOST: u64 = 64 << 30;

/// The share, in bytes.
pub(super) fn share() -> usize {
    let read = |path: &str| fs::read_to_string(path).ok();
    // The limits of control groups, version 2 and 1; a number that is no limit is larger than any
    // machine.
    let container = read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"));
    let container = container.and_then(|text| text.trim().parse::<u64>().ok());
    let machine = read("/proc/meminfo").as_deref().and_then(total);
    let whole = container
        .into_iter()
        .chain(machine)
        .min()
        .unwrap_or(UNKNOWN);
    usize::try_from((whole / 4).clamp(LEAST, MOST)).unwrap_or(usize::MAX)
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_a_quarter_of_the_machine_within_bounds() {
        assert_eq!(
            total("MemFree: 1 kB\nMemTotal:       16384000 kB\n"),
            Some(16_384_000 * 1024)
        );
        assert_eq!(total("x"), None);
        assert!((LEAST as usize..=MOST as usize).contains(&share()));
    }
}
