//! Storage detector: which of the game's threads read block devices.

use anyhow::{Context, Result};
use libbpf_rs::Link;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::Meter;
use super::evidence::{Evidence, EvidenceKind};
use super::hook::{HookDetector, HookKind, Loaded, Site, storage};
use crate::skel::detect_storage::{DetectStorageSkel, DetectStorageSkelBuilder};

const SITE: Site = Site {
    names: &["block_bio_queue"],
    module: None,
    only_for_game: true,
};

/// Hooks requests to block devices.
#[must_use]
pub fn detect(evidence: &Evidence) -> HookDetector {
    let name = EvidenceKind::Storage.detector_name();
    HookDetector::start(name, [SITE], &[HookKind::Tracepoint], load, evidence)
}

fn load(evidence: &Evidence, _: &Site, _: HookKind) -> Result<Loaded> {
    let mut open = DetectStorageSkelBuilder::default()
        .open(storage())
        .context("cannot open the storage detector")?;
    evidence.lend(open.open_object_mut())?;
    let skel = open.load().context("cannot load the storage detector")?;
    Ok(Loaded {
        meter: Meter::of(skel.object())?,
        attach: Box::new(move || attach(&skel)),
    })
}

fn attach(skel: &DetectStorageSkel<'_>) -> Result<Vec<Link>> {
    let link = skel.progs.storage_request.attach();
    Ok(vec![link.context("cannot attach the storage detector")?])
}
