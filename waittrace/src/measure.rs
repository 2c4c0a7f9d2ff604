//! One measurement: a command's life or a number of seconds, ended early by a signal.

use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::Pid;
use waittrace::{Tracer, WaitReport};

use crate::cli::Cli;

const EXIT_FAILED: u8 = 125;
const EXIT_CANNOT_RUN: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;
/// `si_code` of a signal from the kernel: a key in the terminal, which the command got as well.
const SI_KERNEL: i32 = 0x80;

/// The command could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {command:?}")]
struct SpawnError {
    command: OsString,
    source: std::io::Error,
}

/// The exit code for an error of [`run`].
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<SpawnError>() {
        Some(spawn) if spawn.source.kind() == ErrorKind::NotFound => EXIT_NOT_FOUND,
        Some(_) => EXIT_CANNOT_RUN,
        None => EXIT_FAILED,
    }
}

/// Measures as `cli` says, writes the report and returns the exit code.
pub(crate) fn run(cli: &Cli) -> Result<u8> {
    let mut out = open_out(cli)?;
    let signals = block_signals()?;
    let tracer = Tracer::start()?;
    if let Some(seconds) = cli.seconds {
        wait_seconds(&signals, seconds)?;
        write_report(cli, &mut out, &tracer.report()?)?;
        return Ok(0);
    }
    let mut command = Command::new(&cli.command[0]);
    let child = command
        .args(&cli.command[1..])
        .spawn()
        .map_err(|source| SpawnError {
            command: cli.command[0].clone(),
            source,
        })?;
    let (report, status) = follow(&signals, &tracer, child)?;
    write_report(cli, &mut out, &report)?;
    Ok(code_of(status))
}

/// Opened before anything runs, so that a wrong path costs no measurement.
fn open_out(cli: &Cli) -> Result<Box<dyn Write>> {
    Ok(match &cli.out {
        Some(path) => Box::new(
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?,
        ),
        None => Box::new(std::io::stdout()),
    })
}

fn write_report(cli: &Cli, out: &mut dyn Write, report: &WaitReport) -> Result<()> {
    let text = if cli.json {
        serde_json::to_string_pretty(report)? + "\n"
    } else {
        report.to_string()
    };
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("cannot write the report")
}

/// From here on these signals are read, not delivered. A started command gets them unblocked.
fn block_signals() -> Result<SignalFd> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGCHLD] {
        set.add(signal);
    }
    set.thread_block().context("cannot block signals")?;
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).context("cannot read signals")
}

fn wait_seconds(signals: &SignalFd, seconds: u32) -> Result<()> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)
        .context("cannot create a timer")?;
    let after = Expiration::OneShot(Duration::from_secs(seconds.into()).into());
    timer
        .set(after, TimerSetTimeFlags::empty())
        .context("cannot set the timer")?;
    let mut fds = [
        PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        PollFd::new(timer.as_fd(), PollFlags::POLLIN),
    ];
    loop {
        match poll(&mut fds, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            done => return done.map(drop).context("cannot wait"),
        }
    }
}

/// Waits for the command to end. A first SIGINT or SIGTERM ends the measurement and is passed
/// on, a second one kills the command.
fn follow(
    signals: &SignalFd,
    tracer: &Tracer,
    mut child: Child,
) -> Result<(WaitReport, ExitStatus)> {
    let mut early: Option<WaitReport> = None;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for the command")? {
            let report = early.map_or_else(|| tracer.report(), Ok)?;
            return Ok((report, status));
        }
        let Some(info) = signals.read_signal().context("cannot read signals")? else {
            continue;
        };
        let signal = i32::try_from(info.ssi_signo)
            .ok()
            .and_then(|n| Signal::try_from(n).ok());
        match signal {
            None | Some(Signal::SIGCHLD) => {}
            Some(_) if early.is_some() => child.kill().context("cannot kill the command")?,
            Some(signal) => {
                early = Some(tracer.report()?);
                if info.ssi_code != SI_KERNEL {
                    let pid = Pid::from_raw(i32::try_from(child.id())?);
                    kill(pid, signal).context("cannot pass the signal on to the command")?;
                }
            }
        }
    }
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok())
        .unwrap_or(EXIT_FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_the_commands_own_or_names_its_signal() {
        assert_eq!(code_of(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(code_of(ExitStatus::from_raw(libc_sigkill())), 137);
    }

    #[test]
    fn a_missing_command_is_told_from_one_that_cannot_run() {
        let error = |kind: ErrorKind| {
            anyhow::Error::new(SpawnError {
                command: "x".into(),
                source: kind.into(),
            })
        };
        assert_eq!(exit_code(&error(ErrorKind::NotFound)), 127);
        assert_eq!(exit_code(&error(ErrorKind::PermissionDenied)), 126);
        assert_eq!(exit_code(&anyhow::anyhow!("other")), 125);
    }

    fn libc_sigkill() -> i32 {
        Signal::SIGKILL as i32
    }
}
