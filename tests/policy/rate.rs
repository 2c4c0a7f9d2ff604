//! A beat of wake-ups is found, followed and lost; what has none earns nothing.

use proptest::collection::vec;
use proptest::prelude::*;
use scx_gamer::policy::{RateState, rate_boost, rate_period_ns, rate_wake};

use crate::inputs;

const US: u64 = 1_000;
const MS: u64 = 1_000 * US;
/// Wake-ups after which a beat is known.
const KNOWN: usize = 10;

struct Sleeper {
    now_ns: u64,
    rate: RateState,
}

impl Sleeper {
    fn new(now_ns: u64) -> Self {
        Self {
            now_ns,
            rate: RateState::default(),
        }
    }

    fn wake_after(&mut self, gap_ns: u64, ran_ns: u64) {
        self.now_ns = self.now_ns.wrapping_add(gap_ns);
        rate_wake(&mut self.rate, self.now_ns, ran_ns);
    }

    fn wake_at(&mut self, period_ns: u64, cnt: usize) {
        for _ in 0..cnt {
            self.wake_after(period_ns, 100 * US);
        }
    }

    fn has_beat(&self, period_ns: u64) -> bool {
        let found_ns = rate_period_ns(&self.rate);
        found_ns != 0 && found_ns.abs_diff(period_ns) <= period_ns / 8 + 17 * US
    }
}

proptest! {
    #[test]
    fn a_beat_is_known_after_a_few_wake_ups_and_a_new_one_is_followed(
        start_ns in inputs::time_ns(), periods in [1..100_u64, 1..100], jitter in vec(0..=40_u64, 100),
    ) {
        let mut sleeper = Sleeper::new(start_ns);
        for period_ns in periods.map(|ms| ms * MS) {
            // Up to the whole memory has to be forgotten first.
            sleeper.wake_at(period_ns, KNOWN + 5);
            prop_assert!(sleeper.has_beat(period_ns), "{:?}", sleeper.rate);
            for permille in &jitter {
                sleeper.wake_after(period_ns * (980 + permille) / 1000, 0);
                prop_assert!(sleeper.has_beat(period_ns), "{:?}", sleeper.rate);
            }
        }
    }

    #[test]
    fn who_wakes_at_any_time_has_no_beat_for_long(
        start_ns in inputs::time_ns(), gaps in vec(1..2_000_u64, 400),
    ) {
        let mut sleeper = Sleeper::new(start_ns);
        let mut known = 0;
        for gap in gaps {
            sleeper.wake_after(gap * 50 * US, 0);
            known += usize::from(rate_boost(&sleeper.rate) > 0);
        }
        prop_assert!(known <= 8, "{known} of 400 wake-ups");
    }

    #[test]
    fn any_state_and_any_clock_gives_a_boost_in_range(
        now_ns in inputs::time_ns(), ran_ns in inputs::span_ns(), words in any::<(u32, u16, u16)>(),
    ) {
        let mut rate = RateState { woke_at: words.0, period: words.1, fit_cnt: words.2 };
        rate_wake(&mut rate, now_ns, ran_ns);
        prop_assert!(rate_boost(&rate) <= 3);
    }
}

#[test]
fn the_shorter_the_period_the_higher_the_boost() {
    for (period_us, expected) in [
        (500, 0),
        (1_500, 3),
        (4_900, 3),
        (5_333, 2),
        (8_333, 2),
        (9_100, 1),
        (16_667, 1),
        (17_200, 0),
        (33_333, 0),
        (2_000_000, 0),
    ] {
        let mut sleeper = Sleeper::new(5);
        sleeper.wake_at(period_us * US, 40);
        assert_eq!(rate_boost(&sleeper.rate), expected, "{period_us} us");
    }
}

#[test]
fn who_runs_for_most_of_its_period_has_no_beat() {
    for (ran_ms, known) in [(4, true), (9, false)] {
        let mut sleeper = Sleeper::new(5);
        for _ in 0..40 {
            sleeper.wake_after(16 * MS, ran_ms * MS);
        }
        assert_eq!(sleeper.has_beat(16 * MS), known, "{ran_ms} ms");
    }
}

#[test]
fn one_stumble_is_forgiven_and_silence_is_not() {
    let mut sleeper = Sleeper::new(5);
    sleeper.wake_at(16 * MS, 40);
    sleeper.wake_after(40 * MS, 0);
    assert!(sleeper.has_beat(16 * MS));
    sleeper.wake_after(2_000 * MS, 0);
    assert_eq!(rate_period_ns(&sleeper.rate), 0);
}
