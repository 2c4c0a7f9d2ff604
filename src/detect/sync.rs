//! The sync detector: who waits for which lock and, where that can be known, for whom. That one inherits.
//!
//! [`SyncDetector`] hooks every function of [`HOOKS`] that is there, at its entry and its exit. What it
//! has seen is read through [`Evidence::lock_wait_of`] and [`Evidence::lock_counts`].

use std::mem::MaybeUninit;
use std::path::Path;
use std::slice;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{Link, Object};

use super::cost::{Cost, Meter};
use super::evidence::Evidence;
use super::hook::HookKind;
use super::{Detector, DetectorState};
use crate::intf;
use crate::skel::detect_sync::DetectSyncSkelBuilder;

/// What is known of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// The lock is a PI futex, and its holder is known.
    Pi,
    /// A pthread mutex of glibc, and its holder is known.
    Glibc,
    /// A mutex of Wine in shared memory, and its holder is known.
    Wine,
    /// A mutex of `/dev/ntsync`, and its holder is known.
    Ntsync,
    /// Nothing says who holds it, if it is a lock at all.
    Silent,
    /// Something does, and is not believed.
    Refused,
}

impl LockKind {
    /// Every kind, in the order of `POLICY_LOCK_*`.
    pub const ALL: [Self; intf::POLICY_LOCK_CNT as usize] = [
        Self::Pi,
        Self::Glibc,
        Self::Wine,
        Self::Ntsync,
        Self::Silent,
        Self::Refused,
    ];

    /// Its name in statistics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pi => "pi",
            Self::Glibc => "glibc",
            Self::Wine => "wine",
            Self::Ntsync => "ntsync",
            Self::Silent => "unknown",
            Self::Refused => "refused",
        }
    }
}

/// The wait of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockWait {
    /// `CLOCK_MONOTONIC` in ns: when it began.
    pub since_ns: u64,
    /// Address of the lock.
    pub lock: u64,
    /// Thread and process that hold it.
    pub holder: Option<(u32, u32)>,
    /// What is known.
    pub kind: LockKind,
}

impl LockWait {
    /// From the bytes of a `struct lock_wait`; `None` if it is of no wait.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (words, _) = bytes.as_chunks();
        let [since_ns, lock, holder, kind] = words else {
            return None;
        };
        let [since_ns, lock] = [since_ns, lock].map(|word| u64::from_ne_bytes(*word));
        let halves = |word: &[u8; 8]| {
            let (halves, _) = word.as_chunks();
            [0, 1].map(|idx| halves.get(idx).map_or(0, |half| u32::from_ne_bytes(*half)))
        };
        let ([holder, tgid], [kind, _]) = (halves(holder), halves(kind));
        let kind = LockKind::ALL.into_iter().nth(kind as usize)?;
        (since_ns != 0).then_some(Self {
            since_ns,
            lock,
            holder: (holder != 0).then_some((holder, tgid)),
            kind,
        })
    }
}

/// Waits counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockCounts {
    /// Begun, in the order of [`LockKind::ALL`].
    pub begun: [u64; LockKind::ALL.len()],
    /// Ended.
    pub ended: u64,
    /// Of those begun, the holder has inherited the waiter's boost.
    pub inherited: u64,
}

impl LockCounts {
    /// All CPUs' `struct lock_counters` in one.
    pub(super) fn sum(per_cpu: &[Vec<u8>]) -> Self {
        let mut counts = Self::default();
        for bytes in per_cpu {
            let (words, _) = bytes.as_chunks();
            let ours = counts.begun.iter_mut();
            let ours = ours.chain([&mut counts.ended, &mut counts.inherited]);
            for (sum, word) in ours.zip(words) {
                *sum = sum.wrapping_add(u64::from_ne_bytes(*word));
            }
        }
        counts
    }

    /// How many have begun with what is known being `kind`.
    #[must_use]
    pub fn of_kind(&self, kind: LockKind) -> u64 {
        let mut all = LockKind::ALL.into_iter().zip(self.begun);
        all.find(|(one, _)| *one == kind).map_or(0, |(_, cnt)| cnt)
    }
}

/// A kernel function in which threads wait.
#[derive(Clone, Copy, Debug)]
struct SyncHook {
    /// The module it is in; `None`: the kernel itself.
    module: Option<&'static str>,
    function: &'static str,
    /// Its programs, without the endings that tell place and way.
    program: &'static str,
}

/// Every function, and the program at its entry.
const HOOKS: [SyncHook; 4] = [
    hook(None, "futex_wait", "wait"),
    hook(None, "futex_lock_pi", "lock_pi"),
    hook(None, "futex_wait_multiple", "multiple"),
    hook(Some("ntsync"), "ntsync_char_ioctl", "ntsync"),
];

const fn hook(
    module: Option<&'static str>,
    function: &'static str,
    program: &'static str,
) -> SyncHook {
    SyncHook {
        module,
        function,
        program,
    }
}

impl SyncHook {
    fn is_there(&self) -> bool {
        let is_loaded = |module| Path::new("/sys/module").join(module).exists();
        self.module.is_none_or(is_loaded)
    }

    /// The programs at exit and entry. The exit comes first, so that no wait is left without an end.
    fn programs(&self, how: HookKind) -> [String; 2] {
        let endings = match how {
            HookKind::Fentry => ["fexit", "fentry"],
            HookKind::Kprobe | HookKind::Tracepoint => ["kretprobe", "kprobe"],
        };
        endings.map(|ending| format!("{}_{ending}", self.program))
    }

    /// Hooks it in the first of these ways that works.
    fn attach_alone(&self, evidence: &Evidence, ways: &[HookKind]) -> Result<Load> {
        let mut failures = Vec::new();
        for &how in ways {
            match attach_all(slice::from_ref(self), evidence, how) {
                Ok(attached) => return Ok(attached),
                Err(error) => failures.push(format!("{how}: {error:#}")),
            }
        }
        anyhow::bail!("cannot hook {}: {}", self.function, failures.join("; "))
    }

    fn attach(&self, object: &mut Object, how: HookKind) -> Result<Attached> {
        let attach = |name: &String| {
            let mut programs = object.progs_mut();
            let program = programs.find(|program| program.name() == name.as_str());
            let program = program.with_context(|| format!("BUG: there is no program {name}"))?;
            let link = program.attach();
            link.with_context(|| format!("cannot attach to {}", self.function))
        };
        let links: Result<_> = self.programs(how).iter().map(attach).collect();
        Ok(Attached {
            function: self.function,
            how,
            _links: links?,
        })
    }
}

/// Hooks these functions in one load, or none.
fn attach_all(hooks: &[SyncHook], evidence: &Evidence, how: HookKind) -> Result<Load> {
    let mut storage = MaybeUninit::uninit();
    let mut open = DetectSyncSkelBuilder::default()
        .open(&mut storage)
        .context("cannot open the sync detector")?;
    evidence.lend(open.open_object_mut())?;
    let chosen: Vec<String> = hooks.iter().flat_map(|hook| hook.programs(how)).collect();
    for mut program in open.open_object_mut().progs_mut() {
        program.set_autoload(chosen.iter().any(|name| program.name() == name.as_str()));
    }
    let mut skel = open.load().context("cannot load the sync detector")?;
    let meter = Meter::of(skel.object())?;
    let object = skel.object_mut();
    let attached: Result<_> = hooks.iter().map(|hook| hook.attach(object, how)).collect();
    Ok(Load {
        meter,
        attached: attached?,
    })
}

/// Functions that were hooked in one load.
#[derive(Debug)]
struct Load {
    meter: Meter,
    attached: Vec<Attached>,
}

/// A function hooked. Detaches on drop; until then its module cannot be removed.
#[derive(Debug)]
struct Attached {
    function: &'static str,
    how: HookKind,
    _links: Vec<Link>,
}

/// The hooks in use.
#[derive(Debug)]
pub struct SyncDetector {
    ways: &'static [HookKind],
    loads: Vec<Load>,
    failures: Vec<String>,
}

impl SyncDetector {
    /// Hooks what is there.
    #[must_use]
    pub fn load(evidence: &Evidence) -> Self {
        Self::load_by(evidence, HookKind::BY_COST)
    }

    /// [`Self::load`], trying these ways only, in this order.
    #[must_use]
    pub fn load_by(evidence: &Evidence, ways: &'static [HookKind]) -> Self {
        let mut detector = Self {
            ways,
            loads: Vec::new(),
            failures: Vec::new(),
        };
        detector.hook_missing(evidence);
        detector
    }
}

impl Detector for SyncDetector {
    fn name(&self) -> &'static str {
        "sync"
    }

    fn cost(&self) -> Cost {
        self.loads.iter().map(|load| load.meter.cost()).sum()
    }

    fn state(&self) -> DetectorState {
        let failures = self.failures.iter().cloned();
        if self.loads.is_empty() {
            let reason = failures.collect::<Vec<_>>().join("; ");
            return DetectorState::Unavailable { reason };
        }
        let hooks = self.loads.iter().flat_map(|load| &load.attached);
        let hooks = hooks.map(|one| format!("{}/{}", one.how, one.function));
        let all: Vec<_> = hooks.chain(failures).collect();
        DetectorState::Active {
            hook: all.join(", "),
        }
    }

    fn hook_step(&mut self, evidence: &Evidence, _: usize) -> bool {
        self.failures.clear();
        let is_hooked = |hook: &SyncHook| {
            let mut attached = self.loads.iter().flat_map(|load| &load.attached);
            attached.any(|one| one.function == hook.function)
        };
        let missing: Vec<SyncHook> = HOOKS
            .into_iter()
            .filter(|hook| hook.is_there() && !is_hooked(hook))
            .collect();
        if missing.is_empty() {
            return false;
        }
        // One load for all is the quickest; what keeps one of them out must not cost the others.
        if let [how, ..] = self.ways
            && let Ok(load) = attach_all(&missing, evidence, *how)
        {
            self.loads.push(load);
            return false;
        }
        for hook in missing {
            match hook.attach_alone(evidence, self.ways) {
                Ok(load) => self.loads.push(load),
                Err(error) => self.failures.push(format!("{error:#}")),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(since_ns: u64, holder: u32, kind: u32) -> Vec<u8> {
        let words = [since_ns.to_ne_bytes(), 7u64.to_ne_bytes()].concat();
        let halves = [holder, 9, kind, 0].map(u32::to_ne_bytes).concat();
        [words, halves].concat()
    }

    #[test]
    fn records_become_waits_and_others_are_ignored() {
        let wait = |holder, kind| LockWait {
            since_ns: 5,
            lock: 7,
            holder,
            kind,
        };
        let parse = |since_ns, holder, kind| LockWait::parse(&record(since_ns, holder, kind));
        assert_eq!(parse(5, 8, 1), Some(wait(Some((8, 9)), LockKind::Glibc)));
        assert_eq!(parse(5, 0, 4), Some(wait(None, LockKind::Silent)));
        assert_eq!(parse(0, 8, 1), None);
        assert_eq!(parse(5, 8, intf::POLICY_LOCK_CNT), None);
        assert_eq!(LockWait::parse(&[1, 2, 3]), None);
    }

    #[test]
    fn counters_of_all_cpus_are_summed() {
        let cpu: Vec<u8> = (1u64..=8).flat_map(u64::to_ne_bytes).collect();
        let counts = LockCounts::sum(&[cpu.clone(), cpu, vec![1]]);
        assert_eq!(counts.begun, [2, 4, 6, 8, 10, 12]);
        assert_eq!(counts.ended, 14);
        assert_eq!(counts.of_kind(LockKind::Ntsync), 8);
    }
}
