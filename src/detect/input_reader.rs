//! Input reader detector: which threads read input devices.
//!
//! [`InputReaderDetector`] hooks the read function of the devices; one is loaded for each
//! [`ReaderHook`], again whenever its module may have come.

use std::mem::MaybeUninit;
use std::path::Path;

use anyhow::{Context, Result};
use libbpf_rs::Link;
use libbpf_rs::skel::{OpenSkel, SkelBuilder};

use super::DetectorState;
use super::evidence::Evidence;
use super::hook::{HookKind, Unavailable};
use crate::skel::detect_input_reader::DetectInputReaderSkelBuilder;

/// Where threads read input devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderHook {
    /// `/dev/input/event*`: compositors, and most games.
    Evdev,
    /// `/dev/hidraw*`: Steam, and games that speak to a gamepad themselves.
    Hidraw,
}

impl ReaderHook {
    /// Every hook.
    pub const ALL: [Self; 2] = [Self::Evdev, Self::Hidraw];

    /// The name of its detector in logs and statistics.
    #[must_use]
    pub fn detector_name(self) -> &'static str {
        match self {
            Self::Evdev => "evdev reader",
            Self::Hidraw => "hidraw reader",
        }
    }

    fn function(self) -> &'static str {
        match self {
            Self::Evdev => "evdev_read",
            Self::Hidraw => "hidraw_read",
        }
    }

    fn module(self) -> &'static str {
        match self {
            Self::Evdev => "evdev",
            Self::Hidraw => "hid",
        }
    }
}

/// The hook on the read function of input devices. Detaches on drop; until then the function's
/// module cannot be removed.
#[derive(Debug)]
pub struct InputReaderDetector {
    hook: String,
    _link: Link,
}

impl InputReaderDetector {
    /// Loads and attaches the detector.
    ///
    /// # Errors
    /// If the function is not there, for one because its module is not loaded, or cannot be hooked.
    pub fn load(evidence: &Evidence, reader: ReaderHook) -> Result<Self, Unavailable> {
        let mut failures = Vec::new();
        for &hook in HookKind::BY_COST {
            match Self::try_load(evidence, reader.function(), hook) {
                Ok(detector) => return Ok(detector),
                Err(error) => failures.push(format!("{hook}: {error:#}")),
            }
        }
        let module = reader.module();
        let reason = if Path::new("/sys/module").join(module).exists() {
            let function = reader.function();
            format!("cannot hook {function}: {}", failures.join("; "))
        } else {
            format!("the module {module} is not loaded; that is fine until something uses it")
        };
        Err(Unavailable { reason })
    }

    fn try_load(evidence: &Evidence, function: &str, hook: HookKind) -> Result<Self> {
        let mut storage = MaybeUninit::uninit();
        let mut open = DetectInputReaderSkelBuilder::default()
            .open(&mut storage)
            .context("cannot open the input reader detector")?;
        evidence.lend(open.open_object_mut())?;
        let progs = &mut open.progs;
        hook.prepare(
            &mut progs.input_read_fentry,
            &mut progs.input_read_kprobe,
            function,
        )?;
        let skel = open
            .load()
            .context("cannot load the input reader detector")?;
        let progs = &skel.progs;
        Ok(Self {
            hook: format!("{hook}/{function}"),
            _link: hook.attach(&progs.input_read_fentry, &progs.input_read_kprobe, function)?,
        })
    }

    /// The hook in use.
    #[must_use]
    pub fn state(&self) -> DetectorState {
        DetectorState::Active {
            hook: self.hook.clone(),
        }
    }
}
