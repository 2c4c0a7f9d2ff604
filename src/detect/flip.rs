//! Flip detector: the frame clock of each display, from the flips that DRM reports as done.

use std::fmt;
use std::mem::{MaybeUninit, offset_of};
use std::path::Path;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::{Cost, Meter};
use super::evidence::{Evidence, bytes_at};
use super::hook::{HookKind, InUse};
use super::{Detector, DetectorState};
use crate::intf;
use crate::skel::detect_flip::DetectFlipSkelBuilder;

/// Where DRM's core is, a module or built in.
const DRM: &str = "/sys/module/drm";
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

/// The detector. Detaches on drop; until then the module of DRM cannot be removed.
#[derive(Debug)]
pub struct FlipDetector {
    attached: Option<(HookKind, InUse)>,
    failure: String,
}

impl FlipDetector {
    /// Hooks what is there.
    #[must_use]
    pub fn load(evidence: &Evidence) -> Self {
        let mut detector = Self {
            attached: None,
            failure: String::new(),
        };
        detector.hook_missing(evidence);
        detector
    }

    /// [`Self::load`] in one way only.
    ///
    /// # Errors
    /// If the kernel does not accept it.
    pub fn load_by(evidence: &Evidence, how: HookKind) -> Result<Self> {
        Ok(Self {
            attached: Some((how, attach(evidence, how)?)),
            failure: String::new(),
        })
    }
}

impl Detector for FlipDetector {
    fn name(&self) -> &'static str {
        "flip"
    }

    fn cost(&self) -> Cost {
        let attached = self.attached.as_ref();
        attached.map_or_else(Cost::default, |(_, in_use)| in_use.meter.cost())
    }

    fn state(&self) -> DetectorState {
        match &self.attached {
            Some((how, _)) => DetectorState::Active {
                hook: format!("{how}/{DONE}, {how}/{ASKED}"),
            },
            None => DetectorState::Unavailable {
                reason: self.failure.clone(),
            },
        }
    }

    fn hook_missing(&mut self, evidence: &Evidence) {
        if self.attached.is_some() {
            return;
        }
        if !Path::new(DRM).exists() {
            "the module drm is not loaded; that is fine until something uses a display"
                .clone_into(&mut self.failure);
            return;
        }
        let mut failures = Vec::new();
        for &how in HookKind::BY_COST {
            match attach(evidence, how) {
                Ok(links) => {
                    self.attached = Some((how, links));
                    return;
                }
                Err(error) => failures.push(format!("{how}: {error:#}")),
            }
        }
        self.failure = failures.join("; ");
    }
}

fn attach(evidence: &Evidence, how: HookKind) -> Result<InUse> {
    let mut storage = MaybeUninit::uninit();
    let mut open = DetectFlipSkelBuilder::default()
        .open(&mut storage)
        .context("cannot open the flip detector")?;
    evidence.lend(open.open_object_mut())?;
    let progs = &mut open.progs;
    how.prepare(&mut progs.asked_fentry, &mut progs.asked_kprobe, ASKED)?;
    how.prepare(&mut progs.done_fentry, &mut progs.done_kprobe, DONE)?;
    let skel = open.load().context("cannot load the flip detector")?;
    let progs = &skel.progs;
    let links = vec![
        how.attach(&progs.asked_fentry, &progs.asked_kprobe, ASKED)?,
        how.attach(&progs.done_fentry, &progs.done_kprobe, DONE)?,
    ];
    Ok(InUse {
        meter: Meter::of(skel.object())?,
        _links: links,
    })
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
