//! Starts and ends of processes, as the kernel reports them.
//!
//! An optional source: without it the game is looked for by reading `/proc` from time to time.

use std::mem::{MaybeUninit, offset_of};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use anyhow::{Context, Result};
use crossbeam::queue::SegQueue;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, RingBuffer, RingBufferBuilder};

use crate::detect::DetectorState;
use crate::detect::cost::{Cost, Meter};
use crate::detect::evidence::Evidence;
use crate::intf;
use crate::skel::process::ProcessSkelBuilder;

/// The hooks in use, as they are called in messages.
const HOOK: &str = "tp_btf/sched_process_exec, _exit and _fork";

/// 4,096 events: two seconds of 1,000 execs a second that nobody reads.
const RING_BYTES: u32 = 128 * 1024;
/// `/proc` tells when a process began in units of this (`USER_HZ` is 100 on all machines).
const TICK_NS: u64 = 10_000_000;

/// What happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessEvent {
    /// The process with this id has begun a new program.
    Exec(u32),
    /// The process with this id has ended: none of its threads runs any more.
    Exit(u32),
    /// The game's family has grown.
    Fork {
        /// The process of the family that made another.
        parent: u32,
        /// The new one.
        child: u32,
        /// When it began, in ticks since boot.
        start_ticks: u64,
    },
}

impl ProcessEvent {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let word = |offset: usize| Some(u32::from_ne_bytes(*bytes.get(offset..)?.first_chunk()?));
        let tgid = word(offset_of!(intf::process_event, tgid))?;
        match word(offset_of!(intf::process_event, kind))? {
            intf::PROCESS_EXEC => Some(Self::Exec(tgid)),
            intf::PROCESS_EXIT => Some(Self::Exit(tgid)),
            intf::PROCESS_FORK => {
                let start = bytes.get(offset_of!(intf::process_event, start_ns)..)?;
                Some(Self::Fork {
                    parent: word(offset_of!(intf::process_event, parent))?,
                    child: tgid,
                    start_ticks: u64::from_ne_bytes(*start.first_chunk()?) / TICK_NS,
                })
            }
            _ => None,
        }
    }
}

/// The process detector cannot be used on this kernel.
#[derive(Debug, thiserror::Error)]
#[error(
    "process events are not available, so the game is looked for in /proc every {} s instead: {reason:#}",
    crate::detect::game::POLL_PERIOD.as_secs()
)]
pub struct Unavailable {
    reason: anyhow::Error,
}

impl Unavailable {
    /// The state to show for the detector.
    pub fn state(&self) -> DetectorState {
        DetectorState::Unavailable {
            reason: format!("{:#}", self.reason),
        }
    }
}

/// The attached detector. Dropping it detaches the hooks.
pub struct ProcessEvents {
    ring: RingBuffer<'static>,
    events: MapHandle,
    arrived: Arc<SegQueue<ProcessEvent>>,
    drops: MapHandle,
    lost_cnt: u64,
    meter: Meter,
    _links: [Link; 3],
}

impl ProcessEvents {
    /// Loads the BPF object and attaches its hooks.
    ///
    /// # Errors
    /// If this kernel or these rights do not allow it; the daemon goes on without.
    pub fn load(evidence: &Evidence) -> Result<Self, Unavailable> {
        Self::load_with_ring(evidence, RING_BYTES)
    }

    /// [`Self::load`] with room for `ring_bytes` / 32 events: a power of two, at least a page.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with_ring(evidence: &Evidence, ring_bytes: u32) -> Result<Self, Unavailable> {
        Self::attach(evidence, ring_bytes).map_err(|reason| Unavailable { reason })
    }

    fn attach(evidence: &Evidence, ring_bytes: u32) -> Result<Self> {
        let mut storage = MaybeUninit::uninit();
        let mut skel = ProcessSkelBuilder::default()
            .open(&mut storage)
            .context("cannot open the process detector")?;
        evidence.lend(skel.open_object_mut())?;
        skel.maps
            .process_events
            .set_max_entries(ring_bytes)
            .context("cannot size the ring buffer of process events")?;
        let skel = skel
            .load()
            .context("the kernel refuses the process detector (BTF and root rights are needed)")?;
        let drops = MapHandle::try_from(&skel.maps.process_drops)?;
        let events = MapHandle::try_from(&skel.maps.process_events)?;
        let arrived = Arc::new(SegQueue::new());
        let sink = Arc::clone(&arrived);
        let mut builder = RingBufferBuilder::new();
        builder.add(&events, move |bytes| {
            if let Some(event) = ProcessEvent::parse(bytes) {
                sink.push(event);
            }
            0
        })?;
        let ring = builder
            .build()
            .context("cannot read the ring buffer of process events")?;
        let links = [
            skel.progs
                .process_exec
                .attach()
                .context("cannot attach to sched_process_exec")?,
            skel.progs
                .process_exit
                .attach()
                .context("cannot attach to sched_process_exit")?,
            skel.progs
                .process_fork
                .attach()
                .context("cannot attach to sched_process_fork")?,
        ];
        Ok(Self {
            ring,
            events,
            arrived,
            drops,
            lost_cnt: 0,
            meter: Meter::of(skel.object())?,
            _links: links,
        })
    }

    /// The state to show for the detector.
    pub fn state(&self) -> DetectorState {
        DetectorState::Active {
            hook: HOOK.to_owned(),
        }
    }

    /// What it has cost so far.
    pub fn cost(&self) -> Cost {
        self.meter.cost()
    }

    /// The descriptor to wait for: readable while events wait. It is the ring buffer's own, so it
    /// can be put into any epoll set.
    pub fn epoll_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// Hands over all events that have arrived, oldest first. Returns how many were lost since the
    /// last call: if any, [`crate::detect::game::GameFinder::on_events_lost`] must hear of it.
    ///
    /// # Errors
    /// If the ring buffer or the drop counter cannot be read.
    pub fn drain(&mut self, mut on_event: impl FnMut(ProcessEvent)) -> Result<u64> {
        self.ring.consume().context("cannot read process events")?;
        while let Some(event) = self.arrived.pop() {
            on_event(event);
        }
        // After the ring: a drop which this misses happened in a ring that filled up again, and
        // that wakes the reader once more. A run that the kernel leaves out does not wake it: the next
        // event does.
        let lost_cnt = self.read_dropped_cnt()? + self.meter.left_out_cnt();
        let newly_lost_cnt = lost_cnt.saturating_sub(self.lost_cnt);
        self.lost_cnt = lost_cnt;
        Ok(newly_lost_cnt)
    }

    /// Events lost since the detector was attached, as of the last [`Self::drain`]: those that found the
    /// ring full, and runs that the kernel has left out.
    pub fn lost_cnt(&self) -> u64 {
        self.lost_cnt
    }

    fn read_dropped_cnt(&self) -> Result<u64> {
        let value = self
            .drops
            .lookup(&0u32.to_ne_bytes(), MapFlags::ANY)
            .context("cannot read the counter of lost process events")?
            .context("the counter of lost process events is missing")?;
        let bytes = value
            .first_chunk()
            .context("the counter of lost process events is short")?;
        Ok(u64::from_ne_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(tgid: u32, kind: u32) -> Vec<u8> {
        let words = [tgid, kind, 5, 0].map(u32::to_ne_bytes).concat();
        [words, 30_000_001u64.to_ne_bytes().to_vec()].concat()
    }

    #[test]
    fn records_become_typed_events_and_others_are_ignored() {
        assert_eq!(
            ProcessEvent::parse(&record(7, 0)),
            Some(ProcessEvent::Exec(7))
        );
        assert_eq!(
            ProcessEvent::parse(&record(7, 1)),
            Some(ProcessEvent::Exit(7))
        );
        assert_eq!(
            ProcessEvent::parse(&record(7, 2)),
            Some(ProcessEvent::Fork {
                parent: 5,
                child: 7,
                start_ticks: 3
            })
        );
        assert_eq!(ProcessEvent::parse(&record(7, 9)), None);
        assert_eq!(ProcessEvent::parse(&record(7, 2)[..20]), None);
        assert_eq!(ProcessEvent::parse(&[1, 2, 3]), None);
    }

    #[test]
    fn a_missing_detector_says_in_one_line_why_and_what_is_done_instead() {
        let reason = anyhow::anyhow!("no BTF").context("cannot attach");
        let missing = Unavailable { reason };
        assert_eq!(
            missing.to_string(),
            "process events are not available, so the game is looked for in /proc every 2 s \
             instead: cannot attach: no BTF"
        );
        assert_eq!(
            missing.state().to_string(),
            "unavailable: cannot attach: no BTF"
        );
    }
}
