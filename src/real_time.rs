//! Threads that no sched_ext scheduler gets: those of the real-time and the deadline class.

use procfs::process::Stat;

/// How such a thread is shown.
pub const NOT_OURS: &str = "RT, not ours";

/// `SCHED_FIFO`, `SCHED_RR` and `SCHED_DEADLINE` (include/uapi/linux/sched.h).
const POLICIES: [u32; 3] = [1, 2, 6];

/// Whether the thread with this `stat` is one.
#[must_use]
pub fn is_real_time(stat: &Stat) -> bool {
    stat.policy.is_some_and(|policy| POLICIES.contains(&policy))
}
