//! Audio detector: who feeds sound devices, at what period, and how often one ran dry.

use std::mem::MaybeUninit;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::{Cost, Meter};
use super::evidence::Evidence;
use super::hook::{Function, HookKind, Hooks, InUse};
use super::{Detector, DetectorState};
use crate::skel::detect_audio::DetectAudioSkelBuilder;

const MODULE: &str = "snd_pcm";

/// Called by `read` and `write`, and by who maps the buffer to ask how far the device has got.
const SERVED: [&str; 2] = ["__snd_pcm_lib_xfer", "do_pcm_hwsync"];

/// Called when a device has run dry; also in interrupts.
const XRUN: &str = "__snd_pcm_xrun";

/// The attached detector. While it is there the sound core cannot be removed.
#[derive(Debug)]
pub struct AudioDetector {
    hooks: Hooks,
}

impl AudioDetector {
    /// Hooks what is there in the first of these ways that works.
    #[must_use]
    pub fn load(evidence: &Evidence, ways: &'static [HookKind]) -> Self {
        let mut detector = Self {
            hooks: Hooks::new(ways),
        };
        detector.hook_missing(evidence);
        detector
    }
}

impl Detector for AudioDetector {
    fn name(&self) -> &'static str {
        "audio"
    }

    fn cost(&self) -> Cost {
        self.hooks.cost()
    }

    fn state(&self) -> DetectorState {
        self.hooks.state(&[MODULE])
    }

    fn hook_missing(&mut self, evidence: &Evidence) {
        let functions = SERVED.into_iter().chain([XRUN]).map(|name| Function {
            name,
            module: Some(MODULE),
        });
        self.hooks
            .attach_missing(functions, |name, how| attach(evidence, name, how));
    }
}

fn attach(evidence: &Evidence, function: &str, how: HookKind) -> Result<InUse> {
    let mut storage = MaybeUninit::uninit();
    let mut open = DetectAudioSkelBuilder::default()
        .open(&mut storage)
        .context("cannot open the audio detector")?;
    evidence.lend(open.open_object_mut())?;
    let progs = &mut open.progs;
    let (fentry, kprobe) = if function == XRUN {
        (&mut progs.xrun_fentry, &mut progs.xrun_kprobe)
    } else {
        (&mut progs.pcm_fentry, &mut progs.pcm_kprobe)
    };
    how.prepare(fentry, kprobe, function)?;
    let skel = open.load().context("cannot load the audio detector")?;
    let progs = &skel.progs;
    let link = if function == XRUN {
        how.attach(&progs.xrun_fentry, &progs.xrun_kprobe, function)
    } else {
        how.attach(&progs.pcm_fentry, &progs.pcm_kprobe, function)
    };
    Ok(InUse {
        meter: Meter::of(skel.object())?,
        _links: vec![link?],
    })
}
