//! The maps which detectors, scheduler and daemon share, and the scheduler's task contexts.
//!
//! They belong to the daemon and outlive restarts of the scheduler. Every other object takes them
//! over by [`Evidence::lend`] between its open and its load.

use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, bail};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::intf;
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
    /// What said so: `SOURCE_*`, or a row of [`super::actor::HOOKS`].
    pub source: u8,
}

/// Owner of the shared maps.
pub struct Evidence {
    record: MapHandle,
    game: MapHandle,
    tasks: MapHandle,
    processes: MapHandle,
    family: MapHandle,
    contexts: MapHandle,
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
            family: MapHandle::try_from(&skel.maps.family)?,
            contexts: MapHandle::try_from(&skel.maps.task_ctxs)?,
        };
        check_value_size(&evidence.record, size_of::<intf::evidence>())?;
        check_value_size(&evidence.game, size_of::<intf::game_evidence>())?;
        check_value_size(&evidence.tasks, size_of::<intf::task_evidence>())?;
        check_value_size(&evidence.processes, size_of::<intf::process_evidence>())?;
        check_value_size(&evidence.contexts, size_of::<intf::task_ctx>())?;
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
                &self.family,
                &self.contexts,
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
        let own = self.read_thread(tid)?;
        let seen = EvidenceKind::ALL.into_iter().enumerate();
        let seen = seen.map(|(idx, kind)| Seen {
            kind,
            last_ns: own.seen_ns[idx],
            since_ns: own.since_ns[idx],
            source: own.source[idx],
        });
        Ok(seen.filter(|seen| seen.last_ns != 0).collect())
    }

    /// The period of the sound device that a thread serves, in ns; 0 if it serves none, or if that is
    /// not known.
    ///
    /// # Errors
    /// As [`Self::of_thread`].
    pub fn period_ns(&self, tid: u32) -> Result<u64> {
        Ok(self.read_thread(tid)?.period_ns)
    }

    fn read_thread(&self, tid: u32) -> Result<intf::task_evidence> {
        let pid = i32::try_from(tid).ok().and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{tid} is no thread id"))?;
        let pidfd =
            pidfd_open(pid, PIDFD_THREAD).with_context(|| format!("cannot open thread {tid}"))?;
        let key = pidfd.as_raw_fd().to_ne_bytes();
        let value = self.tasks.lookup(&key, MapFlags::ANY);
        let Some(value) = value.context("cannot read the evidence about a thread")? else {
            return Ok(intf::task_evidence::default());
        };
        parse_thread(&value).context("the evidence about a thread is short")
    }

    /// What one process as a whole was seen doing; nothing if it is not remembered.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn of_process(&self, tgid: u32) -> Result<intf::process_evidence> {
        let value = self.processes.lookup(&tgid.to_ne_bytes(), MapFlags::ANY);
        let value = value.context("cannot read the evidence about a process")?;
        let mut words = Words(value.as_deref().unwrap_or_default());
        Ok(intf::process_evidence {
            display_ns: words.next().unwrap_or(0),
            relay_ns: words.next().unwrap_or(0),
            focus_ns: words.next().unwrap_or(0),
        })
    }

    /// How often a sound device ran out of samples, or of room for them.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn xrun_cnt(&self) -> Result<u64> {
        let value = self.record.lookup(&0u32.to_ne_bytes(), MapFlags::ANY);
        let value = value.context("cannot read what the detectors have counted")?;
        let value = value.unwrap_or_default();
        let at = std::mem::offset_of!(intf::evidence, xrun_cnt);
        let bytes = value.get(at..).and_then(|rest| rest.first_chunk());
        Ok(bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes)))
    }

    /// Publishes the game's process to the BPF side; 0 means that there is none.
    ///
    /// # Errors
    /// If the map cannot be written.
    pub fn set_game(&self, tgid: u32) -> Result<()> {
        let mut value = [0; size_of::<intf::game_evidence>()];
        value[..size_of::<u32>()].copy_from_slice(&tgid.to_ne_bytes());
        self.game
            .update(&0u32.to_ne_bytes(), &value, MapFlags::ANY)
            .context("cannot publish the game to the scheduler")
    }
}

/// The numbers of a map's value, one after the other.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn next(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    fn next_slots(&mut self) -> Option<[u64; intf::EVIDENCE_SLOT_CNT as usize]> {
        let mut slots = [0; intf::EVIDENCE_SLOT_CNT as usize];
        for slot in &mut slots {
            *slot = self.next()?;
        }
        Some(slots)
    }
}

fn parse_thread(value: &[u8]) -> Option<intf::task_evidence> {
    let mut words = Words(value);
    let seen_ns = words.next_slots()?;
    let since_ns = words.next_slots()?;
    let mut event_cnt = [0; intf::EVIDENCE_SLOT_CNT as usize];
    for cnt in &mut event_cnt {
        *cnt = words.take().map(u32::from_ne_bytes)?;
    }
    Some(intf::task_evidence {
        seen_ns,
        since_ns,
        event_cnt,
        source: words.take()?,
        period_ns: words.next()?,
    })
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
