//! Default memory limit of bodies: a quarter of the memory of the machine or container.

use std::fs;

/// Assumed memory of a machine whose memory cannot be read, in bytes.
const UNKNOWN: u64 = 4 << 30;
/// Minimum and maximum of the limit, in bytes.
const LEAST: u64 = 64 << 20;
const MOST: u64 = 64 << 30;

/// Returns the default limit, in bytes.
pub(super) fn share() -> usize {
    let read = |path: &str| fs::read_to_string(path).ok();
    // Limits of control groups, versions 2 and 1. The value for no limit exceeds any machine's
    // memory.
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
