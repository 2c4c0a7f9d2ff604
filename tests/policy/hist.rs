//! The histogram of durations.

use proptest::prelude::*;
use scx_gamer::policy::{HIST_BUCKETS, hist_bucket, hist_edge_ns};

/// Durations of every magnitude.
fn duration_ns() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
}

proptest! {
    #[test]
    fn bucket_monotonic_and_in_range(a in duration_ns(), b in duration_ns()) {
        prop_assert!(hist_bucket(a.min(b)) <= hist_bucket(a.max(b)));
        prop_assert!(hist_bucket(a) < HIST_BUCKETS);
    }

    #[test]
    fn edge_above_value_by_at_most_a_quarter(ns in 256..1_u64 << 33) {
        let edge = hist_edge_ns(hist_bucket(ns));
        prop_assert!(ns < edge);
        prop_assert!(edge - ns <= ns / 4 + 1, "{edge} for {ns}");
    }

    #[test]
    fn every_bucket_above_the_last_counts_as_the_last(bucket in HIST_BUCKETS..) {
        prop_assert_eq!(hist_edge_ns(bucket), hist_edge_ns(HIST_BUCKETS - 1));
    }
}

#[test]
fn edges_rise_and_each_is_the_next_buckets_first_value() {
    for bucket in 0..HIST_BUCKETS - 1 {
        let edge = hist_edge_ns(bucket);
        assert!(edge < hist_edge_ns(bucket + 1));
        assert_eq!(hist_bucket(edge - 1), bucket);
        assert_eq!(hist_bucket(edge), bucket + 1);
    }
}

#[test]
fn first_bucket_holds_what_is_short_and_last_one_saturates() {
    assert_eq!(hist_bucket(0), 0);
    assert_eq!(hist_bucket(255), 0);
    assert_eq!(hist_bucket(256), 1);
    let last = HIST_BUCKETS - 1;
    assert_eq!(hist_bucket(7 << 30), last);
    assert_eq!(hist_bucket((7 << 30) - 1), last - 1);
    assert_eq!(hist_bucket(u64::MAX), last);
    assert_eq!(hist_edge_ns(last), 1 << 33);
}
