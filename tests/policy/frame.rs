//! Goal: the frame clock follows what the display does, and is not led astray by what a game does.
//! Method: laws over flips at random distances; rates, their changes and the odd cases as a table.

use proptest::collection::vec;
use proptest::prelude::*;
use scx_gamer::policy::{
    FRAME_NS_MAX, FRAME_NS_MIN, FRAME_PAUSE_NS, FRAME_RUN, FrameClock, frame_flip,
    frame_near_16ths, frame_next_ns,
};

const MS: u64 = 1_000_000;

fn period(hz: u64) -> u64 {
    1_000_000_000 / hz
}

/// A display whose flips come when told.
struct Display {
    clock: FrameClock,
    now_ns: u64,
}

impl Display {
    fn start(now_ns: u64) -> Self {
        let mut display = Self {
            clock: FrameClock::default(),
            now_ns,
        };
        display.flip_after(0);
        display
    }

    fn flip_after(&mut self, gap_ns: u64) -> u64 {
        self.now_ns = self.now_ns.wrapping_add(gap_ns);
        frame_flip(&mut self.clock, self.now_ns)
    }

    /// `cnt` flips at this rate; how many were missed.
    fn flip_at(&mut self, hz: u64, cnt: usize) -> u64 {
        (0..cnt).map(|_| self.flip_after(period(hz))).sum()
    }

    fn is_at(&self, hz: u64) -> bool {
        self.clock.interval_ns.abs_diff(period(hz)) <= period(hz) / 100
    }
}

/// Any time at which it may begin, also just before the wrap.
fn start() -> impl Strategy<Value = u64> {
    prop_oneof![1..u64::MAX, u64::MAX - 3_000 * MS..u64::MAX]
}

proptest! {
    #[test]
    fn nothing_leads_it_out_of_its_range(
        start in any::<u64>(), gaps in vec(prop_oneof![0..50 * MS, any::<u64>()], 0..200),
    ) {
        let mut display = Display::start(start);
        let mut missed = 0;
        for gap in &gaps {
            missed += display.flip_after(*gap);
            let interval = display.clock.interval_ns;
            prop_assert!(interval == 0 || (FRAME_NS_MIN..=FRAME_NS_MAX * 9 / 8).contains(&interval));
            if let Some(next) = frame_next_ns(&display.clock, display.now_ns) {
                let ahead = next.wrapping_sub(display.now_ns);
                prop_assert!(ahead > 0 && ahead <= interval);
            }
        }
        prop_assert_eq!(display.clock.flip_cnt, gaps.len() as u64 + 1);
        prop_assert_eq!(display.clock.missed_cnt, missed);
    }

    #[test]
    fn jitter_moves_the_average_no_further_than_itself_and_misses_nothing(
        start in start(), hz in 30..=500_u64, jitter in vec(-40..=40_i64, 20..200),
    ) {
        let mut display = Display::start(start);
        let shift = |permille: i64| period(hz).cast_signed() * permille / 1000;
        for permille in jitter {
            let gap = period(hz).cast_signed() + shift(permille);
            let gap = gap.max(FRAME_NS_MIN.cast_signed());
            prop_assert_eq!(display.flip_after(gap.cast_unsigned()), 0);
        }
        let off = display.clock.interval_ns.abs_diff(period(hz));
        prop_assert!(off <= period(hz) / 20, "{off} ns off");
    }

    #[test]
    fn a_late_flip_misses_those_between_and_does_not_move_the_average(
        start in start(), hz in 30..=500_u64, late in 2..=6_u64,
    ) {
        let mut display = Display::start(start);
        display.flip_at(hz, 20);
        let interval = display.clock.interval_ns;
        prop_assert_eq!(display.flip_after(late * period(hz)), late - 1);
        prop_assert_eq!(display.clock.interval_ns, interval);
        prop_assert_eq!(display.flip_at(hz, 1), 0);
        prop_assert_eq!(display.clock.missed_cnt, late - 1);
    }

    #[test]
    fn a_rate_is_known_eight_flips_after_it_changed(
        start in start(), from in 30..=500_u64, to in 30..=500_u64,
    ) {
        let mut display = Display::start(start);
        display.flip_at(from, 30);
        prop_assert!(display.is_at(from));
        // Nearby rates are followed in steps.
        display.flip_at(to, if from.abs_diff(to) * 6 < from.min(to) { 40 } else { FRAME_RUN });
        prop_assert!(display.is_at(to), "{} ns", display.clock.interval_ns);
    }

    #[test]
    fn a_display_that_follows_the_game_has_a_rate_of_its_range_and_misses_nothing(
        start in start(), gaps in vec(7 * MS..12 * MS, 1..300),
    ) {
        let mut display = Display::start(start);
        for gap in gaps {
            prop_assert_eq!(display.flip_after(gap), 0);
            prop_assert!((7 * MS..12 * MS).contains(&display.clock.interval_ns));
        }
    }

    #[test]
    fn flips_that_do_not_wait_for_the_display_have_no_rate(
        start in start(), gaps in vec(0..FRAME_NS_MIN, 1..400),
    ) {
        let mut display = Display::start(start);
        for gap in gaps {
            prop_assert_eq!(display.flip_after(gap), 0);
            prop_assert_eq!(display.clock.interval_ns, 0);
        }
    }

    #[test]
    fn the_nearer_the_flip_the_more_a_span_shrinks(
        start in start(), hz in 30..=500_u64, parts in vec(0..=1000_u64, 2), max in 0..=4_u32,
    ) {
        let mut display = Display::start(start);
        display.flip_at(hz, 30);
        let near = |permille: u64| {
            let now_ns = display.now_ns.wrapping_add(period(hz) * permille / 1000);
            frame_near_16ths(&display.clock, now_ns, 4 * max)
        };
        let (early, late) = (parts[0].min(parts[1]), parts[0].max(parts[1]));
        prop_assert!(near(early) <= near(late) && near(late) <= 4 * max);
        prop_assert_eq!((near(0), near(1100)), (0, 4 * max));
        let long_ago = display.now_ns.wrapping_add(FRAME_PAUSE_NS + MS);
        prop_assert_eq!(frame_near_16ths(&display.clock, long_ago, 4 * max), 0);
    }

    #[test]
    fn a_second_flip_in_a_frame_teaches_nothing(start in start(), hz in 30..=200_u64) {
        let mut display = Display::start(start);
        display.flip_at(hz, 20);
        for _ in 0..20 {
            display.flip_after(MS);
            display.flip_after(period(hz) - MS);
        }
        prop_assert!(display.is_at(hz));
        prop_assert_eq!(display.clock.missed_cnt, 0);
    }

    #[test]
    fn a_pause_and_a_jump_of_the_clock_begin_anew(
        start in start(), jump in prop_oneof![FRAME_PAUSE_NS + 1..1 << 62, (1 << 63)..u64::MAX],
    ) {
        let mut display = Display::start(start);
        display.flip_at(60, 20);
        prop_assert_eq!(display.flip_after(jump), 0);
        prop_assert_eq!(display.clock.interval_ns, 0);
        prop_assert_eq!(frame_next_ns(&display.clock, display.now_ns), None);
        display.flip_at(144, 1);
        prop_assert!(display.is_at(144));
    }

    #[test]
    fn the_next_flip_is_a_whole_number_of_intervals_away(start in start(), later in 0..FRAME_PAUSE_NS) {
        let mut display = Display::start(start);
        display.flip_at(60, 20);
        let interval = display.clock.interval_ns;
        let next = frame_next_ns(&display.clock, display.now_ns.wrapping_add(later)).unwrap();
        let ahead = next.wrapping_sub(display.now_ns);
        prop_assert_eq!(ahead % interval, 0);
        prop_assert!(ahead > later && ahead - later <= interval);
    }
}

#[test]
fn two_displays_do_not_know_of_each_other() {
    let (mut one, mut other) = (Display::start(5), Display::start(5));
    for _ in 0..10 {
        one.flip_at(60, 3);
        other.flip_at(144, 7);
    }
    assert!(one.is_at(60) && other.is_at(144));
}

#[test]
fn rates_of_games_and_films() {
    let mut display = Display::start(1);
    // A new mode, and back.
    for hz in [60, 144, 60] {
        assert_eq!(display.flip_at(hz, 30), 0, "{hz} Hz");
        assert!(display.is_at(hz), "{hz} Hz");
    }
    // A game that falls to half of it misses a flip each time, until that is its rate.
    assert_eq!(display.flip_at(30, 30), FRAME_RUN as u64);
    assert!(display.is_at(30));
    assert_eq!(display.flip_at(60, 30), 0);
    assert!(display.is_at(60));
    // 45 frames on 60 Hz: each second flip is late, and 60 Hz it stays.
    let missed: u64 = (0..40)
        .map(|_| display.flip_at(60, 1) + display.flip_at(30, 1))
        .sum();
    assert_eq!(missed, 40);
    assert!(display.is_at(60));
    // A film at 24 frames has no rate that a game could have, and changes none.
    let mut film = Display::start(1);
    film.flip_at(24, 30);
    assert_eq!(film.clock.interval_ns, 0);
}
