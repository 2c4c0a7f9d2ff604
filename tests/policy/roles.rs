//! Goal: evidence counts for the game and its devices' way, and for nobody else while a game is
//! known. Method: laws over every combination of facts, and the cases that gave the rule.

use proptest::prelude::*;
use scx_gamer::policy::{
    RolesInput, SampleState, in_window, relay_hands, relay_next, roles_of_evidence, sample_take,
    window_extend,
};

const INPUT: u32 = 1 << 0;
const GPU: u32 = 1 << 1;
const DISPLAY: u32 = 1 << 2;
const GPU_IRQ: u32 = 1 << 3;
const AUDIO: u32 = 1 << 4;
const NETWORK: u32 = 1 << 5;
const STORAGE: u32 = 1 << 6;
const ALL: u32 = 0x7f;

fn input() -> impl Strategy<Value = RolesInput> {
    (0..=ALL, any::<[bool; 4]>()).prop_map(
        |(seen, [game_known, in_family, owns_display, hands_input])| RolesInput {
            seen,
            game_known,
            in_family,
            owns_display,
            hands_input,
        },
    )
}

proptest! {
    #[test]
    fn nothing_counts_that_was_not_seen(facts in input()) {
        prop_assert_eq!(roles_of_evidence(&facts) & !facts.seen, 0);
    }

    #[test]
    fn one_fact_more_in_favour_never_takes_a_role(facts in input(), which in 0..3) {
        let mut more = facts;
        match which {
            0 => more.in_family = true,
            1 => more.owns_display = true,
            _ => more.hands_input = true,
        }
        prop_assert_eq!(roles_of_evidence(&facts) & !roles_of_evidence(&more), 0);
    }

    #[test]
    fn flips_interrupts_and_sound_always_count(facts in input()) {
        let always = DISPLAY | GPU_IRQ | AUDIO;
        prop_assert_eq!(roles_of_evidence(&facts) & always, facts.seen & always);
    }

    #[test]
    fn every_hand_counts_and_a_relay_ends(source in 0..=u32::from(u8::MAX)) {
        let before = relay_hands(source);
        let mut source = source;
        for hands in before + 1..before + 10 {
            source = relay_next(source);
            if source == 0 {
                break;
            }
            prop_assert_eq!(relay_hands(source), hands);
            prop_assert!(u8::try_from(source).is_ok(), "a mark has a byte for it");
        }
        prop_assert_eq!(source, 0);
    }

    #[test]
    fn samples_are_never_fewer_than_one_of_sixteen(
        start in any::<u64>(), steps in prop::collection::vec(0..2_000_000_u64, 1..400),
    ) {
        let mut state = SampleState { window_start_ns: start, ..SampleState::default() };
        let (mut now, mut taken) = (start, 0_u64);
        for step in &steps {
            now = now.wrapping_add(*step);
            taken += u64::from(sample_take(&mut state, now));
        }
        prop_assert_eq!(state.event_cnt, steps.len() as u64);
        prop_assert_eq!(state.event_cnt - state.skipped_cnt, taken);
        prop_assert!(taken * 16 >= state.event_cnt.min(64) || taken >= state.event_cnt / 16);
    }
}

#[test]
fn the_cases_that_gave_the_rule() {
    let game = |seen| RolesInput {
        seen,
        game_known: true,
        ..RolesInput::default()
    };
    let browser = game(GPU | NETWORK | STORAGE);
    assert_eq!(roles_of_evidence(&browser), 0);
    let hotkey_daemon = game(INPUT);
    assert_eq!(roles_of_evidence(&hotkey_daemon), 0);
    let compositor = RolesInput {
        owns_display: true,
        ..game(INPUT | GPU | DISPLAY | STORAGE)
    };
    assert_eq!(roles_of_evidence(&compositor), INPUT | GPU | DISPLAY);
    let steam_input = RolesInput {
        hands_input: true,
        ..game(INPUT | GPU | NETWORK)
    };
    assert_eq!(roles_of_evidence(&steam_input), INPUT);
    let of_game = RolesInput {
        in_family: true,
        ..game(ALL)
    };
    assert_eq!(roles_of_evidence(&of_game), ALL);
    let no_game = RolesInput {
        seen: ALL,
        ..RolesInput::default()
    };
    assert_eq!(roles_of_evidence(&no_game), ALL & !(NETWORK | STORAGE));
}

#[test]
fn a_flood_is_sampled_and_a_pause_ends_that() {
    let mut state = SampleState::default();
    let taken = (0..1000).filter(|_| sample_take(&mut state, 5)).count();
    assert_eq!(taken, 64 + (1000 / 16 - 64 / 16));
    assert!(sample_take(&mut state, 5 + 1_000_000));
}

#[test]
fn a_gap_in_the_clock_neither_blinds_a_detector_nor_opens_a_window() {
    const HOUR_NS: u64 = 3_600_000_000_000;
    for start_ns in [HOUR_NS + 1, 3 * HOUR_NS, u64::MAX - 5] {
        for jumped_ns in [
            start_ns.wrapping_add(HOUR_NS),
            start_ns.wrapping_sub(HOUR_NS),
        ] {
            let mut state = SampleState::default();
            assert!((0..1000).any(|_| !sample_take(&mut state, start_ns)));
            let taken = (0..64).filter(|_| sample_take(&mut state, jumped_ns));
            assert_eq!(taken.count(), 64, "{start_ns} to {jumped_ns}");
            let end_ns = start_ns.wrapping_add(10_000_000);
            assert!(!in_window(jumped_ns, end_ns, 3));
            let end_ns = window_extend(end_ns, jumped_ns, 10_000_000);
            assert!(in_window(jumped_ns, end_ns, 3));
        }
    }
}
