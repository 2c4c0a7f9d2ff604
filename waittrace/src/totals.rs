//! The counts of all CPUs taken together, and what is computed from them.

use crate::intf::{BUCKETS, CLASSES, bucket_edge_ns, cpu_waits, wait_record};

/// One class of tasks.
#[derive(Clone, Copy)]
pub(crate) struct ClassTotals {
    pub(crate) waits: u64,
    pub(crate) hist: [u64; BUCKETS],
    /// The longest finished wait since the last reset.
    pub(crate) longest: Option<wait_record>,
}

impl Default for ClassTotals {
    fn default() -> Self {
        Self {
            waits: 0,
            hist: [0; BUCKETS],
            longest: None,
        }
    }
}

impl ClassTotals {
    /// Adds what another CPU or class has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        self.waits += other.waits;
        for (sum, count) in self.hist.iter_mut().zip(other.hist) {
            *sum += count;
        }
        self.longest = longer(self.longest, other.longest);
    }

    /// The wait in ns below which `permille` of the finished waits are; at most 25 % too long,
    /// never longer than the longest one, 0 without any.
    pub(crate) fn quantile_ns(&self, permille: u64) -> u64 {
        let total: u64 = self.hist.iter().sum();
        let rank = (total * permille).div_ceil(1000).max(1);
        let mut below = 0;
        let bucket = self.hist.iter().position(|count| {
            below += count;
            below >= rank
        });
        let max_ns = self.longest.map_or(u64::MAX, |record| record.wait_ns);
        bucket.map_or(0, |bucket| bucket_edge_ns(bucket).min(max_ns))
    }
}

/// All classes and CPUs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) switches: u64,
    pub(crate) wakeups: u64,
    pub(crate) migrations: u64,
    pub(crate) lost: u64,
    pub(crate) classes: [ClassTotals; CLASSES],
}

impl Totals {
    /// Sums up the CPUs. A longest wait counts if it was measured under `since_ns`.
    pub(crate) fn of_cpus(cpus: &[cpu_waits], since_ns: u64) -> Self {
        let mut totals = Self::default();
        for cpu in cpus {
            totals.switches += cpu.switch_cnt;
            totals.wakeups += cpu.wakeup_cnt;
            totals.migrations += cpu.migration_cnt;
            totals.lost += cpu.lost_cnt;
            for (sum, class) in totals.classes.iter_mut().zip(&cpu.classes) {
                let current = class.longest.seq_head > 0 && class.longest.since_ns == since_ns;
                sum.add(&ClassTotals {
                    waits: class.wait_cnt,
                    hist: class.wait_hist,
                    longest: current.then_some(class.longest.record),
                });
            }
        }
        totals
    }

    /// What was counted after `earlier`; the longest waits stay, as they know their own start.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let mut rest = *self;
        rest.switches = self.switches.saturating_sub(earlier.switches);
        rest.wakeups = self.wakeups.saturating_sub(earlier.wakeups);
        rest.migrations = self.migrations.saturating_sub(earlier.migrations);
        rest.lost = self.lost.saturating_sub(earlier.lost);
        for (class, before) in rest.classes.iter_mut().zip(&earlier.classes) {
            class.waits = class.waits.saturating_sub(before.waits);
            for (count, before) in class.hist.iter_mut().zip(before.hist) {
                *count = count.saturating_sub(before);
            }
        }
        rest
    }
}

/// The longer of two waits.
pub(crate) fn longer(a: Option<wait_record>, b: Option<wait_record>) -> Option<wait_record> {
    a.into_iter().chain(b).max_by_key(|record| record.wait_ns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intf::bucket_of_ns;

    fn record(wait_ns: u64, pid: u32) -> wait_record {
        wait_record {
            wait_ns,
            pid,
            ..Default::default()
        }
    }

    fn cpu(waits_ns: &[u64], since_ns: u64, pid: u32) -> cpu_waits {
        let mut cpu = cpu_waits {
            switch_cnt: 10,
            ..Default::default()
        };
        let class = &mut cpu.classes[0];
        for &ns in waits_ns {
            class.wait_cnt += 1;
            class.wait_hist[bucket_of_ns(ns)] += 1;
        }
        class.longest.seq_head = 1;
        class.longest.seq_tail = 1;
        class.longest.since_ns = since_ns;
        class.longest.record = record(waits_ns.iter().copied().max().unwrap_or(0), pid);
        cpu
    }

    #[test]
    fn quantile_is_at_most_a_quarter_too_long_and_never_too_short() {
        let waits: Vec<u64> = (1..=1000).map(|i| i * 1_000).collect();
        let class = Totals::of_cpus(&[cpu(&waits, 7, 1)], 7).classes[0];
        for permille in [1, 250, 500, 990, 999, 1000] {
            let exact = permille * 1_000;
            let shown = class.quantile_ns(permille);
            assert!(shown >= exact, "{permille}: {shown} < {exact}");
            assert!(
                shown * 4 <= exact * 5,
                "{permille}: {shown} > 1.25 * {exact}"
            );
        }
    }

    #[test]
    fn quantile_never_exceeds_the_longest_wait_and_is_0_without_waits() {
        let class = Totals::of_cpus(&[cpu(&[300_001], 7, 1)], 7).classes[0];
        assert_eq!(class.quantile_ns(500), 300_001);
        assert_eq!(ClassTotals::default().quantile_ns(999), 0);
    }

    #[test]
    fn cpus_add_up_and_the_longest_wait_of_any_wins() {
        let totals = Totals::of_cpus(&[cpu(&[100, 5_000], 7, 1), cpu(&[9_000], 7, 2)], 7);
        assert_eq!(totals.switches, 20);
        assert_eq!(totals.classes[0].waits, 3);
        assert_eq!(totals.classes[0].longest.map(|record| record.pid), Some(2));
    }

    #[test]
    fn a_longest_wait_from_before_the_reset_does_not_count() {
        let totals = Totals::of_cpus(&[cpu(&[9_000], 6, 1), cpu(&[5_000], 7, 2)], 7);
        assert_eq!(totals.classes[0].longest.map(|record| record.pid), Some(2));
    }

    #[test]
    fn counts_from_before_the_reset_are_taken_off() {
        let before = Totals::of_cpus(&[cpu(&[5_000], 7, 1)], 7);
        let after = Totals::of_cpus(&[cpu(&[5_000, 80_000], 7, 1)], 7);
        let rest = after.since(&before).classes[0];
        assert_eq!(rest.waits, 1);
        assert_eq!(rest.hist[bucket_of_ns(5_000)], 0);
        assert_eq!(rest.hist[bucket_of_ns(80_000)], 1);
    }
}
