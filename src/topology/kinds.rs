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
    /// Its share of all caches.
    pub(super) cache_bytes: usize,
}

/// CPUs differ in cache if one has half as much again as another. A second die with stacked cache has three
/// times as much; the cores of a hybrid processor differ by a few per cent.
const CACHE_RATIO: (usize, usize) = (3, 2);

/// A CPU below this part of the best is not fast. Preferred cores of one kind differ by a tenth, E
/// cores have three quarters of a P core or less.
const CAPACITY_PCT: usize = 85;

/// The CPUs on which a game runs best, if that is not all of them: those with much more cache; where
/// there are none, the quick ones. (A game gains more from a cache that holds its data than from a
/// tenth of clock rate, which is what the die without that cache has more.)
pub(super) fn fast_cpus(cpus: &[CpuTraits]) -> BTreeSet<usize> {
    let largest = cpus.iter().map(|cpu| cpu.cache_bytes).max().unwrap_or(0);
    let (times, of) = CACHE_RATIO;
    let has_most =
        |cpu: &CpuTraits| cpu.cache_bytes.saturating_mul(times) > largest.saturating_mul(of);
    let quickest = cpus.iter().map(|cpu| cpu.capacity).max().unwrap_or(0);
    let is_quick =
        |cpu: &CpuTraits| cpu.capacity.saturating_mul(100) >= quickest.saturating_mul(CAPACITY_PCT);
    let chosen = |is_fast: &dyn Fn(&CpuTraits) -> bool| -> BTreeSet<usize> {
        let fast = cpus.iter().filter(|cpu| is_fast(cpu));
        fast.map(|cpu| cpu.cpu).collect()
    };
    [chosen(&has_most), chosen(&is_quick)]
        .into_iter()
        .find(|fast| fast.len() < cpus.len() && !fast.is_empty())
        .unwrap_or_default()
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
    fn p_cores_are_fast_beside_e_cores() {
        let cpus = [
            (1024, 21 * MB),
            (1000, 21 * MB),
            (650, 20 * MB),
            (650, 20 * MB),
        ];
        assert_eq!(fast(&cpus), [0, 1]);
    }

    #[test]
    fn the_die_with_stacked_cache_is_fast_though_its_clock_is_slower() {
        let cpus = [(900, 7 * MB), (900, 7 * MB), (1024, 3 * MB), (1024, 3 * MB)];
        assert_eq!(fast(&cpus), [0, 1]);
    }

    #[test]
    fn cores_without_the_large_cache_are_not_fast() {
        let cpus = [(1024, 4 * MB), (640, 4 * MB), (640, MB), (640, MB)];
        assert_eq!(fast(&cpus), [0, 1], "cache counts first");
    }
}
