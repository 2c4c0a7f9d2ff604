//! The detectors that only need their hooks: which are put in, and which are taken out, when.
//!
//! Beside four hogs the kernel needs 20 to 60 ms for a channel of the relay's (in the VM, on two CPUs).
//! Each turn of the daemon's loop therefore does one step, and serves what has come meanwhile.

use std::time::{Duration, Instant};

use log::info;

use crate::detect::evidence::Evidence;
use crate::detect::{Detector, DetectorState};

/// Who needs hooks only for a game keeps them for so long after it: often the next one follows at once.
const KEPT: Duration = Duration::from_secs(60);

/// The detectors, and what is to be done with their hooks.
pub(super) struct Hooks {
    hooked: Vec<Hooked>,
    hooking: Option<Pass>,
    unhooking: Option<Pass>,
}

struct Hooked {
    detector: Box<dyn Detector>,
    /// As it was logged last.
    told: DetectorState,
}

/// A way through all steps of all detectors.
#[derive(Clone, Copy)]
struct Pass {
    due: Instant,
    detector: usize,
    step: usize,
}

impl Pass {
    fn from(due: Instant) -> Self {
        Self {
            due,
            detector: 0,
            step: 0,
        }
    }

    /// What follows on a step after which its detector has more, or has not.
    fn next(self, has_more: bool) -> Self {
        let (detector, step) = if has_more {
            (self.detector, self.step + 1)
        } else {
            (self.detector + 1, 0)
        };
        Self {
            detector,
            step,
            ..self
        }
    }
}

impl Hooks {
    /// Of detectors that have hooked what there is now.
    pub(super) fn of(detectors: Vec<Box<dyn Detector>>) -> Self {
        let hooked = detectors.into_iter().map(|detector| Hooked {
            told: detector.state(),
            detector,
        });
        Self {
            hooked: hooked.collect(),
            hooking: None,
            unhooking: None,
        }
    }

    pub(super) fn detectors(&self) -> impl Iterator<Item = &dyn Detector> {
        self.hooked.iter().map(|hooked| hooked.detector.as_ref())
    }

    /// A game, a module or a device has come: puts in what is missing.
    pub(super) fn want(&mut self, now: Instant) {
        self.hooking = Some(Pass::from(now));
    }

    /// The game has gone: after a while, takes out what is needed only for one.
    pub(super) fn release(&mut self, now: Instant) {
        self.unhooking = Some(Pass::from(now + KEPT));
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let passes = [self.hooking, self.unhooking];
        passes.into_iter().flatten().map(|pass| pass.due).min()
    }

    /// The next step of what is due; putting in comes first.
    pub(super) fn on_deadline(&mut self, evidence: &Evidence, now: Instant) {
        let is_due = |pass: &mut Pass| pass.due <= now;
        if let Some(pass) = self.hooking.take_if(is_due) {
            self.hooking = self.step(pass, |detector| detector.hook_step(evidence, pass.step));
        } else if let Some(pass) = self.unhooking.take_if(is_due) {
            self.unhooking = self.step(pass, |detector| detector.unhook_step(evidence, pass.step));
        }
    }

    fn step(&mut self, pass: Pass, act: impl Fn(&mut dyn Detector) -> bool) -> Option<Pass> {
        let Hooked { detector, told } = self.hooked.get_mut(pass.detector)?;
        let has_more = act(detector.as_mut());
        let state = detector.state();
        if !has_more && *told != state {
            info!("detector {}: {state}", detector.name());
            *told = state;
        }
        Some(pass.next(has_more))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fake;

    impl Detector for Fake {
        fn name(&self) -> &'static str {
            "fake"
        }

        fn state(&self) -> DetectorState {
            let reason = String::new();
            DetectorState::Unavailable { reason }
        }

        fn hook_step(&mut self, _: &Evidence, _: usize) -> bool {
            false
        }
    }

    #[test]
    fn a_pass_does_every_step_of_every_detector_one_at_a_time() {
        let mut hooks = Hooks::of(vec![Box::new(Fake), Box::new(Fake), Box::new(Fake)]);
        let mut pass = Some(Pass::from(Instant::now()));
        let mut seen = Vec::new();
        while let Some(now) = pass {
            pass = hooks.step(now, |_| now.step < now.detector);
            seen.push((now.detector, now.step));
        }
        assert_eq!(
            seen,
            [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (3, 0)]
        );
    }

    #[test]
    fn hooks_stay_for_a_while_after_a_game_and_what_comes_then_is_hooked_at_once() {
        let mut hooks = Hooks::of(Vec::new());
        let now = Instant::now();
        assert_eq!(hooks.next_deadline(), None);
        hooks.release(now);
        assert_eq!(hooks.next_deadline(), Some(now + KEPT));
        hooks.want(now);
        assert_eq!(hooks.next_deadline(), Some(now));
    }
}
