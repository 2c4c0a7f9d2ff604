//! Placement.

use proptest::prelude::*;
use scx_gamer::policy::{BOOST_MAX, CpuKind, cpus_first};

proptest! {
    #[test]
    fn whatever_is_boosted_looks_among_the_fast_cpus_first(boost in 1..=BOOST_MAX, back: bool) {
        prop_assert_eq!(cpus_first(boost, back), Some(CpuKind::Fast));
    }
}

#[test]
fn background_keeps_off_the_fast_cpus_while_others_are_idle() {
    assert_eq!(cpus_first(0, true), Some(CpuKind::Other));
}

#[test]
fn all_others_take_any_cpu() {
    assert_eq!(cpus_first(0, false), None);
}
