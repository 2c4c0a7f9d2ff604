//! Boots a stock sched_ext kernel under QEMU and runs one command there.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use vmtest::emulator::Emulator;
use vmtest::failure::{Failure, Result};
use vmtest::guest::{GuestCommand, Vm};
use vmtest::kernel::Kernel;
use vmtest::machine::{Clock, Machine, Shape};

/// Boots a stock sched_ext kernel under QEMU and runs one command there.
///
/// Exit code: the command's own; 2 bad usage, 96 something is missing, 97 the VM ended without a
/// result, 98 a host error, 124 the time limit, 130 interrupted.
#[derive(Parser)]
#[command(name = "vmrun", version)]
struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Put kernels, and a newer QEMU where the installed one is too old, into the cache
    /// ($SCX_GAMER_CACHE, or scx_gamer in the user's cache directory).
    Fetch {
        /// Ask the archive for a newer one even if the cache has one that fits.
        #[arg(long)]
        update: bool,
        /// 6.18, 7, or an exact release.
        #[arg(required = true)]
        kernels: Vec<String>,
    },
    /// Run a command in the VM, as root, over this machine's own root file system.
    Run(Box<Run>),
}

#[derive(Args)]
struct Run {
    /// 6.18, 7, an exact release, a path (image, or directory of a kernel), or "running".
    #[arg(long, env = "KERNEL", default_value = "6.18")]
    kernel: String,
    /// Number of CPUs (default: from the other numbers, at least 2).
    #[arg(long)]
    cpus: Option<u32>,
    /// Sockets, each with its own last-level cache.
    #[arg(long, default_value_t = 1)]
    sockets: u32,
    /// Cores of each socket.
    #[arg(long)]
    cores: Option<u32>,
    /// SMT threads of each core.
    #[arg(long, default_value_t = 1)]
    threads: u32,
    /// NUMA nodes.
    #[arg(long, default_value_t = 1)]
    numa: u32,
    /// How the guest's time passes.
    #[arg(long, value_enum, default_value_t)]
    clock: Clock,
    /// Idle CPUs poll instead of halting.
    #[arg(long)]
    idle_poll: bool,
    /// Memory in MiB.
    #[arg(long, default_value_t = 3072, value_parser = clap::value_parser!(u32).range(256..))]
    mem: u32,
    /// Host wall-clock limit in seconds.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Directory that the guest may write; /mnt/share there.
    #[arg(long)]
    share: Option<PathBuf>,
    /// Further kernel arguments.
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    append: String,
    /// Further modules to load, separated by commas.
    #[arg(long, value_delimiter = ',')]
    modules: Vec<String>,
    /// Environment variable for the command, as NAME=VALUE.
    #[arg(long)]
    env: Vec<String>,
    /// Boot systemd as init and run the command as a unit.
    #[arg(long)]
    systemd: bool,
    /// The command and its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

impl Run {
    fn go(self) -> Result<u8> {
        let machine = Machine {
            shape: Shape::new(self.cpus, self.sockets, self.cores, self.threads, self.numa)?,
            clock: self.clock,
            mem_mib: self.mem,
            limit: Duration::from_secs(self.timeout),
            idle_poll: self.idle_poll,
            systemd: self.systemd,
            share: self.share.map(shared_dir).transpose()?,
            modules: self.modules,
            append: self.append,
        };
        let mut command = GuestCommand::new(self.command);
        for pair in &self.env {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| Failure::Usage(format!("--env {pair}: give NAME=VALUE")))?;
            command = command.env(name, value)?;
        }
        let kernel = Kernel::ensure(&self.kernel)?;
        let outcome = Vm::boot(&kernel, &machine, &command)?.finish(&mut |chunk| {
            // A reader that went away is no reason to stop the command.
            let _ = stdout().write_all(chunk).and_then(|()| stdout().flush());
        })?;
        Ok(outcome.code)
    }
}

fn shared_dir(dir: PathBuf) -> Result<PathBuf> {
    match dir.canonicalize() {
        Ok(path) if path.is_dir() => Ok(path),
        _ => Err(Failure::Usage(format!(
            "--share {}: not a directory",
            dir.display()
        ))),
    }
}

fn fetch(kernels: &[String], update: bool) -> Result<u8> {
    Emulator::find()?;
    for word in kernels {
        let kernel = if update {
            Kernel::fetch(word)?
        } else {
            Kernel::ensure(word)?
        };
        println!("{}", kernel.release);
    }
    Ok(0)
}

fn main() -> ExitCode {
    let done = match Cli::parse().action {
        Action::Fetch { update, kernels } => fetch(&kernels, update),
        Action::Run(run) => run.go(),
    };
    ExitCode::from(done.unwrap_or_else(|failure| {
        eprintln!("vmrun: {failure}");
        failure.exit_code()
    }))
}
