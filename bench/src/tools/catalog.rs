//! The tools: one table, read by people and by the program.

use super::parse::{self, Parser};
use crate::measure::Better;
use std::ffi::OsStr;

/// One value of a tool's output.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// What it is, with its unit.
    pub name: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Whether it says how much work is done in how much time; otherwise it is a latency.
    pub throughput: bool,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Tool {
    /// Name in results and tables.
    pub name: &'static str,
    /// What it does.
    pub sentence: &'static str,
    /// Its command line, split at blanks: `CPUS` is the number of CPUs, `2CPUS` twice that,
    /// `SECONDS` the length of its run, `LOOPS` the work that takes about that long.
    command: &'static str,
    /// Another command line that runs beside it, until it ends.
    beside: Option<&'static str>,
    /// Loops of the short run that tells how many fill the time; 0 for a tool that takes a time.
    pub probe_loops: u64,
    /// Debian's package of it.
    pub package: &'static str,
    /// Reads its output: one value for each of `readings`.
    pub parse: Parser,
    /// What it measures.
    pub readings: &'static [Reading],
}

const TIME: &[Reading] = &[Reading {
    name: "time [s]",
    better: Better::Lower,
    throughput: true,
}];
const OPS: &[Reading] = &[Reading {
    name: "ops/s",
    better: Better::Higher,
    throughput: true,
}];
const LATENCY: &[Reading] = &[
    Reading {
        name: "average [us]",
        better: Better::Lower,
        throughput: false,
    },
    Reading {
        name: "worst [us]",
        better: Better::Lower,
        throughput: false,
    },
];

/// Twice as many computing threads as CPUs, for the tools that run beside something.
const HOGS: &str = "stress-ng --cpu 2CPUS --cpu-method int64 --timeout 600";

const fn by_work(
    name: &'static str,
    sentence: &'static str,
    command: &'static str,
    probe_loops: u64,
    (package, parse, readings): (&'static str, Parser, &'static [Reading]),
) -> Tool {
    Tool {
        name,
        sentence,
        command,
        beside: None,
        probe_loops,
        package,
        parse,
        readings,
    }
}

const fn stress(name: &'static str, sentence: &'static str, command: &'static str) -> Tool {
    by_work(
        name,
        sentence,
        command,
        0,
        ("stress-ng", parse::stress_ng, OPS),
    )
}

const fn cyclictest(
    name: &'static str,
    sentence: &'static str,
    command: &'static str,
    beside: Option<&'static str>,
) -> Tool {
    Tool {
        beside,
        ..by_work(
            name,
            sentence,
            command,
            0,
            ("rt-tests", parse::cyclictest, LATENCY),
        )
    }
}

/// All tools. Work that is fixed is fixed once, with the kernel's scheduler, for both sides.
pub const TOOLS: [Tool; 11] = [
    by_work(
        "hackbench",
        "80 processes send each other messages through sockets",
        "hackbench --groups=2 --loops=LOOPS",
        20,
        ("rt-tests", parse::hackbench, TIME),
    ),
    by_work(
        "perf messaging",
        "80 threads send each other messages through pipes",
        "perf bench sched messaging --thread --pipe --group 2 --nr_loops LOOPS",
        20,
        ("linux-perf", parse::perf_messaging, TIME),
    ),
    by_work(
        "perf pipe",
        "two processes wake each other in turns",
        "perf bench sched pipe --loop LOOPS",
        2000,
        ("linux-perf", parse::perf_pipe, OPS),
    ),
    stress(
        "stress-ng cpu",
        "two processes per CPU that only compute",
        "stress-ng --cpu 2CPUS --cpu-method int64 --timeout SECONDS --metrics-brief",
    ),
    stress(
        "stress-ng switch",
        "pairs of processes that switch as often as they can",
        "stress-ng --switch CPUS --timeout SECONDS --metrics-brief",
    ),
    stress(
        "stress-ng fork",
        "processes that are made and end at once",
        "stress-ng --fork CPUS --timeout SECONDS --metrics-brief",
    ),
    stress(
        "stress-ng futex",
        "pairs of processes that wait for each other at a futex",
        "stress-ng --futex CPUS --timeout SECONDS --metrics-brief",
    ),
    stress(
        "stress-ng yield",
        "processes that give their CPU away all the time",
        "stress-ng --yield CPUS --timeout SECONDS --metrics-brief",
    ),
    cyclictest(
        "cyclictest",
        "an ordinary thread per CPU that sleeps 1 ms again and again, on an idle machine",
        "cyclictest --quiet --mlockall --policy=other --threads=CPUS --interval=1000 \
         --duration=SECONDS",
        None,
    ),
    cyclictest(
        "cyclictest beside hogs",
        "the same beside two computing processes per CPU",
        "cyclictest --quiet --mlockall --policy=other --threads=CPUS --interval=1000 \
         --duration=SECONDS",
        Some(HOGS),
    ),
    cyclictest(
        "cyclictest FIFO beside hogs",
        "the same with real-time threads: not ours to schedule, and not to be hindered",
        "cyclictest --quiet --mlockall --priority=80 --threads=CPUS --interval=1000 \
         --duration=SECONDS",
        Some(HOGS),
    ),
];

/// What the words in capitals of a command line stand for.
#[derive(Debug, Clone, Copy)]
pub struct Numbers {
    /// CPUs of the machine.
    pub cpus: usize,
    /// Length of a run [s].
    pub seconds: u32,
    /// Loops of a tool whose work is fixed.
    pub loops: u64,
}

impl Tool {
    /// The tool of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name == name)
    }

    /// Its command line.
    #[must_use]
    pub fn command(&self, numbers: Numbers) -> String {
        fill(self.command, numbers)
    }

    /// The command line of what runs beside it.
    #[must_use]
    pub fn beside(&self, numbers: Numbers) -> Option<String> {
        self.beside.map(|command| fill(command, numbers))
    }

    /// Whether its work is a number of loops, to be found out once.
    #[must_use]
    pub fn has_fixed_work(&self) -> bool {
        self.probe_loops > 0
    }

    /// What is missing to run it, if anything, and how to get it. `path` is a list of directories
    /// as in `$PATH`.
    #[must_use]
    pub fn missing(&self, path: &OsStr) -> Option<String> {
        let there = |program: &str| {
            std::env::split_paths(path).any(|directory| directory.join(program).is_file())
        };
        let own = (self.command, self.package);
        let beside = self.beside.map(|command| (command, "stress-ng"));
        [Some(own), beside]
            .into_iter()
            .flatten()
            .find_map(|(command, package)| {
                let program = command.split(' ').next()?;
                (!there(program)).then(|| format!("no {program} here: apt install {package}"))
            })
    }
}

fn fill(command: &str, numbers: Numbers) -> String {
    command
        .replace("2CPUS", &(2 * numbers.cpus).to_string())
        .replace("CPUS", &numbers.cpus.to_string())
        .replace("SECONDS", &numbers.seconds.to_string())
        .replace("LOOPS", &numbers.loops.to_string())
}

#[cfg(test)]
mod tests {
    use super::{Numbers, TOOLS, Tool};
    use std::ffi::OsStr;

    const NUMBERS: Numbers = Numbers {
        cpus: 3,
        seconds: 4,
        loops: 500,
    };

    #[test]
    fn every_word_in_capitals_becomes_a_number() {
        for tool in &TOOLS {
            for command in [Some(tool.command(NUMBERS)), tool.beside(NUMBERS)] {
                let command = command.unwrap_or_default();
                let left = ["CPUS", "SECONDS", "LOOPS"];
                assert!(!left.iter().any(|word| command.contains(word)), "{command}");
            }
            assert_eq!(tool.has_fixed_work(), tool.command.contains("LOOPS"));
        }
        let hogs = Tool::find("stress-ng cpu").unwrap().command(NUMBERS);
        assert!(hogs.contains("--cpu 6 ") && hogs.contains("--timeout 4 "));
        let work = Tool::find("perf pipe").unwrap().command(NUMBERS);
        assert!(work.ends_with("--loop 500"), "{work}");
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        for tool in &TOOLS {
            let words = tool.missing(OsStr::new("/nonexistent")).unwrap();
            assert!(words.ends_with(&format!("apt install {}", tool.package)));
        }
    }

    #[test]
    fn names_are_unique() {
        for tool in &TOOLS {
            assert_eq!(Tool::find(tool.name).unwrap().sentence, tool.sentence);
        }
    }
}
