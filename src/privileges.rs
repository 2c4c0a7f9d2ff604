//! The rights the daemon keeps. It starts as root; of what root may do it needs little.

use anyhow::{Context, Result};
use caps::{CapSet, Capability, CapsHashSet};

/// What is needed for as long as the daemon runs, as it may have to load its programs again:
/// - `CAP_SYS_ADMIN`, `CAP_BPF`, `CAP_PERFMON`: BPF programs, their hooks, their run time;
/// - `CAP_SYS_PTRACE`, `CAP_DAC_READ_SEARCH`: reading other users' entries of `/proc`, where a game
///   tells that it is one.
pub const NEEDED: [Capability; 5] = [
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_PTRACE,
    Capability::CAP_DAC_READ_SEARCH,
];

/// Gives up every other capability, for this thread and all it starts: call it before any thread.
///
/// # Errors
/// If the kernel refuses.
pub fn drop_unneeded() -> Result<()> {
    let permitted = caps::read(None, CapSet::Permitted).context("cannot read the capabilities")?;
    let kept: CapsHashSet = NEEDED
        .into_iter()
        .filter(|capability| permitted.contains(capability))
        .collect();
    // A set may only hold what the permitted set holds: that one shrinks last.
    for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        let kept = match set {
            CapSet::Inheritable => CapsHashSet::new(),
            _ => kept.clone(),
        };
        caps::set(None, set, &kept).with_context(|| format!("cannot shrink the {set:?} set"))?;
    }
    Ok(())
}
