//! Audio detector: who feeds sound devices, at what period, and how often one ran dry.

use anyhow::{Context, Result};
use libbpf_rs::Link;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::Meter;
use super::evidence::{Evidence, EvidenceKind};
use super::hook::{HookDetector, HookKind, Loaded, Site, storage};
use crate::skel::detect_audio::{DetectAudioSkel, DetectAudioSkelBuilder};

/// Called when a device has run dry; also in interrupts.
const XRUN: &str = "__snd_pcm_xrun";

const SITES: [Site; 3] = [
    // By `read` and `write`.
    site(&["__snd_pcm_lib_xfer"]),
    // By who maps the buffer, to ask how far the device has got.
    site(&["do_pcm_hwsync"]),
    site(&[XRUN]),
];

const fn site(names: &'static [&'static str]) -> Site {
    Site {
        names,
        module: Some("snd_pcm"),
        only_for_game: false,
    }
}

/// Hooks the sound core in the first of these ways that works.
#[must_use]
pub fn detect(evidence: &Evidence, ways: &'static [HookKind]) -> HookDetector {
    let name = EvidenceKind::Audio.detector_name();
    HookDetector::start(name, SITES, ways, load, evidence)
}

fn load(evidence: &Evidence, site: &Site, how: HookKind) -> Result<Loaded> {
    let function = site.name();
    let mut open = DetectAudioSkelBuilder::default()
        .open(storage())
        .context("cannot open the audio detector")?;
    evidence.lend(open.open_object_mut())?;
    let progs = &mut open.progs;
    let (fentry, kprobe) = if function == XRUN {
        (&mut progs.xrun_fentry, &mut progs.xrun_kprobe)
    } else {
        (&mut progs.pcm_fentry, &mut progs.pcm_kprobe)
    };
    how.prepare(fentry, kprobe, site.module, function)?;
    let skel = open.load().context("cannot load the audio detector")?;
    Ok(Loaded {
        meter: Meter::of(skel.object())?,
        attach: Box::new(move || attach(&skel, function, how)),
    })
}

fn attach(skel: &DetectAudioSkel<'_>, function: &str, how: HookKind) -> Result<Vec<Link>> {
    let progs = &skel.progs;
    let (fentry, kprobe) = if function == XRUN {
        (&progs.xrun_fentry, &progs.xrun_kprobe)
    } else {
        (&progs.pcm_fentry, &progs.pcm_kprobe)
    };
    Ok(vec![how.attach(fentry, kprobe, function)?])
}
