//! What a contestant's own BPF programs cost, from the kernel's run-time statistics: the same for all.

use crate::results::ProgramCost;
use anyhow::Result;
use libbpf_rs::query::ProgInfoIter;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

/// Knows whose programs do not count.
#[derive(Debug)]
pub struct Meter {
    foreign: Programs,
}

/// A part of the time in which programs are counted: until it is dropped.
#[derive(Debug)]
pub struct Counting<'a> {
    meter: &'a Meter,
    before: Reading,
    _statistics: OwnedFd,
}

type Programs = BTreeMap<u32, ProgramCost>;

/// Counts of all programs at one moment.
#[derive(Debug)]
struct Reading(Programs);

fn programs() -> Programs {
    ProgInfoIter::default()
        .map(|info| {
            let cost = ProgramCost {
                name: info.name.to_string_lossy().into_owned(),
                runs: info.run_cnt,
                run_ns: info.run_time_ns,
            };
            (info.id, cost)
        })
        .collect()
}

impl Meter {
    /// Programs that are there already belong to others.
    #[must_use]
    pub fn start() -> Self {
        Self {
            foreign: programs(),
        }
    }

    /// Begins to count.
    ///
    /// # Errors
    /// If the kernel refuses to.
    pub fn count(&self) -> Result<Counting<'_>> {
        Ok(Counting {
            _statistics: scx_gamer::scheduler::enable_run_time_stats()?,
            before: self.read(),
            meter: self,
        })
    }

    fn read(&self) -> Reading {
        let mut programs = programs();
        programs.retain(|id, _| !self.foreign.contains_key(id));
        Reading(programs)
    }
}

impl Counting<'_> {
    /// What ran so far, most expensive first; programs of one name together.
    #[must_use]
    pub fn so_far(&self) -> Vec<ProgramCost> {
        self.meter.read().since(&self.before)
    }
}

impl Reading {
    fn since(&self, earlier: &Self) -> Vec<ProgramCost> {
        let mut by_name: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (id, now) in &self.0 {
            let (runs, run_ns) = earlier
                .0
                .get(id)
                .map_or((0, 0), |before| (before.runs, before.run_ns));
            let sum = by_name.entry(&now.name).or_default();
            sum.0 += now.runs.saturating_sub(runs);
            sum.1 += now.run_ns.saturating_sub(run_ns);
        }
        let mut costs: Vec<ProgramCost> = by_name
            .into_iter()
            .filter(|(_, (runs, _))| *runs > 0)
            .map(|(name, (runs, run_ns))| ProgramCost {
                name: name.to_owned(),
                runs,
                run_ns,
            })
            .collect();
        costs.sort_by_key(|cost| std::cmp::Reverse(cost.run_ns));
        costs
    }
}

#[cfg(test)]
mod tests {
    use super::{ProgramCost, Reading};

    fn reading(programs: &[(u32, &str, u64, u64)]) -> Reading {
        let cost = |&(id, name, runs, run_ns): &(u32, &str, u64, u64)| {
            let name = name.to_owned();
            (id, ProgramCost { name, runs, run_ns })
        };
        Reading(programs.iter().map(cost).collect())
    }

    #[test]
    fn programs_of_one_name_are_summed_and_idle_ones_left_out() {
        let before = reading(&[(1, "enqueue", 10, 100), (2, "dump", 0, 0)]);
        let after = reading(&[
            (1, "enqueue", 15, 700),
            (2, "dump", 0, 0),
            (3, "enqueue", 1, 50),
            (4, "tick", 9, 9000),
        ]);
        let since = after.since(&before);
        let short: Vec<_> = since
            .iter()
            .map(|cost| (cost.name.as_str(), cost.runs, cost.run_ns))
            .collect();
        assert_eq!(short, [("tick", 9, 9000), ("enqueue", 6, 650)]);
    }
}
