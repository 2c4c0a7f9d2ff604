//! Counts, instruction by instruction, what the programs of a sched_ext scheduler do in the kernel.

use std::fs;
use std::io::{BufReader, PipeWriter};
use std::os::fd::AsRawFd;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Parser;
use serde_json::json;
use vmtest::failure::Result;
use vmtest::guest::{GuestCommand, Vm};
use vmtest::kernel::Kernel;
use vmtest::machine::{Clock, Machine, Shape};
use vmtest::profile::{Part, Profile, Symbols};
use vmtest::qmp::Qmp;

/// The VM's own limit; a look takes minutes.
const LIMIT: Duration = Duration::from_secs(3600);
/// Functions that are named of each program, the most expensive.
const FUNCTION_CNT: usize = 12;
const MILLION: u64 = 1_000_000;

/// Counts, instruction by instruction, what the programs of a sched_ext scheduler do in the kernel: boots a
/// VM, runs the command there, and looks as soon as its scheduler has been at work for five seconds.
///
/// Exit code: as vmrun's.
#[derive(Parser)]
#[command(name = "vmprofile", version)]
struct Cli {
    /// 6.18, 7, an exact release, or a path.
    #[arg(long, env = "KERNEL", default_value = "6.18")]
    kernel: String,
    /// Number of CPUs.
    #[arg(long, default_value_t = 1)]
    cpus: u32,
    /// How many million instructions are looked at; the emulator tells about one in a second.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    millions: u64,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("vmprofile: {failure}");
            failure.exit_code().into()
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    let share = tempfile::tempdir().context("a directory for the guest")?;
    let machine = Machine {
        shape: Shape::flat(cli.cpus)?,
        clock: Clock::Counted,
        limit: LIMIT,
        share: Some(share.path().to_owned()),
        ..Machine::default()
    };
    let script = [
        "/bin/sh",
        "-c",
        include_str!("../guest_scripts/profile.sh"),
        "profile",
    ];
    let command = script.map(str::to_owned).into_iter().chain(cli.command);
    let kernel = Kernel::ensure(&cli.kernel)?;
    let mut vm = Vm::boot(
        &kernel,
        &machine,
        &GuestCommand::new(command.collect::<Vec<_>>()),
    )?;
    vm.wait_for("profile: ready", &mut |chunk| {
        eprint!("{}", String::from_utf8_lossy(chunk))
    })?;
    let kallsyms =
        fs::read_to_string(share.path().join("kallsyms")).context("the guest's symbols")?;
    let profile = look(vm, Symbols::parse(&kallsyms), cli.millions * MILLION)?;
    print(&profile);
    Ok(())
}

/// Looks at so many instructions, then ends the VM.
fn look(vm: Vm, symbols: Symbols, wanted: u64) -> Result<Profile> {
    let (reader, writer) = std::io::pipe().context("a pipe for QEMU's log")?;
    let (enough, is_enough) = mpsc::channel();
    let mut qmp = vm.qmp()?;
    let counting = thread::spawn(move || {
        let mut profile = Profile::new(symbols);
        profile
            .read(&mut BufReader::new(reader), |seen| {
                if seen.is_multiple_of(10 * MILLION) && seen < wanted {
                    eprintln!(
                        "{} of {} million instructions",
                        seen / MILLION,
                        wanted / MILLION
                    );
                }
                if seen == wanted {
                    let _ = enough.send(());
                }
            })
            .map(|()| profile)
    });
    begin_log(&mut qmp, writer)?;
    is_enough
        .recv_timeout(LIMIT)
        .context("QEMU tells too little of what it executes")?;
    monitor(&mut qmp, "stop")?;
    drop(vm);
    counting
        .join()
        .map_err(|_| anyhow!("the counting thread panicked"))?
}

fn begin_log(qmp: &mut Qmp, writer: PipeWriter) -> Result<()> {
    let path = format!("/proc/{}/fd/{}", std::process::id(), writer.as_raw_fd());
    monitor(qmp, "stop")?;
    monitor(qmp, &format!("logfile {path}"))?;
    monitor(qmp, "one-insn-per-tb on")?;
    monitor(qmp, "log exec,nochain")?;
    monitor(qmp, "cont")
}

/// What a person would type at QEMU's monitor; it answers with an empty text, or with what is wrong.
fn monitor(qmp: &mut Qmp, line: &str) -> Result<()> {
    let answer = qmp.execute("human-monitor-command", &json!({ "command-line": line }))?;
    match answer.as_str() {
        Some("") => Ok(()),
        _ => Err(anyhow!("QEMU refused {line:?}: {answer}").into()),
    }
}

fn print(profile: &Profile) {
    let parts = profile.parts();
    let switches = parts.iter().find(|part| part.program.ends_with("_running"));
    println!("{} instructions in the kernel and outside", profile.seen);
    for part in &parts {
        println!("\n{}", head_of(part, switches));
        for (function, count) in part.functions.iter().take(FUNCTION_CNT) {
            println!("  {:10.1} {function}", ratio(*count, part.calls));
        }
    }
    if let Some(switches) = switches {
        let all: u64 = parts.iter().map(Part::instructions).sum();
        println!(
            "\nall programs: {:.0} instructions a switch, of which there are {}",
            ratio(all, switches.calls),
            switches.calls
        );
    }
}

fn head_of(part: &Part, switches: Option<&Part>) -> String {
    let mut head = format!(
        "{:<28} {} calls of {:.0} instructions",
        part.program,
        part.calls,
        ratio(part.instructions(), part.calls)
    );
    if let Some(switches) = switches {
        head += &format!(
            "; {:.0} a switch",
            ratio(part.instructions(), switches.calls)
        );
    }
    head
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn ratio(of: u64, by: u64) -> f64 {
    of as f64 / by.max(1) as f64
}
