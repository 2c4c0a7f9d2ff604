//! Storage detector: which of the game's threads read block devices.

use std::mem::MaybeUninit;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::{Cost, Meter};
use super::evidence::{Evidence, EvidenceKind};
use super::hook::{GameHooks, InUse};
use super::{Detector, DetectorState};
use crate::skel::detect_storage::DetectStorageSkelBuilder;

/// The hook on requests to block devices.
#[derive(Debug)]
pub struct StorageDetector(GameHooks);

impl StorageDetector {
    /// Tries the hook out, and keeps it if there is a game.
    #[must_use]
    pub fn load(evidence: &Evidence) -> Self {
        Self(GameHooks::try_out(
            "tp_btf/block_bio_queue",
            attach,
            evidence,
        ))
    }
}

impl Detector for StorageDetector {
    fn hook_missing(&mut self, evidence: &Evidence) {
        self.0.follow(evidence);
    }

    fn name(&self) -> &'static str {
        EvidenceKind::Storage.detector_name()
    }

    fn cost(&self) -> Cost {
        self.0.cost()
    }

    fn state(&self) -> DetectorState {
        self.0.state()
    }
}

fn attach(evidence: &Evidence) -> Result<InUse> {
    let mut storage = MaybeUninit::uninit();
    let mut open = DetectStorageSkelBuilder::default()
        .open(&mut storage)
        .context("cannot open the storage detector")?;
    evidence.lend(open.open_object_mut())?;
    let skel = open.load().context("cannot load the storage detector")?;
    let link = skel.progs.storage_request.attach();
    Ok(InUse {
        meter: Meter::of(skel.object())?,
        _links: vec![link.context("cannot attach the storage detector")?],
    })
}
