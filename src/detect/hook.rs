//! What all detectors share: how they hook a kernel function, and why they may not be able to.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use libbpf_rs::{Link, OpenProgramMut, ProgramMut};
use thiserror::Error;

use super::DetectorState;
use super::cost::{Cost, Meter};
use super::evidence::Evidence;

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

/// The hooks of one loaded BPF object.
#[derive(Debug)]
pub(super) struct InUse {
    pub(super) meter: Meter,
    pub(super) _links: Vec<Link>,
}

/// The tracepoints of one BPF object that only the game's threads concern, on paths that are busy
/// without a game, too: in use while there is a game, and out of the kernel otherwise.
#[derive(Debug)]
pub(super) struct GameHooks {
    names: &'static str,
    attach: fn(&Evidence) -> Result<InUse>,
    in_use: Option<InUse>,
    failure: Option<String>,
}

impl GameHooks {
    /// Tries once whether `attach` works here: to know only when a game has come would be late.
    pub(super) fn try_out(
        names: &'static str,
        attach: fn(&Evidence) -> Result<InUse>,
        evidence: &Evidence,
    ) -> Self {
        let mut hooks = Self {
            names,
            attach,
            in_use: None,
            failure: None,
        };
        hooks.set_wanted(true, evidence);
        hooks.follow(evidence);
        hooks
    }

    /// Hooks if there is a game, unhooks if there is none.
    pub(super) fn follow(&mut self, evidence: &Evidence) {
        self.set_wanted(evidence.has_game(), evidence);
    }

    fn set_wanted(&mut self, wanted: bool, evidence: &Evidence) {
        if !wanted {
            self.in_use = None;
        } else if self.in_use.is_none() {
            match (self.attach)(evidence) {
                Ok(in_use) => (self.in_use, self.failure) = (Some(in_use), None),
                Err(error) => self.failure = Some(format!("{error:#}")),
            }
        }
    }

    /// What the hooks have cost since the game came.
    pub(super) fn cost(&self) -> Cost {
        self.in_use
            .as_ref()
            .map(|in_use| in_use.meter.cost())
            .unwrap_or_default()
    }

    pub(super) fn state(&self) -> DetectorState {
        match &self.failure {
            None => DetectorState::Active {
                hook: format!("{}; while there is a game", self.names),
            },
            Some(reason) => DetectorState::Unavailable {
                reason: reason.clone(),
            },
        }
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
    in_use: InUse,
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
        attach: impl Fn(&'static str, HookKind) -> Result<InUse>,
    ) {
        self.failures.clear();
        for function in functions {
            let is_hooked = |one: &Attached| one.function == function.name;
            if self.attached.iter().any(is_hooked) || !function.is_loaded() {
                continue;
            }
            match first_that_works(self.ways, |how| attach(function.name, how)) {
                Ok((how, in_use)) => self.attached.push(Attached {
                    function: function.name,
                    how,
                    in_use,
                }),
                Err(why) => self
                    .failures
                    .push(format!("cannot hook {}: {why}", function.name)),
            }
        }
    }

    /// Takes out the hooks of all other functions.
    pub(super) fn keep(&mut self, is_wanted: impl Fn(&str) -> bool) {
        self.attached.retain(|one| is_wanted(one.function));
    }

    /// What all of them have cost.
    pub(super) fn cost(&self) -> Cost {
        let all = self.attached.iter();
        all.map(|one| one.in_use.meter.cost()).sum()
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
    attach: impl Fn(HookKind) -> Result<InUse>,
) -> Result<(HookKind, InUse), String> {
    let mut failures = Vec::new();
    for &how in ways {
        match attach(how) {
            Ok(in_use) => return Ok((how, in_use)),
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
