//! Relay detector: who is handed input or sound by those who have it from the device.

use anyhow::{Context, Result, bail};
use libbpf_rs::Link;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::Meter;
use super::evidence::Evidence;
use super::hook::{HookDetector, HookKind, Loaded, Site, storage};
use crate::skel::detect_relay::{DetectRelaySkel, DetectRelaySkelBuilder};

const UNIX_SEND: &str = "unix_stream_sendmsg";
const UNIX_RECEIVE: &str = "unix_stream_recvmsg";
const EVENTFD_WRITE: &str = "eventfd_write";
const EVENTFD_READ: &str = "eventfd_read";
const PIPE_WRITE: &str = "anon_pipe_write";
const PIPE_READ: &str = "anon_pipe_read";
const UINPUT_WRITE: &str = "uinput_write";

/// One for each kind of channel, with a map of its own. Sound goes through eventfds at any time. The
/// others carry input to a game: every shell and every build writes to pipes and sockets.
const SITES: [Site; 4] = [
    Site {
        names: &[EVENTFD_WRITE, EVENTFD_READ],
        module: None,
        only_for_game: false,
    },
    Site {
        names: &[UNIX_SEND, UNIX_RECEIVE],
        module: None,
        only_for_game: true,
    },
    Site {
        names: &[PIPE_WRITE, PIPE_READ],
        module: None,
        only_for_game: true,
    },
    Site {
        names: &[UINPUT_WRITE],
        module: Some("uinput"),
        only_for_game: true,
    },
];

/// Hooks each kind of channel in the first of these ways that works.
#[must_use]
pub fn detect(evidence: &Evidence, ways: &'static [HookKind]) -> HookDetector {
    HookDetector::start("relay", SITES, ways, load, evidence)
}

fn load(evidence: &Evidence, site: &Site, how: HookKind) -> Result<Loaded> {
    let function = site.name();
    let mut open = DetectRelaySkelBuilder::default()
        .open(storage())
        .context("cannot open the relay detector")?;
    evidence.lend(open.open_object_mut())?;
    let p = &mut open.progs;
    match function {
        UNIX_SEND => {
            how.prepare(
                &mut p.unix_send_fentry,
                &mut p.unix_send_kprobe,
                site.module,
                UNIX_SEND,
            )?;
            how.prepare(
                &mut p.unix_recv_fentry,
                &mut p.unix_recv_kprobe,
                site.module,
                UNIX_RECEIVE,
            )?;
        }
        EVENTFD_WRITE => {
            how.prepare(
                &mut p.efd_write_fentry,
                &mut p.efd_write_kprobe,
                site.module,
                EVENTFD_WRITE,
            )?;
            how.prepare(
                &mut p.efd_read_fentry,
                &mut p.efd_read_kprobe,
                site.module,
                EVENTFD_READ,
            )?;
        }
        PIPE_WRITE => {
            how.prepare(
                &mut p.pipe_write_fentry,
                &mut p.pipe_write_kprobe,
                site.module,
                PIPE_WRITE,
            )?;
            how.prepare(
                &mut p.pipe_read_fentry,
                &mut p.pipe_read_kprobe,
                site.module,
                PIPE_READ,
            )?;
        }
        UINPUT_WRITE => how.prepare(
            &mut p.uinput_fentry,
            &mut p.uinput_kprobe,
            site.module,
            UINPUT_WRITE,
        )?,
        _ => bail!("BUG: {function} is no channel"),
    }
    let skel = open.load().context("cannot load the relay detector")?;
    Ok(Loaded {
        meter: Meter::of(skel.object())?,
        attach: Box::new(move || attach(&skel, function, how)),
    })
}

fn attach(skel: &DetectRelaySkel<'_>, function: &str, how: HookKind) -> Result<Vec<Link>> {
    let p = &skel.progs;
    Ok(match function {
        UNIX_SEND => vec![
            how.attach(&p.unix_send_fentry, &p.unix_send_kprobe, UNIX_SEND)?,
            how.attach(&p.unix_recv_fentry, &p.unix_recv_kprobe, UNIX_RECEIVE)?,
        ],
        EVENTFD_WRITE => vec![
            how.attach(&p.efd_write_fentry, &p.efd_write_kprobe, EVENTFD_WRITE)?,
            how.attach(&p.efd_read_fentry, &p.efd_read_kprobe, EVENTFD_READ)?,
        ],
        PIPE_WRITE => vec![
            how.attach(&p.pipe_write_fentry, &p.pipe_write_kprobe, PIPE_WRITE)?,
            how.attach(&p.pipe_read_fentry, &p.pipe_read_kprobe, PIPE_READ)?,
        ],
        _ => vec![how.attach(&p.uinput_fentry, &p.uinput_kprobe, UINPUT_WRITE)?],
    })
}
