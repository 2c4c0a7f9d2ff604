//! Network detector: which of the game's threads send or receive small messages to a beat, and which
//! CPUs poll network devices ([`Evidence::napi`]).

use std::mem::MaybeUninit;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::{Cost, Meter};
use super::evidence::{Evidence, EvidenceKind};
use super::hook::{GameHooks, InUse};
use super::{Detector, DetectorState};
use crate::skel::detect_network::DetectNetworkSkelBuilder;

/// The hooks on sockets and on the polling of network devices.
#[derive(Debug)]
pub struct NetworkDetector(GameHooks);

impl NetworkDetector {
    /// Tries the hooks out, and keeps them if there is a game.
    #[must_use]
    pub fn load(evidence: &Evidence) -> Self {
        let names = "tp_btf/sock_send_length, tp_btf/sock_recv_length, tp_btf/napi_poll";
        Self(GameHooks::try_out(names, attach, evidence))
    }
}

impl Detector for NetworkDetector {
    fn hook_missing(&mut self, evidence: &Evidence) {
        self.0.follow(evidence);
    }

    fn name(&self) -> &'static str {
        EvidenceKind::Network.detector_name()
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
    let mut open = DetectNetworkSkelBuilder::default()
        .open(&mut storage)
        .context("cannot open the network detector")?;
    evidence.lend(open.open_object_mut())?;
    let skel = open.load().context("cannot load the network detector")?;
    let progs = &skel.progs;
    let links = [
        progs.network_send.attach(),
        progs.network_receive.attach(),
        progs.network_poll.attach(),
    ];
    let links: libbpf_rs::Result<_> = links.into_iter().collect();
    Ok(InUse {
        meter: Meter::of(skel.object())?,
        _links: links.context("cannot attach the network detector")?,
    })
}
