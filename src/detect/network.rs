//! Network detector: which of the game's threads send or receive small messages to a beat, and which
//! CPUs poll network devices ([`Evidence::napi`]).

use anyhow::{Context, Result};
use libbpf_rs::Link;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::Meter;
use super::evidence::{Evidence, EvidenceKind};
use super::hook::{HookDetector, HookKind, Loaded, Site, storage};
use crate::skel::detect_network::{DetectNetworkSkel, DetectNetworkSkelBuilder};

const SITE: Site = Site {
    names: &["sock_send_length", "sock_recv_length", "napi_poll"],
    module: None,
    only_for_game: true,
};

/// Hooks sockets and the polling of network devices.
#[must_use]
pub fn detect(evidence: &Evidence) -> HookDetector {
    let name = EvidenceKind::Network.detector_name();
    HookDetector::start(name, [SITE], &[HookKind::Tracepoint], load, evidence)
}

fn load(evidence: &Evidence, _: &Site, _: HookKind) -> Result<Loaded> {
    let mut open = DetectNetworkSkelBuilder::default()
        .open(storage())
        .context("cannot open the network detector")?;
    evidence.lend(open.open_object_mut())?;
    let skel = open.load().context("cannot load the network detector")?;
    Ok(Loaded {
        meter: Meter::of(skel.object())?,
        attach: Box::new(move || attach(&skel)),
    })
}

fn attach(skel: &DetectNetworkSkel<'_>) -> Result<Vec<Link>> {
    let progs = &skel.progs;
    let links = [
        progs.network_send.attach(),
        progs.network_receive.attach(),
        progs.network_poll.attach(),
    ];
    let links: libbpf_rs::Result<_> = links.into_iter().collect();
    links.context("cannot attach the network detector")
}
