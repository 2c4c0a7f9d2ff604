//! Errors on which a caller branches, and the exit code each one ends in.
//!
//! Everything else travels as `anyhow::Error` and ends in [`ExitCode::Failure`].

use std::path::PathBuf;
use std::process;

use crate::config::ConfigError;
use crate::detect::game::GameError;
use crate::topology::TopologyError;

/// What the process tells its parent. The systemd unit does not restart on the codes from 2 up:
/// trying again would not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Ended as asked.
    Success = 0,
    /// Failed while running; a new start may help.
    Failure = 1,
    /// Options that are wrong (clap uses the same code).
    Usage = 2,
    /// Not possible on this kernel.
    Unsupported = 3,
    /// Not permitted to this user.
    NotPermitted = 4,
    /// Another sched_ext scheduler is attached.
    Occupied = 5,
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

impl ExitCode {
    /// The code for an error: that of the first [`Error`], [`ConfigError`], [`GameError`] or
    /// [`TopologyError`] in its chain.
    pub fn of(error: &anyhow::Error) -> Self {
        error
            .chain()
            .find_map(|cause| {
                let typed = cause.downcast_ref::<Error>().map(Error::exit_code);
                let typed =
                    typed.or_else(|| cause.is::<TopologyError>().then_some(Self::Unsupported));
                let wrong_option = cause.is::<ConfigError>() || cause.is::<GameError>();
                typed.or(wrong_option.then_some(Self::Usage))
            })
            .unwrap_or(Self::Failure)
    }
}

/// What is wrong, in one line, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `/sys/kernel/sched_ext` is missing.
    #[error(
        "this kernel has no sched_ext: boot a kernel of version 6.12 or later that is built with CONFIG_SCHED_CLASS_EXT=y"
    )]
    NoSchedExt,
    /// The kernel's type information cannot be used.
    #[error(
        "this kernel's BTF is malformed ({detail}): no sched_ext scheduler can load; boot another build of the kernel"
    )]
    MalformedBtf {
        /// What is wrong with it.
        detail: String,
    },
    /// Loading a scheduler needs more rights.
    #[error("loading a scheduler needs root: start it with sudo, or as the systemd service")]
    NotPermitted,
    /// There can be only one.
    #[error(
        "another sched_ext scheduler is attached ({name}): stop it first; if it is scx_gamer, watch it with --monitor 1"
    )]
    Occupied {
        /// Its name, from `/sys/kernel/sched_ext/root/ops`.
        name: String,
    },
    /// Nothing listens on the statistics socket.
    #[error("no running scx_gamer found ({} does not answer): start one first", .path.display())]
    NoDaemon {
        /// The socket.
        path: PathBuf,
    },
    /// The statistics socket belongs to root.
    #[error("{} may only be read by root: use sudo", .path.display())]
    SocketNotPermitted {
        /// The socket.
        path: PathBuf,
    },
    /// What listens does not speak our statistics.
    #[error(
        "{} is answered by another scheduler or by another version of scx_gamer ({detail}): watch it with its own client",
        .path.display()
    )]
    ForeignDaemon {
        /// The socket.
        path: PathBuf,
        /// What was not understood.
        detail: String,
    },
}

impl Error {
    /// The code with which the process ends.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) => ExitCode::Usage,
            Self::NoSchedExt | Self::MalformedBtf { .. } => ExitCode::Unsupported,
            Self::NotPermitted | Self::SocketNotPermitted { .. } => ExitCode::NotPermitted,
            Self::Occupied { .. } => ExitCode::Occupied,
            Self::NoDaemon { .. } | Self::ForeignDaemon { .. } => ExitCode::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn code_survives_context() {
        let error = Err::<(), _>(Error::Occupied {
            name: "scx_rusty".into(),
        })
        .context("cannot attach")
        .expect_err("is an error");
        assert_eq!(ExitCode::of(&error), ExitCode::Occupied);
        let config = ConfigError::SliceMinAboveSlice {
            min_us: 2,
            max_us: 1,
        };
        assert_eq!(ExitCode::of(&anyhow!(config)), ExitCode::Usage);
    }

    #[test]
    fn unknown_error_is_a_runtime_failure() {
        assert_eq!(ExitCode::of(&anyhow!("disk on fire")), ExitCode::Failure);
    }
}
