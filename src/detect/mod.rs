//! Detectors: what each thread is for, learnt from what it does in the kernel.
//!
//! One file per detector, or a row of [`actor`]'s table. Each has its own BPF object, is loaded
//! separately, and may be missing: that costs its signal, never the scheduler. What they learn is
//! shared through [`evidence::Evidence`].

pub mod actor;
pub mod audio;
pub mod cost;
pub mod evidence;
pub mod flip;
pub mod game;
pub mod gpu_irq;
pub mod hook;
pub mod input;
pub mod network;
pub mod process;
pub mod relay;
pub mod storage;
pub mod sync;

use std::fmt;

use self::actor::HOOKS;
use self::cost::Cost;
use self::evidence::{Evidence, EvidenceKind};
use self::gpu_irq::GpuIrqDetector;
use self::hook::HookKind;
use crate::intf;

/// Whether a detector works here, for the log, the monitor and `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DetectorState {
    /// Attached; names the hook in use.
    Active {
        /// The kernel hook, such as `fentry/input_event`.
        hook: String,
    },
    /// Not attached; the scheduler runs without this signal.
    Unavailable {
        /// What is missing, in words a user can act on.
        reason: String,
    },
}

impl fmt::Display for DetectorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active { hook } => write!(f, "active ({hook})"),
            Self::Unavailable { reason } => write!(f, "unavailable: {reason}"),
        }
    }
}

/// A detector that leaves what it sees in the shared evidence, and needs no more of the daemon than
/// to be kept. Dropping it takes its hooks out of the kernel.
pub trait Detector {
    /// Its name in logs and statistics.
    fn name(&self) -> &'static str;

    /// The hooks in use, or why there are none.
    fn state(&self) -> DetectorState;

    /// One step, counted from 0, of hooking what was not there before, and with a game what is needed only
    /// then; whether there are more.
    fn hook_step(&mut self, evidence: &Evidence, step: usize) -> bool;

    /// One step of taking out, without a game, what is needed only for one; whether there are more.
    fn unhook_step(&mut self, _evidence: &Evidence, _step: usize) -> bool {
        false
    }

    /// All steps of hooking: when a game has come, and when something has come with a module or a device.
    fn hook_missing(&mut self, evidence: &Evidence) {
        let mut steps = 0..;
        while steps
            .next()
            .is_some_and(|step| self.hook_step(evidence, step))
        {}
    }

    /// What it has cost so far.
    fn cost(&self) -> Cost {
        Cost::default()
    }
}

/// What a mark comes from, for people: a function in which the thread was, or another sign.
#[must_use]
pub fn describe_source(source: u8) -> String {
    let sign = match u32::from(source) {
        intf::SOURCE_SOUND => "the sound device",
        intf::SOURCE_RELAY..=intf::SOURCE_RELAY_LAST => "handed on by a thread of that role",
        intf::SOURCE_IRQ_THREAD => "the interrupt's own thread",
        intf::SOURCE_SOCKET => "the network",
        intf::SOURCE_BLOCK => "reads of a disk",
        row => match HOOKS.get(row as usize) {
            Some(hook) => return format!("hook {}", hook.function),
            None => "an unknown sign",
        },
    };
    sign.to_owned()
}

/// Every such detector, with all hooks that this kernel has now.
#[must_use]
pub fn load_all(evidence: &Evidence) -> Vec<Box<dyn Detector>> {
    let actors = EvidenceKind::OF_ACTORS.into_iter();
    let mut hooked: Vec<_> = actors.map(|kind| actor::detect(evidence, kind)).collect();
    hooked.extend([
        audio::detect(evidence, HookKind::BY_COST),
        relay::detect(evidence, HookKind::BY_COST),
        flip::detect(evidence, HookKind::BY_COST),
        network::detect(evidence),
        storage::detect(evidence),
    ]);
    let hooked = hooked
        .into_iter()
        .map(|one| Box::new(one) as Box<dyn Detector>);
    let gpu_irq = Box::new(GpuIrqDetector::load(evidence));
    hooked.chain([gpu_irq as Box<_>]).collect()
}
