//! Goal: small messages to a beat are known soon, and nothing else ever is. Method: flows of every
//! rate and size, sequences of anything, and the cases that gave the thresholds.

use proptest::prelude::*;
use scx_gamer::policy::{Traffic, TrafficState, net_message};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;
/// As much as one packet carries.
const SMALL_BYTES: u32 = 1400;

/// What a flow of `cnt` messages, one every `gap_ns`, is said to be, message by message.
fn flow(
    state: &mut TrafficState,
    start_ns: u64,
    gap_ns: u64,
    bytes: u32,
    cnt: u64,
) -> Vec<Traffic> {
    let at = |n| start_ns.wrapping_add(n * gap_ns);
    (0..cnt)
        .map(|n| net_message(state, at(n), bytes, true))
        .collect()
}

/// After how many messages of such a flow it is believed.
fn believed_after(gap_ns: u64, bytes: u32, is_datagram: bool) -> Option<usize> {
    let mut state = TrafficState::default();
    let at = |n| SECOND + n * gap_ns;
    let mut verdicts = (0..200).map(|n| net_message(&mut state, at(n), bytes, is_datagram));
    verdicts.position(|verdict| verdict == Traffic::LowLatency)
}

proptest! {
    #[test]
    fn a_beat_of_small_datagrams_is_known_with_the_fourth_or_after_40_ms(
        start_ns: u64, gap_ns in 2 * MS..=125 * MS, bytes in 1..=SMALL_BYTES,
    ) {
        // At most 700 kB/s.
        let known = usize::try_from(3.max((40 * MS).div_ceil(gap_ns))).expect("few");
        let verdicts = flow(&mut TrafficState::default(), start_ns, gap_ns, bytes, 2000);
        let (before, after) = verdicts.split_at(known);
        prop_assert!(before.iter().all(|verdict| *verdict == Traffic::None));
        prop_assert!(after.iter().all(|verdict| *verdict == Traffic::LowLatency));
    }

    #[test]
    fn a_stream_is_never_believed_before_datagrams_are(
        gap_ns in 0..200 * MS, bytes in 1..=SMALL_BYTES,
    ) {
        let datagrams = believed_after(gap_ns, bytes, true);
        if let Some(stream) = believed_after(gap_ns, bytes, false) {
            prop_assert!(datagrams.is_some_and(|datagrams| datagrams <= stream));
        }
    }

    #[test]
    fn fewer_than_eight_a_second_have_no_beat(
        gap_ns in 126 * MS..10 * SECOND, bytes in 1..=SMALL_BYTES, start_ns: u64,
    ) {
        let verdicts = flow(&mut TrafficState::default(), start_ns, gap_ns, bytes, 100);
        prop_assert!(verdicts.iter().all(|verdict| *verdict == Traffic::None));
    }

    /// 2.7 MB/s and more, in messages of any size.
    #[test]
    fn a_fast_transfer_is_never_believed_and_soon_called_bulk(
        bytes in 200..200_000_u32, ns_per_kb in 1_000..370_000_u64, start_ns: u64,
    ) {
        let gap_ns = u64::from(bytes) * ns_per_kb / 1000;
        let verdicts = flow(&mut TrafficState::default(), start_ns, gap_ns, bytes, 5000);
        prop_assert!(!verdicts.contains(&Traffic::LowLatency));
        let bulk = verdicts.iter().position(|verdict| *verdict == Traffic::Bulk);
        let bulk = bulk.expect("called bulk") as u64;
        prop_assert!(bulk * gap_ns <= 40 * MS + gap_ns, "after {} ns", bulk * gap_ns);
    }

    #[test]
    fn more_than_a_thousand_small_ones_a_second_end_it(
        gap_ns in 0..900_000_u64, bytes in 1..=SMALL_BYTES, start_ns: u64,
    ) {
        let mut state = TrafficState::default();
        flow(&mut state, start_ns, 16 * MS, 100, 10);
        let burst = flow(&mut state, start_ns.wrapping_add(160 * MS), gap_ns, bytes, 1000);
        let end = burst.iter().position(|verdict| *verdict == Traffic::Bulk);
        let rest = &burst[end.expect("called bulk")..];
        prop_assert!(!rest.contains(&Traffic::LowLatency));
    }

    #[test]
    fn a_run_of_large_messages_ends_it_at_once_however_slow(
        gap_ns in 0..10 * SECOND, bytes in SMALL_BYTES + 1..8000_u32, start_ns: u64,
    ) {
        let mut state = TrafficState::default();
        flow(&mut state, start_ns, 16 * MS, 100, 10);
        let run = flow(&mut state, start_ns.wrapping_add(160 * MS), gap_ns, bytes, 8);
        prop_assert!(run.contains(&Traffic::Bulk));
        prop_assert!(!run.contains(&Traffic::LowLatency));
    }

    #[test]
    fn who_transferred_is_not_believed_for_a_second(
        start_ns: u64, gap_ns in 2 * MS..=125 * MS, bytes in 1..=SMALL_BYTES,
    ) {
        let mut state = TrafficState::default();
        prop_assert_eq!(net_message(&mut state, start_ns, 1 << 20, true), Traffic::Bulk);
        let verdicts = flow(&mut state, start_ns, gap_ns, bytes, 2000);
        let first = verdicts.iter().position(|verdict| *verdict == Traffic::LowLatency);
        let first = first.expect("forgiven in time") as u64;
        prop_assert!(first * gap_ns >= SECOND);
        prop_assert!(first * gap_ns <= SECOND + 40 * MS + 5 * gap_ns);
    }

    /// Also when the clock jumps either way.
    #[test]
    fn whatever_comes_four_messages_in_40_ms_are_the_least(
        start_ns: u64,
        messages in prop::collection::vec((any::<u32>(), -100_000_000..300_000_000_i64, any::<bool>()), 1..300),
    ) {
        let mut state = TrafficState::default();
        let mut now_ns = start_ns;
        let mut small = Vec::new();
        for (bytes, step_ns, is_datagram) in messages {
            // Mostly small ones.
            let bytes = if bytes % 8 == 0 { bytes } else { bytes % SMALL_BYTES };
            if step_ns < 0 {
                small.clear();
            }
            now_ns = now_ns.wrapping_add_signed(step_ns);
            if bytes <= SMALL_BYTES {
                small.push(now_ns);
            }
            if net_message(&mut state, now_ns, bytes, is_datagram) == Traffic::LowLatency {
                prop_assert!(bytes <= SMALL_BYTES);
                prop_assert!(small.len() >= 4);
                prop_assert!(now_ns.wrapping_sub(small[0]) >= 40 * MS);
            }
        }
    }
}

#[test]
fn a_game_at_60_hz_is_known_after_50_ms() {
    let gap_ns = SECOND / 60;
    let messages = believed_after(gap_ns, 100, true);
    assert_eq!(messages, Some(3), "the fourth");
    // And with an answer to each, 2 ms later.
    let mut state = TrafficState::default();
    let times = (0..60).flat_map(|n| [SECOND + n * gap_ns, SECOND + n * gap_ns + 2 * MS]);
    let known = times
        .into_iter()
        .find(|now_ns| net_message(&mut state, *now_ns, 100, true) == Traffic::LowLatency);
    assert_eq!(known, Some(SECOND + 3 * gap_ns));
}

#[test]
fn a_burst_is_no_beat() {
    let mut state = TrafficState::default();
    for n in 0..100 {
        // 20 lookups or resends within 2 ms, every half second.
        let verdicts = flow(&mut state, SECOND + n * SECOND / 2, MS / 10, 80, 20);
        assert!(verdicts.iter().all(|verdict| *verdict == Traffic::None));
    }
}

#[test]
fn one_large_message_among_small_ones_ends_nothing() {
    let mut state = TrafficState::default();
    flow(&mut state, SECOND, 16 * MS, 100, 10);
    assert_eq!(
        net_message(&mut state, SECOND + 150 * MS, 30_000, false),
        Traffic::None
    );
    let after = flow(&mut state, SECOND + 160 * MS, 16 * MS, 100, 10);
    assert!(after.iter().all(|verdict| *verdict == Traffic::LowLatency));
}
