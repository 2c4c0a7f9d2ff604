//! The client a person looks at: asks the running daemon for statistics and prints plain lines.
//!
//! It loads nothing into the kernel. Once it has found a daemon, it survives that daemon's restarts.

mod explain;
mod lines;
pub(crate) mod units;

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use crossbeam::channel::{Receiver, RecvTimeoutError};
use scx_stats::StatsClient;

pub use lines::{LinePrinter, WIDTH};

use crate::error::Error;
use crate::stats::Metrics;

/// How long the daemon may take to answer.
const ANSWER_TIMEOUT_MS: u64 = 3000;
/// How often an absent daemon is looked for.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Prints a line every `interval` to `out` until `stop` gets a message or its sender is dropped, or
/// until nobody reads `out` any more.
///
/// # Errors
/// If no daemon of ours answers at `socket` at first ([`Error::NoDaemon`],
/// [`Error::SocketNotPermitted`], [`Error::ForeignDaemon`]), or if `out` cannot be written.
pub fn run(
    socket: &Path,
    interval: Duration,
    stop: &Receiver<()>,
    out: &mut impl Write,
) -> Result<()> {
    until_nobody_reads(watch(socket, interval, stop, out))
}

/// Prints to `out` what the daemon at `socket` knows about the process `pid` and its threads, and
/// what its detectors cost.
///
/// # Errors
/// As [`run`], and if there is no such process.
pub fn explain(socket: &Path, pid: u32, stop: &Receiver<()>, out: &mut impl Write) -> Result<()> {
    until_nobody_reads(explain::explain(socket, pid, stop, out))
}

fn until_nobody_reads(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        other => other,
    }
}

fn watch(
    socket: &Path,
    interval: Duration,
    stop: &Receiver<()>,
    out: &mut impl Write,
) -> Result<()> {
    let mut printer = LinePrinter::default();
    let mut connection = Some(Connection::open(socket)?);
    loop {
        // The first answer covers the time since the scheduler was attached: only its state is news.
        if let Some((_, first)) = &connection {
            out.write_all(printer.changes(first).as_bytes())?;
            out.flush()?;
        }
        while let Some((daemon, _)) = &mut connection {
            if is_over(stop, interval) {
                return Ok(());
            }
            match daemon.ask() {
                Ok(metrics) => out.write_all(printer.interval(&metrics).as_bytes())?,
                Err(_) => {
                    writeln!(
                        out,
                        "scx_gamer does not answer any more; waiting for it (Ctrl-C ends)"
                    )?;
                    connection = None;
                }
            }
            out.flush()?;
        }
        if is_over(stop, RETRY_INTERVAL) {
            return Ok(());
        }
        connection = Connection::open(socket).ok();
        if connection.is_some() {
            writeln!(out, "scx_gamer is back")?;
        }
    }
}

/// Waits; whether the wait was ended by the user.
fn is_over(stop: &Receiver<()>, wait: Duration) -> bool {
    !matches!(stop.recv_timeout(wait), Err(RecvTimeoutError::Timeout))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// A connection to a daemon that has answered.
struct Connection {
    path: PathBuf,
    client: StatsClient,
}

impl Connection {
    /// Connects and returns the first answer as well.
    fn open(path: &Path) -> Result<(Self, Metrics), Error> {
        let connected = StatsClient::new()
            .set_path(path)
            .connect(Some(ANSWER_TIMEOUT_MS));
        let client = connected.map_err(|error| {
            let path = path.to_owned();
            match error
                .downcast_ref::<std::io::Error>()
                .map(std::io::Error::kind)
            {
                Some(ErrorKind::PermissionDenied) => Error::SocketNotPermitted { path },
                _ => Error::NoDaemon { path },
            }
        })?;
        let mut connection = Self {
            path: path.to_owned(),
            client,
        };
        let first = connection.ask()?;
        Ok((connection, first))
    }

    fn ask(&mut self) -> Result<Metrics, Error> {
        self.client.request("stats", vec![]).map_err(|error| {
            let path = self.path.clone();
            match error.downcast_ref::<serde_json::Error>() {
                Some(detail) => Error::ForeignDaemon {
                    path,
                    detail: detail.to_string(),
                },
                None => Error::NoDaemon { path },
            }
        })
    }
}

#[cfg(test)]
mod tests;
