//! Admission.

use proptest::prelude::*;
use scx_gamer::policy::{
    BOOST_MAX, BoostedLoad, RAN_UNIT_NS, SHARE_ALL, boost_floor, load_roll, share_bound,
};

/// A window of this many units of run time.
const WINDOW_UNITS: u32 = 500_000;
const WINDOW_NS: u64 = WINDOW_UNITS as u64 * RAN_UNIT_NS;

prop_compose! {
    fn load()(share in prop::array::uniform8(0..=SHARE_ALL)) -> BoostedLoad {
        BoostedLoad { share, ..BoostedLoad::default() }
    }
}

fn admitted(load: &BoostedLoad, floor: u32) -> u32 {
    (floor..=BOOST_MAX)
        .map(|boost| load.share[boost as usize])
        .sum()
}

/// The load after `windows` windows in each of which boost `boost` had `percent` of the capacity.
fn steady(boost: u32, percent: u32, windows: u32) -> BoostedLoad {
    let mut load = BoostedLoad::default();
    let mut ran = [0_u32; BOOST_MAX as usize + 1];
    for _ in 0..windows {
        let units = WINDOW_UNITS / 100 * percent;
        ran[boost as usize] = ran[boost as usize].wrapping_add(units);
        load_roll(&mut load, &ran, WINDOW_NS);
    }
    load
}

proptest! {
    #[test]
    fn what_is_admitted_is_within_the_bound(
        load in load(), bound in 1..=SHARE_ALL, floor in 0..=BOOST_MAX + 1,
    ) {
        let floor = boost_floor(&load, bound, floor);
        prop_assert!((1..=BOOST_MAX + 1).contains(&floor));
        prop_assert!(admitted(&load, floor) <= bound);
    }

    /// Nobody is shut out who fits, unless that one was out already.
    #[test]
    fn the_least_urgent_go_first_and_no_more_than_need_be(load in load(), bound in 1..=SHARE_ALL) {
        let floor = boost_floor(&load, bound, 1);
        if floor > 1 {
            prop_assert!(admitted(&load, floor - 1) > bound);
        }
    }

    #[test]
    fn less_load_or_a_higher_bound_never_shuts_out_more(
        load in load(), less in prop::array::uniform8(0..=SHARE_ALL),
        bound in 1..=SHARE_ALL, more in 0..=SHARE_ALL, floor in 0..=BOOST_MAX + 1,
    ) {
        let mut lighter = load;
        for (share, less) in lighter.share.iter_mut().zip(less) {
            *share = share.saturating_sub(less);
        }
        prop_assert!(boost_floor(&lighter, bound, floor) <= boost_floor(&load, bound, floor));
        let higher = (bound + more).min(SHARE_ALL);
        prop_assert!(boost_floor(&load, higher, floor) <= boost_floor(&load, bound, floor));
    }

    /// Otherwise a load at the border would lose and win its boost in each window.
    #[test]
    fn who_is_shut_out_stays_out_until_there_is_room(
        load in load(), bound in 8..=SHARE_ALL, floor in 2..=BOOST_MAX + 1,
    ) {
        let next = boost_floor(&load, bound, floor);
        if next < floor {
            prop_assert!(admitted(&load, next) <= bound - bound / 8);
        }
        // A load that does not change settles at once.
        prop_assert_eq!(boost_floor(&load, bound, next), next);
    }

    #[test]
    fn shares_stay_shares_whatever_was_summed_up(
        load in load(), ran in prop::array::uniform8(any::<u32>()), capacity_ns in any::<u64>(),
    ) {
        let mut next = load;
        load_roll(&mut next, &ran, capacity_ns);
        prop_assert!(next.share.iter().all(|&share| share <= SHARE_ALL));
        prop_assert_eq!(&next.seen[1..], &ran[1..]);
    }

    #[test]
    fn a_steady_load_is_known_after_a_while_and_sums_may_wrap(
        boost in 1..=BOOST_MAX, percent in 0..=100_u32,
    ) {
        // 275 s of run time wrap the sums.
        let load = steady(boost, percent, 10_000);
        let share = load.share[boost as usize];
        prop_assert!(share.abs_diff(SHARE_ALL * percent / 100) < SHARE_ALL / 1000, "{}", share);
    }
}

#[test]
fn one_long_frame_costs_no_boost_and_a_second_of_them_does() {
    let bound = share_bound(90);
    let mut load = steady(3, 80, 100);
    let mut ran = load.seen;
    let mut windows = 0;
    while boost_floor(&load, bound, 1) == 1 {
        ran[3] = ran[3].wrapping_add(WINDOW_UNITS);
        load_roll(&mut load, &ran, WINDOW_NS);
        windows += 1;
    }
    assert!((4..=31).contains(&windows), "{windows}");
}

#[test]
fn no_bound_is_no_bound() {
    assert_eq!(share_bound(100), 0);
    assert_eq!(share_bound(50), SHARE_ALL / 100 * 50);
}
