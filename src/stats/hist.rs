//! Quantiles of the histograms that the BPF side keeps.

use crate::{intf, policy};

/// Number of buckets.
pub(super) const BUCKET_CNT: usize = intf::POLICY_HIST_BUCKETS as usize;

/// Counts by bucket; the edges are those of `policy_hist.h`.
pub(super) type Histogram = [u64; BUCKET_CNT];

/// The duration in ns that `per_mille` of the entries do not exceed: the upper edge of its bucket,
/// so up to a quarter too long, but never above `max_ns`, the longest that was ever seen. 0 if the
/// histogram is empty.
pub(super) fn quantile_ns(hist: &Histogram, per_mille: u64, max_ns: u64) -> u64 {
    let total = hist
        .iter()
        .fold(0u64, |sum, count| sum.saturating_add(*count));
    if total == 0 {
        return 0;
    }
    let wanted = u128::from(total) * u128::from(per_mille);
    let mut seen = 0u128;
    for (bucket, count) in (0u32..).zip(hist) {
        seen += u128::from(*count);
        if *count > 0 && seen * 1000 >= wanted {
            let last = bucket as usize + 1 == BUCKET_CNT;
            return if last {
                max_ns
            } else {
                policy::hist_edge_ns(bucket).min(max_ns)
            };
        }
    }
    max_ns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram(durations_ns: &[u64]) -> Histogram {
        let mut hist = [0; BUCKET_CNT];
        for ns in durations_ns {
            hist[policy::hist_bucket(*ns) as usize] += 1;
        }
        hist
    }

    #[test]
    fn empty_histogram_has_no_wait() {
        assert_eq!(quantile_ns(&[0; BUCKET_CNT], 990, 12345), 0);
    }

    #[test]
    fn rare_long_wait_shows_in_the_max_but_not_in_p99() {
        let mut durations = vec![1_000; 999];
        durations.push(50_000_000);
        let hist = histogram(&durations);
        assert!(quantile_ns(&hist, 500, 50_000_000) <= 1_250);
        assert!(quantile_ns(&hist, 990, 50_000_000) <= 1_250);
        assert_eq!(quantile_ns(&hist, 1000, 50_000_000), 50_000_000);
    }

    #[test]
    fn open_bucket_reports_the_longest_wait_seen() {
        let hour_ns = 3_600_000_000_000;
        assert_eq!(quantile_ns(&histogram(&[hour_ns]), 500, hour_ns), hour_ns);
    }

    proptest! {
        #[test]
        fn quantile_is_never_below_the_truth_nor_a_quarter_above(
            mut durations in prop::collection::vec(256u64..8_000_000_000, 1..200),
            per_mille in 1usize..=1000,
        ) {
            durations.sort_unstable();
            let rank = (durations.len() * per_mille).div_ceil(1000);
            let truth = durations[rank - 1];
            let max = durations[durations.len() - 1];
            let quantile = quantile_ns(&histogram(&durations), per_mille as u64, max);
            prop_assert!(quantile >= truth);
            prop_assert!(quantile <= truth + truth / 4 + 1);
        }

        #[test]
        fn quantiles_are_ordered(hist in prop::collection::vec(any::<u64>(), BUCKET_CNT)) {
            let hist: Histogram = hist.try_into().expect("has the length of a histogram");
            let quantiles: Vec<_> =
                [1, 500, 990, 1000].map(|q| quantile_ns(&hist, q, u64::MAX)).into();
            prop_assert!(quantiles.is_sorted());
        }
    }
}
