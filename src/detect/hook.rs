//! What all detectors share: how they hook a kernel function, and why they may not be able to.

use std::collections::BTreeSet;
use std::fmt;
use std::mem::MaybeUninit;
use std::path::Path;

use anyhow::{Context, Result};
use libbpf_rs::{Link, OpenObject, OpenProgramMut, ProgramMut};
use thiserror::Error;

use super::cost::{Cost, Meter};
use super::evidence::Evidence;
use super::{Detector, DetectorState};

/// The types of the kernel and of its modules, a file each. What was built in has none of its own.
const TYPES: &str = "/sys/kernel/btf";

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
    /// Not a function but one of the kernel's tracepoints, with BTF.
    Tracepoint,
}

impl HookKind {
    /// The ways to hook a function, the cheapest first.
    pub const BY_COST: &'static [Self] = &[Self::Fentry, Self::Kprobe];

    /// Chooses the program for this way out of the two, and gives it its target: a function of the kernel
    /// itself, or of this module.
    pub(super) fn prepare(
        self,
        fentry: &mut OpenProgramMut<'_>,
        kprobe: &mut OpenProgramMut<'_>,
        module: Option<&str>,
        function: &str,
    ) -> Result<()> {
        match self {
            Self::Fentry => {
                fentry.set_autoload(true);
                // Without the place, libbpf reads the kernel's types once more for every module.
                let has_types = |name: &&str| Path::new(TYPES).join(name).exists();
                let place = module.filter(has_types).unwrap_or("vmlinux");
                fentry.set_attach_target(0, Some(format!("{place}:{function}")))?;
            }
            Self::Kprobe => kprobe.set_autoload(true),
            Self::Tracepoint => (),
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
            Self::Fentry | Self::Tracepoint => fentry.attach_trace(),
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
            Self::Tracepoint => "tp_btf",
        })
    }
}

/// What one load of a detector's BPF object hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Site {
    /// The functions or tracepoints, all in one way; the first is the site's name.
    pub(super) names: &'static [&'static str],
    /// The module they are in; none for the kernel itself.
    pub(super) module: Option<&'static str>,
    /// Only the game's threads concern it, and its path is busy without a game, too: its programs run
    /// only while there is one.
    pub(super) only_for_game: bool,
}

impl Site {
    pub(super) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// Whether its programs are to run now.
    fn is_wanted(&self, evidence: &Evidence) -> bool {
        !self.only_for_game || evidence.has_game()
    }

    /// Whether the module is there; one that was built in usually shows up as well.
    fn is_there(&self) -> bool {
        self.module
            .is_none_or(|module| Path::new("/sys/module").join(module).exists())
    }
}

/// Memory for a BPF object that stays loaded as long as its detector. A pointer's worth of it is never
/// given back, as libbpf's types borrow it from outside.
pub(super) fn storage() -> &'static mut MaybeUninit<OpenObject> {
    Box::leak(Box::new(MaybeUninit::uninit()))
}

/// A loaded BPF object, and how its programs are attached. The closure has to own the object as a
/// whole: of one that borrows its programs alone the rest would be dropped, and with it what they
/// point to.
pub(super) struct Loaded {
    pub(super) meter: Meter,
    pub(super) attach: Box<dyn Fn() -> Result<Vec<Link>>>,
}

/// Loads what hooks a site in one way.
pub(super) type Load = fn(&Evidence, &Site, HookKind) -> Result<Loaded>;

/// A site whose programs are loaded. Until it is dropped its module cannot be removed.
struct Place {
    site: Site,
    how: HookKind,
    loaded: Loaded,
    /// None while the programs are not to run.
    links: Vec<Link>,
}

/// A detector that hooks sites, each in the first way that works, and needs no more.
pub struct HookDetector {
    name: &'static str,
    sites: Vec<Site>,
    ways: &'static [HookKind],
    load: Load,
    places: Vec<Place>,
    failures: Vec<String>,
}

impl HookDetector {
    /// Hooks those of `sites` that are there.
    pub(super) fn start(
        name: &'static str,
        sites: impl IntoIterator<Item = Site>,
        ways: &'static [HookKind],
        load: Load,
        evidence: &Evidence,
    ) -> Self {
        let mut detector = Self {
            name,
            sites: sites.into_iter().collect(),
            ways,
            load,
            places: Vec::new(),
            failures: Vec::new(),
        };
        detector.hook_missing(evidence);
        detector
    }

    /// Loads what is there now and was not before, and hooks it if it is wanted.
    fn hook(&mut self, site: Site, evidence: &Evidence) -> Result<(), String> {
        let mut places = self.places.iter_mut();
        if let Some(place) = places.find(|place| place.site == site) {
            if place.links.is_empty() && site.is_wanted(evidence) {
                place.links = (place.loaded.attach)().map_err(|error| format!("{error:#}"))?;
            }
            return Ok(());
        }
        if !site.is_there() {
            return Ok(());
        }
        // Attaching is tried at once: to know only when a game has come would be late.
        let load = |how| {
            let loaded = (self.load)(evidence, &site, how)?;
            let links = (loaded.attach)()?;
            Ok((loaded, links))
        };
        let (how, (loaded, mut links)) = first_that_works(self.ways, load)?;
        if !site.is_wanted(evidence) {
            links.clear();
        }
        self.places.push(Place {
            site,
            how,
            loaded,
            links,
        });
        Ok(())
    }
}

impl Detector for HookDetector {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cost(&self) -> Cost {
        let places = self.places.iter();
        places.map(|place| place.loaded.meter.cost()).sum()
    }

    /// The hooks and the failures, or which modules would bring a hook.
    fn state(&self) -> DetectorState {
        if !self.places.is_empty() {
            let hooks = self.places.iter().map(ToString::to_string);
            let all: Vec<_> = hooks.chain(self.failures.iter().cloned()).collect();
            return DetectorState::Active {
                hook: all.join(", "),
            };
        }
        let modules: BTreeSet<&str> = self.sites.iter().filter_map(|site| site.module).collect();
        let reason = if self.failures.is_empty() {
            format!(
                "no module of these is loaded: {}; that is fine until something uses one",
                Vec::from_iter(modules).join(", ")
            )
        } else {
            self.failures.join("; ")
        };
        DetectorState::Unavailable { reason }
    }

    fn unhook_step(&mut self, evidence: &Evidence, step: usize) -> bool {
        if let Some(place) = self.places.get_mut(step)
            && !place.site.is_wanted(evidence)
        {
            place.links.clear();
        }
        step + 1 < self.places.len()
    }

    /// A site in each step.
    fn hook_step(&mut self, evidence: &Evidence, step: usize) -> bool {
        if step == 0 {
            self.failures.clear();
        }
        if let Some(site) = self.sites.get(step).copied()
            && let Err(why) = self.hook(site, evidence)
        {
            let failure = format!("cannot hook {}: {why}", site.name());
            self.failures.push(failure);
        }
        step + 1 < self.sites.len()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.site.names.iter();
        let names: Vec<_> = names.map(|name| format!("{}/{name}", self.how)).collect();
        f.write_str(&names.join(", "))?;
        if self.site.only_for_game {
            f.write_str(" (in a game)")?;
        }
        Ok(())
    }
}

fn first_that_works<T>(
    ways: &[HookKind],
    load: impl Fn(HookKind) -> Result<T>,
) -> Result<(HookKind, T), String> {
    let mut failures = Vec::new();
    for &how in ways {
        match load(how) {
            Ok(loaded) => return Ok((how, loaded)),
            Err(error) => failures.push(format!("{how}: {error:#}")),
        }
    }
    Err(failures.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_MODULE: Site = Site {
        names: &["it", "its_end"],
        module: Some("of_no_such_name"),
        only_for_game: false,
    };

    fn state_of(sites: &[Site], failures: &[&str]) -> String {
        let detector = HookDetector {
            name: "test",
            sites: sites.to_vec(),
            ways: HookKind::BY_COST,
            load: |_, _, _| anyhow::bail!("no reason"),
            places: Vec::new(),
            failures: failures.iter().map(ToString::to_string).collect(),
        };
        detector.state().to_string()
    }

    #[test]
    fn without_a_hook_the_modules_are_named_and_with_a_failure_the_failure() {
        let other = Site {
            module: Some("hid"),
            ..IN_MODULE
        };
        let state = state_of(&[IN_MODULE, other, other], &[]);
        assert!(state.contains("unavailable: no module"), "{state}");
        assert!(state.contains("hid, of_no_such_name;"), "{state}");
        let state = state_of(&[IN_MODULE], &["cannot hook it: no reason"]);
        assert_eq!(state, "unavailable: cannot hook it: no reason");
    }

    #[test]
    fn every_way_that_failed_is_named() {
        let failed = first_that_works::<()>(HookKind::BY_COST, |how| anyhow::bail!("no {how}"));
        assert_eq!(
            failed,
            Err("fentry: no fentry; kprobe: no kprobe".to_owned())
        );
        let second = first_that_works(HookKind::BY_COST, |how| {
            anyhow::ensure!(how == HookKind::Kprobe);
            Ok(1)
        });
        assert_eq!(second, Ok((HookKind::Kprobe, 1)));
    }

    #[test]
    fn a_site_of_a_module_that_is_not_loaded_is_not_there() {
        assert!(!IN_MODULE.is_there());
        let kernel = Site {
            module: None,
            ..IN_MODULE
        };
        assert!(kernel.is_there());
    }
}
