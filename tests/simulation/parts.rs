//! The parts of the policy that can be switched off, as far as the simulated machine has them.

use clap::ValueEnum;
use scx_gamer::config::Feature;
use scx_gamer::policy::{BACKGROUND_NS, CREDIT_NS, HEAD_START_NS, share_bound};

use crate::machine::{SLICE_NS, SLICE_NS_MIN};

/// What the scheduler's knobs say of these parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    /// Bit `1 << feature`. Those that the machine does not have make no difference.
    pub(crate) features: u32,
    /// The regime depends on the one before, and on the load before.
    pub(crate) regime_lasts: bool,
    /// `--power-save`
    pub(crate) saves_power: bool,
}

impl Parts {
    pub(crate) const ALL: Self = Self {
        features: u32::MAX,
        regime_lasts: true,
        saves_power: false,
    };

    /// Those that take part unless told otherwise.
    pub(crate) fn by_default() -> Self {
        let features = Feature::value_variants().iter();
        features
            .filter(|feature| !feature.is_default())
            .fold(Self::ALL, |parts, &feature| parts.without(feature))
    }

    pub(crate) fn with(self, feature: Feature) -> Self {
        Self {
            features: self.features | 1 << feature as u32,
            ..self
        }
    }

    pub(crate) fn without(self, feature: Feature) -> Self {
        Self {
            features: self.features & !(1 << feature as u32),
            ..self
        }
    }

    pub(crate) fn has(self, feature: Feature) -> bool {
        self.features & 1 << feature as u32 != 0
    }

    /// `value` with this part, else `otherwise`.
    fn choose<T>(self, feature: Feature, value: T, otherwise: T) -> T {
        if self.has(feature) { value } else { otherwise }
    }

    pub(crate) fn credit_ns(self) -> u64 {
        self.choose(Feature::SleepCredit, CREDIT_NS, 0)
    }

    pub(crate) fn head_start_ns(self) -> u64 {
        self.choose(Feature::HeadStart, HEAD_START_NS, 0)
    }

    pub(crate) fn background_ns(self) -> u64 {
        self.choose(Feature::Background, BACKGROUND_NS, 0)
    }

    pub(crate) fn slice_ns_min(self) -> u64 {
        self.choose(Feature::BusySlices, SLICE_NS_MIN, SLICE_NS)
    }

    /// The share of CPU time that boosted tasks may take, see `share_bound`; 0: no bound.
    pub(crate) fn boosted_max(self) -> u32 {
        self.choose(Feature::Admission, share_bound(90), 0)
    }
}
