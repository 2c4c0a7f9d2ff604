//! An input window is open after its event, for its length, and not in other times.

use proptest::prelude::*;
use scx_gamer::policy::{
    BOOST_URGENT, FRAME_NS_MAX, INPUT_WINDOW_NS_MAX, flip_shows, in_window, window_extend,
};

use crate::inputs;

proptest! {
    #[test]
    fn a_window_is_open_for_its_length_and_closed_before_and_after(
        event_ns in inputs::time_ns(), window_ns in 1..=INPUT_WINDOW_NS_MAX,
        after_ns in -200_000_000..200_000_000_i64, boost in 0..=7_u32,
    ) {
        let end_ns = window_extend(0, event_ns, window_ns);
        prop_assume!(end_ns != 0);
        let now_ns = event_ns.wrapping_add_signed(after_ns);
        let window_ns = i64::try_from(window_ns).unwrap();
        let earliest_ns = window_ns - i64::try_from(INPUT_WINDOW_NS_MAX).unwrap();
        let expected = (1..BOOST_URGENT).contains(&boost)
            && (earliest_ns..window_ns).contains(&after_ns);
        prop_assert_eq!(in_window(now_ns, end_ns, boost), expected);
    }

    #[test]
    fn of_two_windows_the_one_that_ends_last_holds(
        event_ns in inputs::time_ns(), windows_ns in [0..200_000_000_u64, 0..200_000_000],
        gap_ns in 0..50_000_000_u64,
    ) {
        let first_ns = window_extend(0, event_ns, windows_ns[0]);
        let then_ns = event_ns.wrapping_add(gap_ns);
        let end_ns = window_extend(first_ns, then_ns, windows_ns[1]);
        let left = |end_ns: u64| end_ns.wrapping_sub(then_ns).cast_signed();
        let longest = |window_ns: u64| window_ns.min(INPUT_WINDOW_NS_MAX).cast_signed();
        prop_assume!(first_ns != 0);
        if windows_ns[0] != 0 && windows_ns[1] != 0 {
            let expected = (longest(windows_ns[0]) - gap_ns.cast_signed()).max(longest(windows_ns[1]));
            prop_assert_eq!(left(end_ns), expected);
        }
    }

    #[test]
    fn a_clock_that_jumped_back_keeps_no_window_open(
        event_ns in inputs::time_ns(), back_ns in 250_000_000..1_u64 << 62, window_ns in 1..100_000_000_u64,
    ) {
        let old_ns = window_extend(0, event_ns, window_ns);
        let now_ns = event_ns.wrapping_sub(back_ns);
        prop_assert!(!in_window(now_ns, old_ns, 3));
        let end_ns = window_extend(old_ns, now_ns, window_ns);
        prop_assert_eq!(end_ns, now_ns.wrapping_add(window_ns));
    }

    #[test]
    fn a_flip_shows_an_event_only_if_it_was_asked_for_half_an_interval_later(
        event_ns in inputs::time_ns(), after_ns in -100_000_000..100_000_000_i64,
        interval_ns in 0..FRAME_NS_MAX,
    ) {
        let asked_ns = event_ns.wrapping_add_signed(after_ns);
        prop_assume!(asked_ns != 0);
        let expected = interval_ns != 0 && after_ns > (interval_ns / 2).cast_signed();
        prop_assert_eq!(flip_shows(asked_ns, event_ns, interval_ns), expected);
    }
}

#[test]
fn there_is_no_window_before_the_first_event_and_none_of_no_length() {
    assert!(!in_window(1_000, 0, 3));
    assert_eq!(window_extend(0, 1_000, 0), 0);
    assert_eq!(window_extend(5_000, 1_000, 0), 5_000);
}
