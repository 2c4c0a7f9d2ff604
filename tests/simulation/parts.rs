//! The parts of the policy that can be switched off, as far as the simulated machine has them.

use scx_gamer::config::Feature;
use scx_gamer::policy::{CREDIT_NS, HEAD_START_NS, share_bound};

use crate::machine::{SLICE_NS, SLICE_NS_MIN};

/// What the scheduler's knobs say of these parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) boosts: bool,
    pub(crate) misses: bool,
    /// The share of CPU time that boosted tasks may take, see `share_bound`; 0: no bound.
    pub(crate) boosted_max: u32,
    pub(crate) recent_run: bool,
    pub(crate) preempts: bool,
    pub(crate) credit_ns: u64,
    pub(crate) head_start_ns: u64,
    pub(crate) slice_ns_min: u64,
}

impl Parts {
    pub(crate) const ALL: Self = Self {
        boosts: true,
        misses: true,
        boosted_max: share_bound(90),
        recent_run: true,
        preempts: true,
        credit_ns: CREDIT_NS,
        head_start_ns: HEAD_START_NS,
        slice_ns_min: SLICE_NS_MIN,
    };

    /// All but these; none of those that the machine does not have makes a difference.
    pub(crate) fn without(features: &[Feature]) -> Self {
        let mut parts = Self::ALL;
        for feature in features {
            match feature {
                Feature::Boost => parts.boosts = false,
                Feature::Misses => parts.misses = false,
                Feature::Admission => parts.boosted_max = 0,
                Feature::RecentRun => parts.recent_run = false,
                Feature::Preempt => parts.preempts = false,
                Feature::SleepCredit => parts.credit_ns = 0,
                Feature::HeadStart => parts.head_start_ns = 0,
                Feature::BusySlices => parts.slice_ns_min = SLICE_NS,
                Feature::InputWindow
                | Feature::FrameClock
                | Feature::Rates
                | Feature::Loans
                | Feature::DirectDispatch
                | Feature::Placement
                | Feature::RtWaits
                | Feature::Inheritance
                | Feature::Cpuperf
                | Feature::KernelThreads
                | Feature::Background
                | Feature::AtOnce
                | Feature::Yields
                | Feature::RoleSlices
                | Feature::Locality
                | Feature::Stealing
                | Feature::Tickless => {}
            }
        }
        parts
    }
}
