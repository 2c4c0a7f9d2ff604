//! Where programs in the kernel spend their instructions: the emulator executes one at a time and says which,
//! and each is counted for the program that runs on that CPU then.
//!
//! A program runs from its first instruction until whoever called it goes on; an interrupt that comes meanwhile
//! counts for it, as it does in the kernel's own statistics.

use std::collections::HashMap;
use std::io::BufRead;

use anyhow::Context;

use crate::failure::Result;

/// Below are user space's addresses.
const KERNEL_START: u64 = 0xffff_8000_0000_0000;
/// How the kernel names a program: this, the digits of its tag, and the name that it was given.
const PROGRAM_PREFIX: &str = "bpf_prog_";
const TAG_LEN: usize = 16;

/// The kernel's functions, by address.
pub struct Symbols {
    starts: Vec<u64>,
    names: Vec<String>,
}

impl Symbols {
    /// From the text of `/proc/kallsyms`, as root reads it with `net.core.bpf_jit_kallsyms` at 1.
    #[must_use]
    pub fn parse(kallsyms: &str) -> Self {
        let mut functions: Vec<(u64, &str)> = kallsyms
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace();
                let start = u64::from_str_radix(words.next()?, 16).ok()?;
                let kind = words.next()?;
                (matches!(kind, "t" | "T" | "w" | "W") && start >= KERNEL_START)
                    .then_some((start, words.next()?))
            })
            .collect();
        functions.sort_unstable();
        functions.dedup_by_key(|(start, _)| *start);
        Self {
            starts: functions.iter().map(|(start, _)| *start).collect(),
            names: functions.iter().map(|(_, name)| short(name)).collect(),
        }
    }

    fn find(&self, address: u64) -> Option<usize> {
        self.starts
            .partition_point(|start| *start <= address)
            .checked_sub(1)
    }

    fn is_program(&self, function: usize) -> bool {
        self.names[function].starts_with(PROGRAM_PREFIX)
    }
}

/// A program's name without its tag.
fn short(name: &str) -> String {
    name.strip_prefix(PROGRAM_PREFIX)
        .and_then(|rest| rest.get(TAG_LEN + 1..))
        .map_or_else(|| name.to_owned(), |own| format!("{PROGRAM_PREFIX}{own}"))
}

/// What one CPU is at.
#[derive(Default)]
struct Cpu {
    /// The programs that run there, each with the function that called it; the last one is inside the others.
    running: Vec<(usize, usize)>,
    last: Option<usize>,
}

/// The instructions that were seen.
pub struct Profile {
    symbols: Symbols,
    cpus: Vec<Cpu>,
    calls: HashMap<usize, u64>,
    /// By program and function.
    counts: HashMap<(usize, usize), u64>,
    /// All of them, those of no program too.
    pub seen: u64,
}

/// The part of one program.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub program: String,
    /// How often it was called.
    pub calls: u64,
    /// Its instructions, by function, the most first; its own functions keep the prefix of programs.
    pub functions: Vec<(String, u64)>,
}

impl Part {
    /// All instructions, those of the kernel's functions that it calls too.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        self.functions.iter().map(|(_, count)| count).sum()
    }
}

impl Profile {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(symbols: Symbols) -> Self {
        Self {
            symbols,
            cpus: Vec::new(),
            calls: HashMap::new(),
            counts: HashMap::new(),
            seen: 0,
        }
    }

    /// Counts what the emulator's log says, to its end; `after` is told how many, after each.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn read(&mut self, log: &mut dyn BufRead, mut after: impl FnMut(u64)) -> Result<()> {
        let mut line = Vec::new();
        while log.read_until(b'\n', &mut line).context("QEMU's log")? > 0 {
            if let Some((cpu, address)) = parse_line(&line) {
                self.see(cpu, address);
                after(self.seen);
            }
            line.clear();
        }
        Ok(())
    }

    fn see(&mut self, cpu: usize, address: u64) {
        if self.cpus.len() <= cpu {
            self.cpus.resize_with(cpu + 1, Cpu::default);
        }
        let cpu = &mut self.cpus[cpu];
        self.seen += 1;
        // No program is running in user space: the end of one was missed.
        let Some(function) = (address >= KERNEL_START)
            .then(|| self.symbols.find(address))
            .flatten()
        else {
            *cpu = Cpu::default();
            return;
        };
        while cpu
            .running
            .pop_if(|(_, caller)| *caller == function)
            .is_some()
        {}
        if let Some(caller) = cpu.last
            && self.symbols.is_program(function)
            && self.symbols.starts[function] == address
            && !self.symbols.is_program(caller)
        {
            cpu.running.push((function, caller));
            *self.calls.entry(function).or_default() += 1;
        }
        cpu.last = Some(function);
        if let Some((program, _)) = cpu.running.last() {
            *self.counts.entry((*program, function)).or_default() += 1;
        }
    }

    /// The parts of all programs that were called, the largest first.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = self
            .calls
            .iter()
            .map(|(program, calls)| {
                let mut functions: Vec<(String, u64)> = self
                    .counts
                    .iter()
                    .filter(|((of, _), _)| of == program)
                    .map(|((_, function), count)| (self.symbols.names[*function].clone(), *count))
                    .collect();
                functions.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
                Part {
                    program: self.symbols.names[*program][PROGRAM_PREFIX.len()..].to_owned(),
                    calls: *calls,
                    functions,
                }
            })
            .collect();
        parts.sort_unstable_by_key(|part| std::cmp::Reverse(part.instructions()));
        parts
    }
}

/// The CPU and the address in a line of QEMU's log (`-d exec`): `Trace 0: 0x7f00 [cs/address/flags/flags] name`.
fn parse_line(line: &[u8]) -> Option<(usize, u64)> {
    let text = std::str::from_utf8(line).ok()?;
    let (cpu, rest) = text.strip_prefix("Trace ")?.split_once(':')?;
    let address = rest.split_once('[')?.1.split('/').nth(1)?;
    Some((cpu.parse().ok()?, u64::from_str_radix(address, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::{Part, Profile, Symbols, parse_line};

    const KALLSYMS: &str = "\
ffffffff81000000 T schedule
ffffffff81000100 t helper
ffffffff81000100 t helper_by_another_name
ffffffff81000200 D a_variable
ffffffffc0000000 t bpf__sched_ext_ops_enqueue\t[bpf]
ffffffffc0000100 t bpf_prog_0123456789abcdef_gamer_enqueue\t[bpf]
ffffffffc0000200 t bpf_prog_0123456789abcdef_part\t[bpf]
";

    fn profile_of(steps: &[(usize, u64)]) -> Vec<Part> {
        let mut profile = Profile::new(Symbols::parse(KALLSYMS));
        for (cpu, address) in steps {
            profile.see(*cpu, *address);
        }
        profile.parts()
    }

    #[test]
    fn a_program_has_what_it_calls_until_its_caller_goes_on() {
        let parts = profile_of(&[
            (0, 0xffff_ffff_8100_0000),
            (0, 0xffff_ffff_c000_0000),
            (0, 0xffff_ffff_c000_0100),
            (1, 0xffff_ffff_8100_0100), // another CPU
            (0, 0xffff_ffff_c000_0200), // its own part
            (0, 0xffff_ffff_8100_0104),
            (0, 0xffff_ffff_c000_0204),
            (0, 0xffff_ffff_c000_0104),
            (0, 0xffff_ffff_c000_0008), // the caller
            (0, 0xffff_ffff_8100_0100),
        ]);
        let [part] = parts.try_into().unwrap();
        assert_eq!((part.program.as_str(), part.calls), ("gamer_enqueue", 1));
        assert_eq!(part.instructions(), 5);
        let functions: Vec<(&str, u64)> = part
            .functions
            .iter()
            .map(|(name, count)| (name.as_str(), *count))
            .collect();
        assert_eq!(
            functions,
            [
                ("bpf_prog_gamer_enqueue", 2),
                ("bpf_prog_part", 2),
                ("helper", 1)
            ]
        );
    }

    #[test]
    fn user_space_ends_what_was_missed() {
        let parts = profile_of(&[
            (0, 0xffff_ffff_c000_0000),
            (0, 0xffff_ffff_c000_0100),
            (0, 0x40_0000),
            (0, 0xffff_ffff_8100_0000),
        ]);
        assert_eq!(parts[0].instructions(), 1);
    }

    #[test]
    fn other_lines_of_the_log_are_left_out() {
        let line =
            b"Trace 1: 0x7f0b08000100 [00000000/ffffffff81000000/00000030/ff020001] schedule\n";
        assert_eq!(parse_line(line), Some((1, 0xffff_ffff_8100_0000)));
        for other in [
            "",
            "cpu_io_recompile: rewound execution",
            "Trace x: [",
            "\u{fffd}",
        ] {
            assert_eq!(parse_line(other.as_bytes()), None);
        }
    }
}
