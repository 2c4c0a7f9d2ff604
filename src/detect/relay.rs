//! Relay detector: who is handed input or sound by those who have it from the device.

use std::mem::MaybeUninit;

use anyhow::{Context, Result, bail};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::{Cost, Meter};
use super::evidence::Evidence;
use super::hook::{Function, HookKind, Hooks, InUse};
use super::{Detector, DetectorState};
use crate::skel::detect_relay::DetectRelaySkelBuilder;

const UNIX_SEND: &str = "unix_stream_sendmsg";
const UNIX_RECEIVE: &str = "unix_stream_recvmsg";
const EVENTFD_WRITE: &str = "eventfd_write";
const EVENTFD_READ: &str = "eventfd_read";
const PIPE_WRITE: &str = "anon_pipe_write";
const PIPE_READ: &str = "anon_pipe_read";
const UINPUT_WRITE: &str = "uinput_write";

/// By which each kind of channel is known; the receiving function comes with it. Sound goes through
/// eventfds at any time. The others carry input to a game, and are hooked while there is one: every
/// shell and every build writes to pipes and sockets.
const FUNCTIONS: [Function; 4] = [
    Function {
        name: UNIX_SEND,
        module: None,
    },
    Function {
        name: EVENTFD_WRITE,
        module: None,
    },
    Function {
        name: PIPE_WRITE,
        module: None,
    },
    Function {
        name: UINPUT_WRITE,
        module: Some("uinput"),
    },
];

/// The attached detector. While it is there `uinput` cannot be removed.
#[derive(Debug)]
pub struct RelayDetector {
    hooks: Hooks,
}

impl RelayDetector {
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

impl Detector for RelayDetector {
    fn name(&self) -> &'static str {
        "relay"
    }

    fn cost(&self) -> Cost {
        self.hooks.cost()
    }

    fn state(&self) -> DetectorState {
        self.hooks.state(&["uinput"])
    }

    fn hook_missing(&mut self, evidence: &Evidence) {
        let has_game = evidence.has_game();
        let is_wanted = |function: &str| has_game || function == EVENTFD_WRITE;
        self.hooks.keep(is_wanted);
        let wanted = FUNCTIONS.into_iter().filter(|one| is_wanted(one.name));
        self.hooks
            .attach_missing(wanted, |function, how| attach(evidence, function, how));
    }
}

/// Loads the object for one kind of channel, with a map of its own.
fn attach(evidence: &Evidence, function: &str, how: HookKind) -> Result<InUse> {
    let mut storage = MaybeUninit::uninit();
    let mut open = DetectRelaySkelBuilder::default()
        .open(&mut storage)
        .context("cannot open the relay detector")?;
    evidence.lend(open.open_object_mut())?;
    let p = &mut open.progs;
    match function {
        UNIX_SEND => {
            how.prepare(&mut p.unix_send_fentry, &mut p.unix_send_kprobe, UNIX_SEND)?;
            how.prepare(
                &mut p.unix_recv_fentry,
                &mut p.unix_recv_kprobe,
                UNIX_RECEIVE,
            )?;
        }
        EVENTFD_WRITE => {
            how.prepare(
                &mut p.efd_write_fentry,
                &mut p.efd_write_kprobe,
                EVENTFD_WRITE,
            )?;
            how.prepare(&mut p.efd_read_fentry, &mut p.efd_read_kprobe, EVENTFD_READ)?;
        }
        PIPE_WRITE => {
            how.prepare(
                &mut p.pipe_write_fentry,
                &mut p.pipe_write_kprobe,
                PIPE_WRITE,
            )?;
            how.prepare(&mut p.pipe_read_fentry, &mut p.pipe_read_kprobe, PIPE_READ)?;
        }
        UINPUT_WRITE => how.prepare(&mut p.uinput_fentry, &mut p.uinput_kprobe, UINPUT_WRITE)?,
        _ => bail!("BUG: {function} is no channel"),
    }
    let skel = open.load().context("cannot load the relay detector")?;
    let p = &skel.progs;
    let links = match function {
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
    };
    Ok(InUse {
        meter: Meter::of(skel.object())?,
        _links: links,
    })
}
