//! What all detectors share: how they hook a kernel function, and why they may not be able to.

use std::fmt;
use std::path::Path;

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

/// A kernel function, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Function {
    /// Its name.
    pub(super) name: &'static str,
    /// The module it is in; none for the kernel itself.
    pub(super) module: Option<&'static str>,
}

impl Function {
    /// Whether the module is there; one that was built in usually shows up as well.
    fn is_loaded(&self) -> bool {
        self.module
            .is_none_or(|module| Path::new("/sys/module").join(module).exists())
    }
}

/// A function in use. Detaches on drop; until then its module cannot be removed.
#[derive(Debug)]
struct Attached {
    function: &'static str,
    how: HookKind,
    _links: Vec<Link>,
}

/// The hooks of one detector: those in use, and why others are not.
#[derive(Debug)]
pub(super) struct Hooks {
    ways: &'static [HookKind],
    attached: Vec<Attached>,
    failures: Vec<String>,
}

impl Hooks {
    /// None yet; they are to be attached in the first of `ways` that works.
    pub(super) fn new(ways: &'static [HookKind]) -> Self {
        Self {
            ways,
            attached: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Hooks those of `functions` that are there and not hooked yet, with `attach`.
    pub(super) fn attach_missing(
        &mut self,
        functions: impl IntoIterator<Item = Function>,
        attach: impl Fn(&'static str, HookKind) -> Result<Vec<Link>>,
    ) {
        self.failures.clear();
        for function in functions {
            let is_hooked = |one: &Attached| one.function == function.name;
            if self.attached.iter().any(is_hooked) || !function.is_loaded() {
                continue;
            }
            match first_that_works(self.ways, |how| attach(function.name, how)) {
                Ok((how, links)) => self.attached.push(Attached {
                    function: function.name,
                    how,
                    _links: links,
                }),
                Err(why) => self
                    .failures
                    .push(format!("cannot hook {}: {why}", function.name)),
            }
        }
    }

    /// The hooks in use and the failures, or which of `modules` would bring a hook.
    pub(super) fn state(&self, modules: &[&str]) -> DetectorState {
        if !self.attached.is_empty() {
            let hooks = self.attached.iter();
            let hooks = hooks.map(|one| format!("{}/{}", one.how, one.function));
            let all: Vec<_> = hooks.chain(self.failures.iter().cloned()).collect();
            return DetectorState::Active {
                hook: all.join(", "),
            };
        }
        let reason = if self.failures.is_empty() {
            format!(
                "no module of these is loaded: {}; that is fine until something uses one",
                modules.join(", ")
            )
        } else {
            self.failures.join("; ")
        };
        DetectorState::Unavailable { reason }
    }
}

fn first_that_works(
    ways: &[HookKind],
    attach: impl Fn(HookKind) -> Result<Vec<Link>>,
) -> Result<(HookKind, Vec<Link>), String> {
    let mut failures = Vec::new();
    for &how in ways {
        match attach(how) {
            Ok(links) => return Ok((how, links)),
            Err(error) => failures.push(format!("{how}: {error:#}")),
        }
    }
    Err(failures.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_hook_the_modules_are_named_and_with_a_failure_the_failure() {
        let mut hooks = Hooks::new(HookKind::BY_COST);
        let state = hooks.state(&["evdev", "hid"]).to_string();
        assert!(state.contains("unavailable: no module"), "{state}");
        assert!(state.contains("evdev, hid;"), "{state}");
        let function = Function {
            name: "it",
            module: None,
        };
        hooks.attach_missing([function], |_, _| anyhow::bail!("no reason"));
        let state = hooks.state(&[]).to_string();
        let expected = "unavailable: cannot hook it: fentry: no reason; kprobe: no reason";
        assert_eq!(state, expected);
    }
}
