//! Which CPUs suit the pipeline better than others.

use std::collections::BTreeSet;

/// What one CPU has to offer.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuTraits {
    /// Linux CPU id.
    pub(super) cpu: usize,
    /// How quick it is, relative to the quickest (1024): by the ranking of preferred cores, its highest
    /// performance, its capacity or its highest clock rate, the first of these in which CPUs differ.
    pub(super) capacity: usize,
    /// All caches of the CPUs that share its last-level cache.
    pub(super) cache_bytes: usize,
}

/// CPUs differ in cache if one has half as much again as another. A second die with stacked cache has more
/// than twice as much.
const CACHE_RATIO: (usize, usize) = (3, 2);

/// A CPU below this part of the best is not fast. Preferred cores of one kind differ by a tenth, E
/// cores have three quarters of a P core or less.
const CAPACITY_PCT: usize = 85;

/// The CPUs on which a game runs best, if that is not all of them: of those with much more cache than
/// others the quick ones. (A game gains more from a cache that holds its data than from a tenth of clock
/// rate, which is what the die without that cache has more.)
pub(super) fn fast_cpus(cpus: &[CpuTraits]) -> BTreeSet<usize> {
    let largest = cpus.iter().map(|cpu| cpu.cache_bytes).max().unwrap_or(0);
    let (times, of) = CACHE_RATIO;
    let has_cache =
        |cpu: &&CpuTraits| cpu.cache_bytes.saturating_mul(times) >= largest.saturating_mul(of);
    let near = || cpus.iter().filter(has_cache);
    let quickest = near().map(|cpu| cpu.capacity).max().unwrap_or(0);
    let is_quick = |cpu: &&CpuTraits| {
        cpu.capacity.saturating_mul(100) >= quickest.saturating_mul(CAPACITY_PCT)
    };
    let fast: BTreeSet<usize> = near().filter(is_quick).map(|cpu| cpu.cpu).collect();
    if fast.len() == cpus.len() {
        return BTreeSet::new();
    }
    fast
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: usize = 1 << 20;
    const NONE: [usize; 0] = [];

    /// CPUs in their order, as (capacity, cache in bytes).
    fn fast(cpus: &[(usize, usize)]) -> Vec<usize> {
        let traits = cpus.iter().enumerate();
        let traits = traits.map(|(cpu, &(capacity, cache_bytes))| CpuTraits {
            cpu,
            capacity,
            cache_bytes,
        });
        fast_cpus(&traits.collect::<Vec<_>>()).into_iter().collect()
    }

    #[test]
    fn cpus_of_one_kind_are_all_alike() {
        assert_eq!(fast(&[(1024, 4 * MB); 4]), NONE);
        assert_eq!(fast(&[(0, 0); 4]), NONE, "nothing is known");
        assert_eq!(fast(&[]), NONE);
    }

    #[test]
    fn preferred_cores_of_one_kind_are_all_alike() {
        assert_eq!(fast(&[(1024, MB), (990, MB), (950, MB), (900, MB)]), NONE);
    }

    #[test]
    fn p_cores_are_fast_beside_e_cores_of_the_same_cache_and_of_none() {
        let (p, e, low_power) = ((1024, 36 * MB), (650, 36 * MB), (600, 2 * MB));
        assert_eq!(fast(&[p, p, e, e]), [0, 1]);
        assert_eq!(fast(&[p, p, e, e, low_power, low_power]), [0, 1]);
    }

    #[test]
    fn the_die_with_stacked_cache_is_fast_though_its_clock_is_slower() {
        let (stacked, plain) = ((900, 104 * MB), (1024, 40 * MB));
        assert_eq!(fast(&[stacked, stacked, plain, plain]), [0, 1]);
    }
}
