//! Who a process descends from, and whether a process is still the one it was.

use super::classify;
use super::snapshot::ProcessSource;

/// How far up the tree is looked.
const ANCESTORS_MAX: usize = 16;

/// Whether the process `pid` is alive and still the one that began at `start_ticks`.
pub(super) fn is_same(source: &impl ProcessSource, pid: u32, start_ticks: u64) -> bool {
    source
        .identity(pid)
        .is_some_and(|identity| identity.start_ticks == start_ticks)
}

/// Whether `is_it` holds for `parent` or one of those above it.
pub(super) fn any_above(
    source: &impl ProcessSource,
    parent: u32,
    is_it: impl Fn(u32) -> bool,
) -> bool {
    let mut pid = parent;
    for _ in 0..ANCESTORS_MAX {
        // 1 adopts whoever loses its parent.
        if pid <= 1 {
            return false;
        }
        if is_it(pid) {
            return true;
        }
        let Some(identity) = source.identity(pid) else {
            return false;
        };
        pid = identity.ppid;
    }
    false
}

/// Whether a gamescope is `parent` or above it, and no Steam client between.
pub(super) fn has_gamescope_above(source: &impl ProcessSource, parent: u32) -> bool {
    let mut pid = parent;
    for _ in 0..ANCESTORS_MAX {
        let Ok(process) = source.snapshot(pid) else {
            return false;
        };
        if classify::is_gamescope(&process) {
            return true;
        }
        if classify::is_steam_client(&process) {
            return false;
        }
        pid = process.ppid;
    }
    false
}
