//! Quantities that carry their unit in their type, in the units the BPF side takes.

/// A duration in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanoseconds(u64);

impl Nanoseconds {
    /// From nanoseconds.
    pub const fn from_ns(ns: u64) -> Self {
        Self(ns)
    }

    /// From microseconds; saturates.
    pub const fn from_us(us: u64) -> Self {
        Self(us.saturating_mul(1_000))
    }

    /// From milliseconds; saturates.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// The bare number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A share, 0..=100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// The whole.
    pub const ALL: Self = Self(100);

    /// `None` above 100.
    pub const fn new(percent: u32) -> Option<Self> {
        if percent <= 100 {
            Some(Self(percent))
        } else {
            None
        }
    }

    /// The bare number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A role's urgency, 0 (none) to 7 (most).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Boost(u8);

impl Boost {
    /// No urgency.
    pub const NONE: Self = Self(0);

    /// `None` above 7.
    pub const fn new(boost: u8) -> Option<Self> {
        if boost as u32 <= crate::intf::POLICY_BOOST_MAX {
            Some(Self(boost))
        } else {
            None
        }
    }

    /// The bare number.
    pub const fn get(self) -> u8 {
        self.0
    }
}
