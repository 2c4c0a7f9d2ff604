//! What all detectors share: how they hook a kernel function, and why they may not be able to.

use std::fmt;

use anyhow::{Context, Result};
use libbpf_rs::{Link, OpenProgramMut, ProgramMut};
use thiserror::Error;

use super::DetectorState;

/// Why a detector does not run, in words a user can act on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct Unavailable {
    /// What is missing.
    pub reason: String,
}

impl From<Unavailable> for DetectorState {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable {
            reason: unavailable.reason,
        }
    }
}

/// How a kernel function is hooked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookKind {
    /// Through the function tracer: the cheapest; needs `CONFIG_FUNCTION_TRACER` and BTF.
    Fentry,
    /// Through a breakpoint or its optimised form; needs `CONFIG_KPROBES`.
    Kprobe,
}

impl HookKind {
    /// Every way, the cheapest first.
    pub const BY_COST: &'static [Self] = &[Self::Fentry, Self::Kprobe];

    /// Chooses the program for this way out of the two, and gives it its target.
    pub(super) fn prepare(
        self,
        fentry: &mut OpenProgramMut<'_>,
        kprobe: &mut OpenProgramMut<'_>,
        function: &str,
    ) -> Result<()> {
        match self {
            Self::Fentry => {
                fentry.set_autoload(true);
                fentry.set_attach_target(0, Some(function.to_owned()))?;
            }
            Self::Kprobe => kprobe.set_autoload(true),
        }
        Ok(())
    }

    /// Attaches the program chosen by [`Self::prepare`].
    pub(super) fn attach(
        self,
        fentry: &ProgramMut<'_>,
        kprobe: &ProgramMut<'_>,
        function: &str,
    ) -> Result<Link> {
        let link = match self {
            Self::Fentry => fentry.attach_trace(),
            Self::Kprobe => kprobe.attach_kprobe(false, function),
        };
        link.with_context(|| format!("cannot attach to {function}"))
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
        })
    }
}
