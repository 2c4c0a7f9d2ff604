//! The maps which detectors, scheduler and daemon share, and the scheduler's task contexts.
//!
//! They belong to the daemon and outlive restarts of the scheduler. Every other object takes them
//! over by [`Evidence::lend`] between its open and its load.

use std::collections::BTreeSet;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use anyhow::{Context, Result, bail};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::flip::Display;
use super::sync::{LockCounts, LockWait};
use crate::intf;
use crate::policy::{self, RateState};
use crate::skel::evidence::EvidenceSkelBuilder;

/// Opens a thread that leads no process (Linux 6.9; include/uapi/linux/pidfd.h: O_EXCL).
const PIDFD_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(0o200);

/// What was seen this long ago still counts, in ns.
pub const HOLD_NS: u64 = intf::EVIDENCE_HOLD_NS as u64;

/// What a thread can be seen doing in the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvidenceKind {
    /// It reads an input device.
    Input,
    /// It submits work to a GPU.
    Gpu,
    /// It flips the pages of a display.
    Display,
    /// It serves the interrupts of a GPU or a display.
    GpuIrq,
    /// It meets the period of a sound device.
    Audio,
    /// It sends or receives small messages, often.
    Network,
    /// It waits for reads of a block device.
    Storage,
}

impl EvidenceKind {
    /// Every kind, in the order of the BPF side.
    pub const ALL: [Self; intf::EVIDENCE_KIND_CNT as usize] = [
        Self::Input,
        Self::Gpu,
        Self::Display,
        Self::GpuIrq,
        Self::Audio,
        Self::Network,
        Self::Storage,
    ];
    /// The kinds that [`super::actor`] sees.
    pub const OF_ACTORS: [Self; 3] = [Self::Input, Self::Gpu, Self::Display];

    /// `EVIDENCE_*`
    #[must_use]
    pub fn index(self) -> u32 {
        match self {
            Self::Input => intf::EVIDENCE_INPUT,
            Self::Gpu => intf::EVIDENCE_GPU,
            Self::Display => intf::EVIDENCE_DISPLAY,
            Self::GpuIrq => intf::EVIDENCE_GPU_IRQ,
            Self::Audio => intf::EVIDENCE_AUDIO,
            Self::Network => intf::EVIDENCE_NETWORK,
            Self::Storage => intf::EVIDENCE_STORAGE,
        }
    }

    /// The name of its detector in logs and statistics.
    #[must_use]
    pub fn detector_name(self) -> &'static str {
        match self {
            Self::Input => "input reader",
            Self::Gpu => "gpu",
            Self::Display => "compositor",
            Self::GpuIrq => "gpu irq",
            Self::Audio => "audio",
            Self::Network => "network",
            Self::Storage => "storage",
        }
    }
}

/// One kind of evidence about a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it does.
    pub kind: EvidenceKind,
    /// `CLOCK_MONOTONIC` in ns: when it was last seen.
    pub last_ns: u64,
    /// `CLOCK_MONOTONIC` in ns: since when, without a pause of 2 s.
    pub since_ns: u64,
    /// How often since then; wraps.
    pub event_cnt: u32,
    /// What said so last: a row of [`super::actor::HOOKS`], or `SOURCE_*`.
    pub source: u8,
    /// The period in ns of the sound device that the thread serves; 0: unknown.
    pub period_ns: u64,
}

impl Seen {
    /// Everything in a `struct task_evidence`, as bytes.
    fn parse(value: &[u8]) -> Vec<Self> {
        let long = |offset: usize| u64::from_ne_bytes(bytes_at(value, offset));
        let seen = EvidenceKind::ALL.into_iter().enumerate();
        let seen = seen.map(|(idx, kind)| Self {
            kind,
            last_ns: long(offset_of!(intf::task_evidence, seen_ns) + idx * size_of::<u64>()),
            since_ns: long(offset_of!(intf::task_evidence, since_ns) + idx * size_of::<u64>()),
            event_cnt: u32::from_ne_bytes(bytes_at(
                value,
                offset_of!(intf::task_evidence, event_cnt) + idx * size_of::<u32>(),
            )),
            source: u8::from_ne_bytes(bytes_at(
                value,
                offset_of!(intf::task_evidence, source) + idx,
            )),
            period_ns: long(offset_of!(intf::task_evidence, period_ns)),
        });
        seen.filter(|seen| seen.last_ns != 0).collect()
    }
}

/// The bytes of one field; zeros if the value is too short.
pub(super) fn bytes_at<const N: usize>(value: &[u8], offset: usize) -> [u8; N] {
    let rest = value.get(offset..).and_then(<[u8]>::first_chunk);
    rest.copied().unwrap_or([0; N])
}

/// What one process as a whole was seen doing, `CLOCK_MONOTONIC` in ns; 0: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessRecord {
    /// It flipped the pages of a display.
    pub display_ns: u64,
    /// Input that it read has reached the game's family.
    pub relay_ns: u64,
    /// It was handed input by the owner of a display.
    pub focus_ns: u64,
}

/// What the scheduler holds a thread for, as of its last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeldRoles {
    /// Bits `1 << ROLE_*`; 0: it has not met the thread.
    pub roles: u16,
    /// The boost of the highest of them, or of its beat.
    pub boost: u8,
    /// The boost of the most urgent thread that waits for a lock it holds; 0: none does.
    pub inherited: u8,
    /// The period in ns to which it wakes; 0: to none.
    pub period_ns: u64,
}

/// Reads what is remembered about processes.
#[derive(Debug)]
pub struct ProcessRecords(MapHandle);

impl ProcessRecords {
    /// What is known of the process `tgid`; nothing if that cannot be read.
    #[must_use]
    pub fn of(&self, tgid: u32) -> ProcessRecord {
        let value = self.0.lookup(&tgid.to_ne_bytes(), MapFlags::ANY);
        let value = value.ok().flatten().unwrap_or_default();
        let long = |offset: usize| u64::from_ne_bytes(bytes_at(&value, offset));
        ProcessRecord {
            display_ns: long(offset_of!(intf::process_evidence, display_ns)),
            relay_ns: long(offset_of!(intf::process_evidence, relay_ns)),
            focus_ns: long(offset_of!(intf::process_evidence, focus_ns)),
        }
    }
}

/// Owner of the shared maps.
pub struct Evidence {
    record: MapHandle,
    game: MapHandle,
    tasks: MapHandle,
    processes: MapHandle,
    displays: MapHandle,
    gpu_irqs: MapHandle,
    family: MapHandle,
    napi: MapHandle,
    contexts: MapHandle,
    lock_waits: MapHandle,
    lock_counts: MapHandle,
    lock_holds: MapHandle,
    lock_hurry: MapHandle,
    wine_threads: MapHandle,
}

impl Evidence {
    /// Creates the maps in the kernel.
    ///
    /// # Errors
    /// If the kernel refuses them (no BPF rights, no task storage) or if their sizes are not those
    /// of this build.
    pub fn create() -> Result<Self> {
        let mut storage = MaybeUninit::uninit();
        let skel = EvidenceSkelBuilder::default()
            .open(&mut storage)
            .context("cannot open the evidence object")?
            .load()
            .context("cannot create the evidence maps")?;
        let evidence = Self {
            record: MapHandle::try_from(&skel.maps.evidence)?,
            game: MapHandle::try_from(&skel.maps.game_evidence)?,
            tasks: MapHandle::try_from(&skel.maps.task_evidence)?,
            processes: MapHandle::try_from(&skel.maps.process_evidence)?,
            displays: MapHandle::try_from(&skel.maps.display_evidence)?,
            gpu_irqs: MapHandle::try_from(&skel.maps.gpu_irq_cnt)?,
            family: MapHandle::try_from(&skel.maps.family)?,
            napi: MapHandle::try_from(&skel.maps.napi)?,
            contexts: MapHandle::try_from(&skel.maps.task_ctxs)?,
            lock_waits: MapHandle::try_from(&skel.maps.lock_waits)?,
            lock_counts: MapHandle::try_from(&skel.maps.lock_counts)?,
            lock_holds: MapHandle::try_from(&skel.maps.lock_holds)?,
            lock_hurry: MapHandle::try_from(&skel.maps.lock_hurry)?,
            wine_threads: MapHandle::try_from(&skel.maps.wine_threads)?,
        };
        check_value_size(&evidence.record, size_of::<intf::evidence>())?;
        check_value_size(&evidence.game, size_of::<intf::game_evidence>())?;
        check_value_size(&evidence.tasks, size_of::<intf::task_evidence>())?;
        check_value_size(&evidence.processes, size_of::<intf::process_evidence>())?;
        check_value_size(&evidence.napi, size_of::<intf::napi_counters>())?;
        check_value_size(&evidence.displays, size_of::<intf::display_evidence>())?;
        check_value_size(&evidence.contexts, size_of::<intf::task_ctx>())?;
        check_value_size(&evidence.lock_waits, size_of::<intf::lock_wait>())?;
        check_value_size(&evidence.lock_counts, size_of::<intf::lock_counters>())?;
        check_value_size(&evidence.lock_holds, size_of::<intf::lock_hold>())?;
        check_value_size(&evidence.lock_hurry, size_of::<u32>())?;
        check_value_size(&evidence.wine_threads, size_of::<intf::wine_task>())?;
        Ok(evidence)
    }

    /// Makes the evidence maps of an object that is not loaded yet the shared ones.
    ///
    /// # Errors
    /// If libbpf cannot duplicate the descriptors.
    pub fn lend(&self, object: &mut OpenObject) -> Result<()> {
        for mut theirs in object.maps_mut() {
            let all = [
                &self.record,
                &self.game,
                &self.tasks,
                &self.processes,
                &self.displays,
                &self.gpu_irqs,
                &self.family,
                &self.napi,
                &self.contexts,
                &self.lock_waits,
                &self.lock_counts,
                &self.lock_holds,
                &self.lock_hurry,
                &self.wine_threads,
            ];
            let ours = all.into_iter().find(|ours| ours.name() == theirs.name());
            let Some(ours) = ours else { continue };
            theirs
                .reuse_fd(ours.as_fd())
                .with_context(|| format!("cannot share the map {}", ours.name().display()))?;
        }
        Ok(())
    }

    /// What one thread was ever seen doing.
    ///
    /// # Errors
    /// If there is no such thread, or if the map cannot be read.
    pub fn of_thread(&self, tid: u32) -> Result<Vec<Seen>> {
        Ok(Seen::parse(&of_task(&self.tasks, tid)?))
    }

    /// How often a sound device ran out of samples, or of room for them.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn xrun_cnt(&self) -> Result<u64> {
        let value = self.record.lookup(&0u32.to_ne_bytes(), MapFlags::ANY);
        let value = value.context("cannot read what the detectors have counted")?;
        let value = value.unwrap_or_default();
        let at = offset_of!(intf::evidence, xrun_cnt);
        Ok(u64::from_ne_bytes(bytes_at(&value, at)))
    }

    /// Every display that was ever flipped.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn displays(&self) -> Result<Vec<Display>> {
        let mut displays = Vec::new();
        for idx in 0..intf::DISPLAY_CNT {
            let value = self.displays.lookup(&idx.to_ne_bytes(), MapFlags::ANY);
            let value = value.context("cannot read the evidence about displays")?;
            displays.extend(value.as_deref().and_then(Display::parse));
        }
        Ok(displays)
    }

    /// How many interrupts of GPUs and displays each of the first `cpu_cnt` CPUs has served.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn gpu_irq_cnts(&self, cpu_cnt: usize) -> Result<Vec<u64>> {
        let cpus = (0..intf::MAX_CPUS).take(cpu_cnt);
        let count = |cpu: u32| {
            let value = self.gpu_irqs.lookup(&cpu.to_ne_bytes(), MapFlags::ANY);
            let value = value.context("cannot read the counts of interrupts")?;
            Ok(u64::from_ne_bytes(bytes_at(&value.unwrap_or_default(), 0)))
        };
        cpus.map(count).collect()
    }

    /// What one thread waits for, if it waits and the sync detector has seen it begin.
    ///
    /// # Errors
    /// If there is no such thread, or if the map cannot be read.
    pub fn lock_wait_of(&self, tid: u32) -> Result<Option<LockWait>> {
        Ok(LockWait::parse(&of_task(&self.lock_waits, tid)?))
    }

    /// How many waits have begun and ended since the maps were created.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn lock_counts(&self) -> Result<LockCounts> {
        let per_cpu = self
            .lock_counts
            .lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)
            .context("cannot read the counters of waits for locks")?
            .context("the counters of waits for locks are missing")?;
        Ok(LockCounts::sum(&per_cpu))
    }

    /// What the scheduler holds one thread for.
    ///
    /// # Errors
    /// If there is no such thread, or if the map cannot be read.
    pub fn roles_of(&self, tid: u32) -> Result<HeldRoles> {
        let value = of_task(&self.contexts, tid)?;
        let rate = RateState {
            woke_at: 0,
            period: u16::from_ne_bytes(bytes_at(&value, offset_of!(intf::task_ctx, rate.period))),
            fit_cnt: u16::from_ne_bytes(bytes_at(&value, offset_of!(intf::task_ctx, rate.fit_cnt))),
        };
        Ok(HeldRoles {
            period_ns: policy::rate_period_ns(&rate),
            roles: u16::from_ne_bytes(bytes_at(&value, offset_of!(intf::task_ctx, roles))),
            boost: u8::from_ne_bytes(bytes_at(&value, offset_of!(intf::task_ctx, boost))),
            inherited: u8::from_ne_bytes(bytes_at(&value, offset_of!(intf::task_ctx, inherited))),
        })
    }

    /// A reader of what is remembered about processes.
    ///
    /// # Errors
    /// If libbpf cannot duplicate the descriptor.
    pub fn process_records(&self) -> Result<ProcessRecords> {
        let processes = MapHandle::try_from(&self.processes);
        Ok(ProcessRecords(processes.context(
            "cannot share the map of what is remembered about processes",
        )?))
    }

    /// Publishes the game's process (0: there is none) and the others of its family to the BPF side.
    ///
    /// # Errors
    /// If a map cannot be written.
    pub fn set_game(&self, tgid: u32, family: impl IntoIterator<Item = u32>) -> Result<()> {
        let new: BTreeSet<u32> = family.into_iter().collect();
        // What the map holds is asked of the map: members that end leave it by themselves.
        let old = self.family();
        for gone in old.difference(&new) {
            // An error means that it has just left.
            let _ = self.family.delete(&gone.to_ne_bytes());
        }
        for added in new.difference(&old) {
            let (key, value) = (added.to_ne_bytes(), 1u32.to_ne_bytes());
            let put = self.family.update(&key, &value, MapFlags::ANY);
            put.context("cannot publish the game's family to the scheduler")?;
        }
        let mut value = [0; size_of::<intf::game_evidence>()];
        let mut put = |offset: usize, word: u32| {
            value[offset..offset + size_of::<u32>()].copy_from_slice(&word.to_ne_bytes());
        };
        put(offset_of!(intf::game_evidence, tgid), tgid);
        let family_cnt = u32::try_from(new.len()).unwrap_or(u32::MAX);
        put(offset_of!(intf::game_evidence, family_cnt), family_cnt);
        self.game
            .update(&0u32.to_ne_bytes(), &value, MapFlags::ANY)
            .context("cannot publish the game to the scheduler")
    }

    /// The processes of the game's family, without the game, as the BPF side knows them.
    #[must_use]
    pub fn family(&self) -> BTreeSet<u32> {
        let keys = self.family.keys();
        keys.filter_map(|key| key.first_chunk().copied().map(u32::from_ne_bytes))
            .collect()
    }

    /// Whether a game is published.
    #[must_use]
    pub fn has_game(&self) -> bool {
        let value = self.game.lookup(&0u32.to_ne_bytes(), MapFlags::ANY);
        let value = value.ok().flatten().unwrap_or_default();
        let tgid = value.first_chunk();
        tgid.is_some_and(|tgid| u32::from_ne_bytes(*tgid) != 0)
    }

    /// What each possible CPU did for network devices while there was a game.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn napi(&self) -> Result<Vec<intf::napi_counters>> {
        let cpus = self
            .napi
            .lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)
            .context("cannot read the counters of network polling")?;
        let counters = |cpu: Vec<u8>| {
            let (words, _) = cpu.as_chunks();
            let word = |idx: usize| words.get(idx).map_or(0, |bytes| u64::from_ne_bytes(*bytes));
            intf::napi_counters {
                poll_cnt: word(0),
                packet_cnt: word(1),
            }
        };
        Ok(cpus.into_iter().flatten().map(counters).collect())
    }
}

/// A thread's value in a map of task storage; empty if it has none.
fn of_task(map: &MapHandle, tid: u32) -> Result<Vec<u8>> {
    let pidfd = pidfd_of_thread(tid)?;
    let key = pidfd.as_raw_fd().to_ne_bytes();
    let value = map.lookup(&key, MapFlags::ANY);
    let value = value.with_context(|| format!("cannot read what is known of thread {tid}"))?;
    Ok(value.unwrap_or_default())
}

/// A descriptor of a thread: the key to what BPF programs keep about it.
///
/// # Errors
/// If there is no such thread.
pub fn pidfd_of_thread(tid: u32) -> Result<OwnedFd> {
    let pid = i32::try_from(tid).ok().and_then(Pid::from_raw);
    let pid = pid.with_context(|| format!("{tid} is no thread id"))?;
    pidfd_open(pid, PIDFD_THREAD).with_context(|| format!("cannot open thread {tid}"))
}

fn check_value_size(map: &MapHandle, expected: usize) -> Result<()> {
    let actual = map.value_size() as usize;
    if actual != expected {
        bail!(
            "the map {} holds {actual} bytes per entry instead of {expected}: this is a bug, please report it",
            map.name().display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_read_from_its_place_and_a_short_value_is_nothing() {
        let mut value = vec![0; size_of::<intf::task_evidence>()];
        let mut put = |offset: usize, bytes: &[u8]| {
            value[offset..offset + bytes.len()].copy_from_slice(bytes);
        };
        // The GPU is the kind with index 1.
        put(8, &7_u64.to_ne_bytes());
        put(64 + 8, &5_u64.to_ne_bytes());
        put(128 + 4, &3_u32.to_ne_bytes());
        put(160 + 1, &[9]);
        put(168, &11_u64.to_ne_bytes());
        let expected = Seen {
            kind: EvidenceKind::Gpu,
            last_ns: 7,
            since_ns: 5,
            event_cnt: 3,
            source: 9,
            period_ns: 11,
        };
        assert_eq!(Seen::parse(&value), [expected]);
        assert_eq!(Seen::parse(&[]), []);
    }
}
