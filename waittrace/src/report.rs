//! What is reported, as JSON and for a person.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::intf::{CLASSES, raw, wait_record};
use crate::totals::{ClassTotals, Totals, longer};

/// The format of [`WaitReport`]; changes whenever a reader has to.
pub const REPORT_VERSION: u32 = 1;

/// One wait and whose it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskWait {
    /// Length in µs, rounded up.
    pub wait_us: u64,
    /// Thread id.
    pub pid: u32,
    /// Process id.
    pub tgid: u32,
    /// Name of the thread.
    pub comm: String,
    /// Scheduling policy: `other`, `batch`, `ext`, `idle`, `fifo`, `rr`, `deadline`.
    pub policy: String,
    /// -20..=19.
    pub nice: i32,
    /// 1..=99 for a real-time policy, otherwise 0.
    pub rt_priority: u32,
    /// The CPU that ended the wait; of an open wait the one it was last assigned to.
    pub cpu: u32,
    /// How many CPUs the task may use.
    pub allowed_cpus: u32,
}

/// The waits of one class of tasks. Quantiles are of finished waits and at most 25 % too long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassReport {
    /// Finished waits.
    pub waits: u64,
    /// Median in µs, rounded up.
    pub p50_us: u64,
    /// 99 % in µs, rounded up.
    pub p99_us: u64,
    /// 99.9 % in µs, rounded up.
    pub p999_us: u64,
    /// The longest finished wait in µs, exact, rounded up.
    pub max_us: u64,
    /// The longest finished wait.
    pub longest_finished: Option<TaskWait>,
    /// The longest wait that had not ended when the report was made.
    pub longest_open: Option<TaskWait>,
}

impl ClassReport {
    fn new(totals: &ClassTotals, open: Option<wait_record>) -> Self {
        let quantile_us = |permille| us(totals.quantile_ns(permille));
        Self {
            waits: totals.waits,
            p50_us: quantile_us(500),
            p99_us: quantile_us(990),
            p999_us: quantile_us(999),
            max_us: totals.longest.map_or(0, |record| us(record.wait_ns)),
            longest_finished: totals.longest.as_ref().map(TaskWait::new),
            longest_open: open.as_ref().map(TaskWait::new),
        }
    }

    /// The longest wait, whether it has ended or not.
    #[must_use]
    pub fn longest(&self) -> Option<&TaskWait> {
        self.longest_finished
            .iter()
            .chain(&self.longest_open)
            .max_by_key(|wait| wait.wait_us)
    }
}

/// What the tracer saw between its start (or last reset) and the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitReport {
    /// [`REPORT_VERSION`].
    pub version: u32,
    /// Time covered, in µs.
    pub duration_us: u64,
    /// Context switches, those to and from idle included.
    pub switches: u64,
    /// Wakeups, those of new tasks included.
    pub wakeups: u64,
    /// Moves of a task from one CPU to another.
    pub migrations: u64,
    /// Events which could not be recorded for lack of kernel memory; above 0 waits are missing.
    pub lost: u64,
    /// All classes together.
    pub all: ClassReport,
    /// `SCHED_OTHER`, `SCHED_BATCH`, `SCHED_EXT`.
    pub normal: ClassReport,
    /// `SCHED_IDLE`.
    pub idle: ClassReport,
    /// `SCHED_FIFO`, `SCHED_RR`, `SCHED_DEADLINE`.
    pub rt: ClassReport,
}

impl WaitReport {
    pub(crate) fn new(totals: &Totals, open: &[wait_record], duration_ns: u64) -> Self {
        let mut all = ClassTotals::default();
        totals.classes.iter().for_each(|class| all.add(class));
        let mut longest: [Option<wait_record>; CLASSES] = [None; CLASSES];
        for record in open {
            if let Some(slot) = longest.get_mut(record.wait_class as usize) {
                *slot = longer(*slot, Some(*record));
            }
        }
        let class = |index: u32| {
            let index = index as usize;
            ClassReport::new(&totals.classes[index], longest[index])
        };
        Self {
            version: REPORT_VERSION,
            duration_us: duration_ns / 1000,
            switches: totals.switches,
            wakeups: totals.wakeups,
            migrations: totals.migrations,
            lost: totals.lost,
            all: ClassReport::new(&all, longest.into_iter().fold(None, longer)),
            normal: class(raw::WAIT_CLASS_NORMAL),
            idle: class(raw::WAIT_CLASS_IDLE),
            rt: class(raw::WAIT_CLASS_RT),
        }
    }

    /// Reads a report that was written as JSON.
    ///
    /// # Errors
    ///
    /// If `text` is not a report, or one of another [`REPORT_VERSION`].
    pub fn from_json(text: &str) -> anyhow::Result<Self> {
        let report: Self = serde_json::from_str(text)?;
        anyhow::ensure!(
            report.version == REPORT_VERSION,
            "the wait report has version {}, this program reads version {REPORT_VERSION}",
            report.version
        );
        Ok(report)
    }

    /// The longest wait of any task, whether it has ended or not.
    #[must_use]
    pub fn longest(&self) -> Option<&TaskWait> {
        self.all.longest()
    }
}

impl TaskWait {
    fn new(record: &wait_record) -> Self {
        let comm: Vec<u8> = record
            .comm
            .iter()
            .map(|&c| c.cast_unsigned())
            .take_while(|&c| c != 0)
            .collect();
        Self {
            wait_us: us(record.wait_ns),
            pid: record.pid,
            tgid: record.tgid,
            comm: String::from_utf8_lossy(&comm).into_owned(),
            policy: policy_name(record.policy),
            nice: record.nice,
            rt_priority: record.rt_priority,
            cpu: record.cpu,
            allowed_cpus: record.allowed_cnt,
        }
    }
}

fn policy_name(policy: u32) -> String {
    match policy {
        0 => "other".into(),
        1 => "fifo".into(),
        2 => "rr".into(),
        3 => "batch".into(),
        5 => "idle".into(),
        6 => "deadline".into(),
        7 => "ext".into(),
        unknown => unknown.to_string(),
    }
}

fn us(ns: u64) -> u64 {
    ns.div_ceil(1000)
}

impl fmt::Display for TaskWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A thread chooses its own name: no control characters to the terminal.
        let comm: String = self
            .comm
            .chars()
            .map(|c| if c.is_control() { '?' } else { c })
            .collect();
        write!(
            f,
            "{} us: {comm} (pid {}, process {}), ",
            self.wait_us, self.pid, self.tgid
        )?;
        match self.rt_priority {
            0 => write!(f, "{} nice {}", self.policy, self.nice)?,
            priority => write!(f, "{} priority {priority}", self.policy)?,
        }
        write!(f, ", CPU {}, may use {}", self.cpu, self.allowed_cpus)
    }
}

impl fmt::Display for WaitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}.{:03} s: {} switches, {} wakeups, {} migrations, {} lost",
            self.duration_us / 1_000_000,
            self.duration_us / 1000 % 1000,
            self.switches,
            self.wakeups,
            self.migrations,
            self.lost
        )?;
        writeln!(
            f,
            "{:<7} {:>10} {:>10} {:>10} {:>10} {:>10}",
            "waits", "count", "p50 us", "p99 us", "p99.9 us", "max us"
        )?;
        let classes = [
            ("normal", &self.normal),
            ("idle", &self.idle),
            ("rt", &self.rt),
            ("all", &self.all),
        ];
        for (name, class) in classes {
            writeln!(
                f,
                "{name:<7} {:>10} {:>10} {:>10} {:>10} {:>10}",
                class.waits, class.p50_us, class.p99_us, class.p999_us, class.max_us
            )?;
        }
        for (name, class) in &classes[..CLASSES] {
            if let Some(wait) = &class.longest_finished {
                writeln!(f, "longest {name}: {wait}")?;
            }
            if let Some(wait) = &class.longest_open {
                writeln!(f, "waiting {name}: {wait}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(wait_ns: u64, pid: u32, wait_class: u32) -> wait_record {
        let mut comm = [0; 16];
        for (to, from) in comm.iter_mut().zip(b"a\x1b[2Jb") {
            *to = from.cast_signed();
        }
        wait_record {
            wait_ns,
            pid,
            wait_class,
            comm,
            ..Default::default()
        }
    }

    fn sample() -> WaitReport {
        let mut totals = Totals {
            switches: 5,
            ..Default::default()
        };
        totals.classes[0].waits = 1;
        totals.classes[0].hist[9] = 1;
        totals.classes[0].longest = Some(record(1_500, 1, 0));
        let open = [
            record(9_000, 2, 0),
            record(7_000, 3, 0),
            record(20_000, 4, 2),
        ];
        WaitReport::new(&totals, &open, 3_000_000)
    }

    #[test]
    fn json_round_trip_keeps_everything() {
        let report = sample();
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(WaitReport::from_json(&text).unwrap(), report);
    }

    #[test]
    fn another_version_is_refused() {
        let report = WaitReport {
            version: REPORT_VERSION + 1,
            ..sample()
        };
        let text = serde_json::to_string(&report).unwrap();
        let error = WaitReport::from_json(&text).unwrap_err().to_string();
        assert!(error.contains("version 2"), "{error}");
    }

    #[test]
    fn an_open_wait_longer_than_any_finished_one_is_the_longest() {
        let report = sample();
        assert_eq!(report.normal.longest().map(|wait| wait.pid), Some(2));
        assert_eq!(
            report.longest().map(|wait| (wait.pid, wait.wait_us)),
            Some((4, 20))
        );
        assert_eq!(report.idle.longest(), None);
        assert_eq!(report.all.max_us, 2);
    }

    #[test]
    fn a_thread_name_cannot_control_the_terminal() {
        assert!(!sample().to_string().contains('\x1b'));
    }
}
