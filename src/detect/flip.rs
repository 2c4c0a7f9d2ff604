//! Flip detector: the frame clock of each display, from the flips that DRM reports as done.

use std::fmt;
use std::mem::offset_of;

use anyhow::{Context, Result};
use libbpf_rs::Link;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::Meter;
use super::evidence::{Evidence, bytes_at};
use super::hook::{HookDetector, HookKind, Loaded, Site, storage};
use crate::intf;
use crate::skel::detect_flip::{DetectFlipSkel, DetectFlipSkelBuilder};

/// Runs for the thread that asks to be told of a flip.
const ASKED: &str = "drm_event_reserve_init";
/// Runs when a flip is done.
const DONE: &str = "send_vblank_event";

/// What is known of one display. All counts are since its first flip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Display {
    /// The N of `/dev/dri/cardN`.
    pub card_idx: u32,
    /// Its number on that card.
    pub crtc_idx: u32,
    /// `CLOCK_MONOTONIC` in ns.
    pub last_flip_ns: u64,
    /// Average between flips, in ns; 0: unknown.
    pub interval_ns: u64,
    /// One frame in the display's mode, in ns; 0: the driver does not say.
    pub refresh_ns: u32,
    /// Flips done.
    pub flip_cnt: u64,
    /// Flips that were to be expected and did not come.
    pub missed_cnt: u64,
    /// The process that asked for the last flip; 0: unknown.
    pub owner_tgid: u32,
}

impl Display {
    /// Reads a `struct display_evidence`; `None` if it never flipped.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let long = |offset| u64::from_ne_bytes(bytes_at(value, offset));
        let int = |offset| u32::from_ne_bytes(bytes_at(value, offset));
        let display = Self {
            card_idx: int(offset_of!(intf::display_evidence, card_idx)),
            crtc_idx: int(offset_of!(intf::display_evidence, crtc_idx)),
            last_flip_ns: long(offset_of!(intf::display_evidence, clock.last_flip_ns)),
            interval_ns: long(offset_of!(intf::display_evidence, clock.interval_ns)),
            refresh_ns: int(offset_of!(intf::display_evidence, refresh_ns)),
            flip_cnt: long(offset_of!(intf::display_evidence, clock.flip_cnt)),
            missed_cnt: long(offset_of!(intf::display_evidence, clock.missed_cnt)),
            owner_tgid: int(offset_of!(intf::display_evidence, owner_tgid)),
        };
        (display.flip_cnt != 0).then_some(display)
    }
}

impl fmt::Display for Display {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "card{} crtc{}", self.card_idx, self.crtc_idx)
    }
}

const SITE: Site = Site {
    names: &[DONE, ASKED],
    module: Some("drm"),
    only_for_game: false,
};

/// Hooks flips in the first of these ways that works.
#[must_use]
pub fn detect(evidence: &Evidence, ways: &'static [HookKind]) -> HookDetector {
    HookDetector::start("flip", [SITE], ways, load, evidence)
}

fn load(evidence: &Evidence, site: &Site, how: HookKind) -> Result<Loaded> {
    let mut open = DetectFlipSkelBuilder::default()
        .open(storage())
        .context("cannot open the flip detector")?;
    evidence.lend(open.open_object_mut())?;
    let progs = &mut open.progs;
    how.prepare(
        &mut progs.asked_fentry,
        &mut progs.asked_kprobe,
        site.module,
        ASKED,
    )?;
    how.prepare(
        &mut progs.done_fentry,
        &mut progs.done_kprobe,
        site.module,
        DONE,
    )?;
    let skel = open.load().context("cannot load the flip detector")?;
    Ok(Loaded {
        meter: Meter::of(skel.object())?,
        attach: Box::new(move || attach(&skel, how)),
    })
}

fn attach(skel: &DetectFlipSkel<'_>, how: HookKind) -> Result<Vec<Link>> {
    let progs = &skel.progs;
    Ok(vec![
        how.attach(&progs.asked_fentry, &progs.asked_kprobe, ASKED)?,
        how.attach(&progs.done_fentry, &progs.done_kprobe, DONE)?,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_is_read_from_the_shared_struct_and_none_from_an_empty_one() {
        let mut value = [0; size_of::<intf::display_evidence>()];
        assert_eq!(Display::parse(&value), None);
        assert_eq!(Display::parse(&[]), None);
        // Flips; the fourth field.
        value[24] = 9;
        // The owner, the card and the display's number are the last.
        value[52] = 7;
        value[56] = 1;
        value[60] = 2;
        let display = Display::parse(&value).unwrap();
        assert_eq!((display.flip_cnt, display.owner_tgid), (9, 7));
        assert_eq!(display.to_string(), "card1 crtc2");
    }
}
