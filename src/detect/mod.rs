//! Detectors: what each thread is for, learnt from what it does in the kernel.
//!
//! One file per detector, or a row of [`actor`]'s table. Each has its own BPF object, is loaded
//! separately, and may be missing: that costs its signal, never the scheduler. What they learn is
//! shared through [`evidence::Evidence`].

pub mod actor;
pub mod evidence;
pub mod game;
pub mod hook;
pub mod input;
pub mod process;

use std::fmt;

/// Whether a detector works here, for the log, the monitor and `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectorState {
    /// Attached; names the hook in use.
    Active {
        /// The kernel hook, such as `fentry/input_event`.
        hook: String,
    },
    /// Not attached; the scheduler runs without this signal.
    Unavailable {
        /// What is missing, in words a user can act on.
        reason: String,
    },
}

impl fmt::Display for DetectorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active { hook } => write!(f, "active ({hook})"),
            Self::Unavailable { reason } => write!(f, "unavailable: {reason}"),
        }
    }
}
