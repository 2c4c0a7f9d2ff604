//! Reads processes from `/proc`. Reads only, and every read is bounded.

use std::io::{self, Read};

use procfs::process::{Process, Stat};
use procfs::{ProcError, WithCurrentSystemInfo};

use crate::detect::evidence::ProcessRecords;

use super::snapshot::{Identity, Marks, ProcessSnapshot, ProcessSource, Unread};

/// Longest environment that is read. What lies behind it is not seen.
const ENVIRON_BYTES_MAX: u64 = 256 * 1024;
/// Longest command line that is read.
const CMDLINE_BYTES_MAX: u64 = 16 * 1024;
const MIB: u64 = 1024 * 1024;

/// The processes of this machine.
#[derive(Debug, Default)]
pub struct LiveProcesses {
    records: Option<ProcessRecords>,
}

impl LiveProcesses {
    /// With what the detectors remember about processes, which tells who has the focus.
    #[must_use]
    pub fn with(records: ProcessRecords) -> Self {
        Self {
            records: Some(records),
        }
    }
}

impl ProcessSource for LiveProcesses {
    fn pids(&self) -> Vec<u32> {
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect()
    }

    fn identity(&self, pid: u32) -> Option<Identity> {
        let process = open(pid).ok()?;
        let stat = process.stat().ok().filter(is_alive)?;
        let tgid = u32::try_from(process.status().ok()?.tgid).ok()?;
        Some(Identity {
            tgid,
            ppid: u32::try_from(stat.ppid).unwrap_or(0),
            comm: stat.comm,
            start_ticks: stat.starttime,
        })
    }

    fn snapshot(&self, pid: u32) -> Result<ProcessSnapshot, Unread> {
        let process = open(pid)?;
        let environ = read_bounded(&process, "environ", ENVIRON_BYTES_MAX)?;
        let cmdline = read_bounded(&process, "cmdline", CMDLINE_BYTES_MAX)?;
        let exe = process
            .exe()
            .ok()
            .map(|path| path.to_string_lossy().into_owned());
        let uid = process.uid().map_err(|error| why_unread(&error))?;
        let stat = process.stat().map_err(|error| why_unread(&error))?;
        if !is_alive(&stat) {
            return Err(Unread::Gone);
        }
        let ticks_per_second = procfs::ticks_per_second().max(1);
        let cpu_ticks = stat.utime.saturating_add(stat.stime);
        Ok(ProcessSnapshot {
            pid,
            ppid: u32::try_from(stat.ppid).unwrap_or(0),
            uid,
            exe,
            cmdline: cmdline
                .split(|&byte| byte == 0)
                .filter(|argument| !argument.is_empty())
                .map(|argument| String::from_utf8_lossy(argument).into_owned())
                .collect(),
            marks: Marks::from_environ(&environ),
            start_ticks: stat.starttime,
            thread_cnt: u64::try_from(stat.num_threads).unwrap_or(0),
            rss_mib: stat.rss_bytes().get() / MIB,
            cpu_ms: cpu_ticks.saturating_mul(1000) / ticks_per_second,
            comm: stat.comm,
        })
    }

    fn focus_ns(&self, pid: u32) -> u64 {
        let record = self.records.as_ref().map(|records| records.of(pid));
        record.map_or(0, |record| record.focus_ns)
    }
}

/// The descriptor in it stays with this process: a reused id reads as gone.
fn open(pid: u32) -> Result<Process, Unread> {
    let pid = i32::try_from(pid).map_err(|_| Unread::Gone)?;
    Process::new(pid).map_err(|error| why_unread(&error))
}

/// A leader that has left its threads behind is a zombie in name only.
fn is_alive(stat: &Stat) -> bool {
    !matches!(stat.state, 'Z' | 'X' | 'x') || stat.num_threads > 1
}

fn read_bounded(process: &Process, file: &str, bytes_max: u64) -> Result<Vec<u8>, Unread> {
    let file = process
        .open_relative(file)
        .map_err(|error| why_unread(&error))?;
    let mut bytes = Vec::new();
    file.take(bytes_max)
        .read_to_end(&mut bytes)
        .map_err(|error| why_unread_io(&error))?;
    Ok(bytes)
}

fn why_unread(error: &ProcError) -> Unread {
    match error {
        ProcError::NotFound(_) => Unread::Gone,
        ProcError::Io(error, _) => why_unread_io(error),
        _ => Unread::Refused,
    }
}

fn why_unread_io(error: &io::Error) -> Unread {
    let gone = error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(nix::errno::Errno::ESRCH as i32);
    if gone { Unread::Gone } else { Unread::Refused }
}
