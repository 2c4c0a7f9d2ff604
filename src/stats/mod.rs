//! Statistics: what is counted, what it means over an interval, and who may ask.
//!
//! [`Snapshot`] is everything that was counted up to one moment; the scheduler's owner takes it.
//! [`Metrics`] is the difference of two snapshots in units for people; computing it is pure.
//! [`StatsServer`] hands metrics to clients, each over its own interval.

mod between;
mod explanation;
mod hist;
mod metrics;
mod server;
mod snapshot;
mod socket;

use std::io::Write;

use anyhow::Result;
use scx_stats::{Meta, StatsServerData};

pub use explanation::{EvidenceExplanation, Explanation, Place, THREADS_MAX, ThreadExplanation};
pub use metrics::{
    DetectorMetrics, DisplayMetrics, GpuIrqMetrics, InputMetrics, LlcMetrics, Metrics, NapiMetrics,
    ProgramMetrics, RoleMetrics,
};
pub use server::{EXPLAIN, EXPLAIN_PID, SOCKET_PATH, StatsServer};
pub use snapshot::{Game, Llc, Program, Snapshot};

use crate::intf;

/// Number of roles.
pub const ROLE_CNT: usize = intf::ROLE_CNT as usize;
/// Places for roles in what the BPF side counts.
pub(crate) const ROLE_SLOT_CNT: usize = intf::ROLE_SLOT_CNT as usize;
/// Number of device classes.
pub const DEVICE_CLASS_CNT: usize = intf::DEVICE_CLASS_CNT as usize;

/// Names of the roles, by `ROLE_*`.
pub const ROLE_NAMES: [&str; ROLE_CNT] = {
    let mut names = [""; ROLE_CNT];
    names[intf::ROLE_INPUT as usize] = "input";
    names[intf::ROLE_GPU as usize] = "gpu";
    names[intf::ROLE_COMPOSITOR as usize] = "compositor";
    names[intf::ROLE_GPU_IRQ as usize] = "gpu irq";
    names[intf::ROLE_AUDIO as usize] = "audio";
    names[intf::ROLE_NETWORK as usize] = "network";
    names[intf::ROLE_STORAGE as usize] = "storage";
    names[intf::ROLE_GAME as usize] = "game";
    names[intf::ROLE_BACKGROUND as usize] = "background";
    names[intf::ROLE_NORMAL as usize] = "normal";
    names
};

/// Names of the device classes, by `DEVICE_*`.
pub const DEVICE_NAMES: [&str; DEVICE_CLASS_CNT] = {
    let mut names = [""; DEVICE_CLASS_CNT];
    names[intf::DEVICE_OTHER as usize] = "other";
    names[intf::DEVICE_KEYBOARD as usize] = "keyboard";
    names[intf::DEVICE_MOUSE as usize] = "mouse";
    names[intf::DEVICE_GAMEPAD as usize] = "gamepad";
    names
};

/// The metrics' descriptions, without anything that answers.
fn described() -> StatsServerData<(), ()> {
    StatsServerData::new()
        .add_meta(Metrics::meta())
        .add_meta(RoleMetrics::meta())
        .add_meta(LlcMetrics::meta())
        .add_meta(InputMetrics::meta())
        .add_meta(DetectorMetrics::meta())
        .add_meta(NapiMetrics::meta())
        .add_meta(DisplayMetrics::meta())
        .add_meta(GpuIrqMetrics::meta())
        .add_meta(ProgramMetrics::meta())
}

/// Writes every metric's name, type and description (`--help-stats`).
///
/// # Errors
/// If `out` cannot be written.
pub fn write_help(out: &mut impl Write) -> Result<()> {
    described().describe_meta(out, None)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::{answer_requests, snapshot};
