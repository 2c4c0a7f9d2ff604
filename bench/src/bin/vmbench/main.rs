//! vmbench: runs the arena in the VM, one boot per topology and kernel, with progress and resume.

mod boots;

use anyhow::{Context, Result};
use arena::progress::{Bar, Event, Progress};
use arena::results::{Results, Status};
use boots::{Boot, Set};
use clap::Parser;
use indicatif::MultiProgress;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use vmtest::failure::Failure;
use vmtest::guest::{GuestCommand, Vm};
use vmtest::kernel::Kernel;
use vmtest::machine::{Clock, Machine};

/// No boot takes longer.
const LIMIT: Duration = Duration::from_secs(12 * 3600);
/// Where the guest sees the directory of its results.
const GUEST_OUT: &str = "/mnt/share";

/// Runs a set of boots of the arena in the VM.
#[derive(Parser)]
#[command(name = "vmbench", version)]
struct Cli {
    /// Which boots
    #[arg(value_enum)]
    set: Set,
    /// Directory of the results; a run that was cut short there is gone on with
    #[arg(long)]
    out: PathBuf,
    /// Rounds, instead of the set's
    #[arg(long)]
    rounds: Option<u32>,
    /// Measured seconds of a cell, instead of the set's
    #[arg(long)]
    seconds: Option<f64>,
    /// How the guest's time passes
    #[arg(long, value_enum, default_value = "counted")]
    clock: Clock,
    /// Measure anew what is there
    #[arg(long)]
    fresh: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(run(&cli).unwrap_or_else(|error| {
        eprintln!("vmbench: {error:#}");
        error
            .downcast_ref::<Failure>()
            .map_or(arena::EXIT_FAILURE, Failure::exit_code)
    }))
}

fn run(cli: &Cli) -> Result<u8> {
    let peers = vmtest::cache::dir("peers")?.join("bin");
    if !peers.is_dir() {
        eprintln!("no other schedulers take part: make bench-peers builds them, once");
    }
    let bars = MultiProgress::new();
    let boots: Vec<(Boot, PathBuf)> = cli
        .set
        .boots()
        .into_iter()
        .map(|boot| (boot, cli.out.join(boot.name)))
        .collect();
    // Each boot waits for a CPU of the host by itself; those that fit run side by side.
    let ended: Vec<Result<u8>> = thread::scope(|scope| {
        let running: Vec<_> = boots
            .iter()
            .map(|(boot, dir)| scope.spawn(|| play(cli, boot, dir, &peers, &bars)))
            .collect();
        let joined = running.into_iter().map(thread::ScopedJoinHandle::join);
        joined
            .map(|ended| ended.unwrap_or_else(|_| Err(anyhow::anyhow!("a boot's thread panicked"))))
            .collect()
    });
    // What there is, is reported, whatever became of other boots.
    let mut dirs: Vec<PathBuf> = boots.into_iter().map(|(_, dir)| dir).collect();
    dirs.retain(|dir| matches!(Results::load(dir), Ok(Some(_))));
    if !dirs.is_empty() {
        arena::session::report(&dirs, &cli.out)?;
    }
    let mut code = 0;
    for ended in ended {
        code = code.max(ended?);
    }
    Ok(code)
}

/// One boot.
fn play(cli: &Cli, boot: &Boot, dir: &Path, peers: &Path, bars: &MultiProgress) -> Result<u8> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let dir = dir.canonicalize()?;
    if !cli.fresh
        && let Some(results) = Results::load(&dir)?
        && results.status == Status::Complete
    {
        let anew = "to measure anew: --fresh, or FRESH=1 with make";
        anyhow::ensure!(
            is_what_is_asked_for(cli, boot, &results),
            "{} holds finished results of something else; {anew}",
            dir.display()
        );
        eprintln!("{} holds finished results; {anew}", dir.display());
        return Ok(0);
    }
    let kernel = Kernel::ensure(boot.kernel)?;
    let machine = Machine {
        shape: boot.topology.shape()?,
        clock: cli.clock,
        limit: LIMIT,
        idle_poll: cli.clock == Clock::Parallel,
        share: Some(dir),
        ..Machine::default()
    };
    let mut bar = Bar::new(bars, boot.name);
    // The share keeps its owner in the guest, where root runs the arena for whoever runs us.
    let uid = nix::unistd::geteuid().to_string();
    let command = GuestCommand::new(guest_command(cli, boot, peers)?).env("SUDO_UID", &uid)?;
    let mut rest = Vec::new();
    let outcome = Vm::boot(&kernel, &machine, &command)?.finish(&mut |chunk| {
        rest.extend_from_slice(chunk);
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            match Event::parse(&line) {
                Some(event) => bar.hear(&event),
                None => bar.say(line.trim_end()),
            }
        }
    })?;
    Ok(outcome.code)
}

fn rounds(cli: &Cli, boot: &Boot) -> u32 {
    cli.rounds.unwrap_or(boot.rounds)
}

fn seconds(cli: &Cli, boot: &Boot) -> f64 {
    cli.seconds.unwrap_or(boot.seconds)
}

fn clock(cli: &Cli) -> &'static str {
    match cli.clock {
        Clock::Counted => "counted",
        Clock::Parallel => "parallel",
    }
}

fn is_what_is_asked_for(cli: &Cli, boot: &Boot, results: &Results) -> bool {
    let courses = boot.courses.iter().map(|course| course.parse());
    let plan = &results.plan;
    plan.rounds == rounds(cli, boot)
        && (plan.seconds - seconds(cli, boot)).abs() < f64::EPSILON
        && courses.eq(plan.courses.iter().cloned().map(Ok))
        && results.machine.clock == clock(cli)
}

/// The arena's command line in the guest.
fn guest_command(cli: &Cli, boot: &Boot, peers: &Path) -> Result<Vec<String>> {
    let program = std::env::current_exe()
        .context("cannot find this program's own file")?
        .with_file_name("scx_gamer-bench");
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .context("a path is not UTF-8")
    };
    let mut command = vec![text(&program)?];
    let mut flag = |name: &str, value: String| command.push(format!("--{name}={value}"));
    flag("out", GUEST_OUT.into());
    flag("progress", "json".into());
    flag("clock", clock(cli).into());
    flag("machine", boot.topology.words().into());
    flag("made-by", cli.set.command().into());
    flag("rounds", rounds(cli, boot).to_string());
    flag("seconds", seconds(cli, boot).to_string());
    flag("scenario", boot.courses.join(","));
    match boot.field {
        boots::Field::All => {
            flag("peers", text(peers)?);
            command.push("--oracle".into());
        }
        boots::Field::Two => {}
        boots::Field::Ablation => command.push("--ablation".into()),
    }
    if cli.fresh {
        command.push("--fresh".into());
    }
    Ok(command)
}
