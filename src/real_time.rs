//! Threads that no sched_ext scheduler gets: those of the real-time and the deadline class.
#![allow(unsafe_code)]

use log::warn;
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use procfs::process::Stat;

/// How such a thread is shown.
pub const NOT_OURS: &str = "RT, not ours";

/// `SCHED_FIFO`, `SCHED_RR` and `SCHED_DEADLINE` (include/uapi/linux/sched.h).
const POLICIES: [u32; 3] = [1, 2, 6];

/// The lowest priority of the real-time class.
const PRIORITY: libc::c_int = 1;

/// The calling thread in the real-time class, until this is dropped: a turn that no other thread's load can
/// keep waiting.
#[must_use]
pub struct Turn(());

impl Turn {
    /// # Errors
    /// Without `CAP_SYS_NICE` and without [`permit`].
    pub fn begin() -> nix::Result<Self> {
        set_policy(libc::SCHED_FIFO, PRIORITY).map(Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Needs no right.
        if let Err(error) = set_policy(libc::SCHED_OTHER, 0) {
            warn!("cannot leave the real-time class: {error}");
        }
    }
}

/// Lets this process have a [`Turn`] without `CAP_SYS_NICE`.
///
/// # Errors
/// Without `CAP_SYS_RESOURCE`, unless the limit was raised before.
pub fn permit() -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_RTPRIO, PRIORITY as u64, PRIORITY as u64)
}

fn set_policy(policy: libc::c_int, sched_priority: libc::c_int) -> nix::Result<()> {
    let param = libc::sched_param { sched_priority };
    // SAFETY: the kernel reads one valid struct; 0 is the calling thread.
    Errno::result(unsafe { libc::sched_setscheduler(0, policy, &raw const param) }).map(drop)
}

/// Whether the thread with this `stat` is one.
#[must_use]
pub fn is_real_time(stat: &Stat) -> bool {
    stat.policy.is_some_and(|policy| POLICIES.contains(&policy))
}
