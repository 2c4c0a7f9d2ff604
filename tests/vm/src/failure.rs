//! What can go wrong on the host side, and the exit code that `vmrun` gives for each kind.

use std::path::Path;

/// A failure of the harness itself; a command that ran and failed is not one.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request makes no sense (a shape that does not multiply out, an unknown kernel word).
    #[error("{0}")]
    Usage(String),
    /// Something is not installed or cannot be had; the text says what to do.
    #[error("{0}")]
    Missing(String),
    /// The VM ended without a result: a panic, a power-off by the command, a failed boot.
    #[error("the VM ended without a result; its last console lines:\n{console}")]
    NoResult {
        /// Tail of the guest's serial console and of QEMU's own messages.
        console: String,
    },
    /// The wall-clock limit passed and the VM was ended.
    #[error("no result within {seconds} s; the VM was ended; its last console lines:\n{console}")]
    TimedOut {
        /// The limit in host seconds.
        seconds: u64,
        /// Tail of the guest's serial console.
        console: String,
    },
    /// SIGINT or SIGTERM arrived and the VM was ended.
    #[error("interrupted; the VM was ended")]
    Interrupted,
    /// The operating system refused something the harness needs.
    #[error("{0:#}")]
    Host(#[from] anyhow::Error),
}

impl Failure {
    /// Exit code of `vmrun` for this failure: 2, 96 (missing), 97, 98 (host), 124 or 130.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Missing(_) => 96,
            Self::NoResult { .. } => 97,
            Self::Host(_) => 98,
            Self::TimedOut { .. } => 124,
            Self::Interrupted => 130,
        }
    }

    /// An operating system error with the path it is about.
    pub(crate) fn at(path: &Path, error: std::io::Error) -> Self {
        Self::Host(anyhow::Error::new(error).context(path.display().to_string()))
    }
}

/// Result of everything that the harness does.
pub type Result<T> = std::result::Result<T, Failure>;
