//! Reads processes from `/proc`. Reads only, and every read is bounded.

use std::io::{self, Read};

use procfs::process::{Process, Stat, Task};
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
        let mut program = Program::read(&process);
        let mut stat = process.stat().map_err(|error| why_unread(&error))?;
        // A leader on its way out gives up its memory before it is called a zombie.
        let is_leaving =
            has_ended(&stat) || program.as_ref().is_err_and(|why| *why == Unread::Gone);
        if is_leaving && stat.num_threads > 1 {
            let (read, rss) = through_a_thread(&process)?;
            // After the thread, whose path may by now be another process's.
            stat = process.stat().map_err(|error| why_unread(&error))?;
            (program, stat.rss) = (Ok(read), rss);
        }
        if !is_alive(&stat) {
            return Err(Unread::Gone);
        }
        let program = program?;
        let ticks_per_second = procfs::ticks_per_second().max(1);
        let cpu_ticks = stat.utime.saturating_add(stat.stime);
        Ok(ProcessSnapshot {
            pid,
            ppid: u32::try_from(stat.ppid).unwrap_or(0),
            uid: process.uid().map_err(|error| why_unread(&error))?,
            exe: program.exe,
            cmdline: program.cmdline,
            marks: program.marks,
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

/// What is read from a process's memory.
struct Program {
    exe: Option<String>,
    cmdline: Vec<String>,
    marks: Marks,
}

impl Program {
    fn read(process: &Process) -> Result<Self, Unread> {
        let environ = read_bounded(process, "environ", ENVIRON_BYTES_MAX)?;
        let cmdline = read_bounded(process, "cmdline", CMDLINE_BYTES_MAX)?;
        let exe = process.exe().ok();
        Ok(Self {
            exe: exe.map(|path| path.to_string_lossy().into_owned()),
            cmdline: cmdline
                .split(|&byte| byte == 0)
                .filter(|argument| !argument.is_empty())
                .map(|argument| String::from_utf8_lossy(argument).into_owned())
                .collect(),
            marks: Marks::from_environ(&environ),
        })
    }
}

/// The descriptor in it stays with this process: a reused id reads as gone.
fn open(pid: u32) -> Result<Process, Unread> {
    let pid = i32::try_from(pid).map_err(|_| Unread::Gone)?;
    Process::new(pid).map_err(|error| why_unread(&error))
}

fn has_ended(stat: &Stat) -> bool {
    matches!(stat.state, 'Z' | 'X' | 'x')
}

/// A leader that has left its threads behind is a zombie in name only.
fn is_alive(stat: &Stat) -> bool {
    !has_ended(stat) || stat.num_threads > 1
}

/// The program of a process whose leader has no memory any more, as one of its threads sees it,
/// and its resident memory in pages.
fn through_a_thread(process: &Process) -> Result<(Program, u64), Unread> {
    let threads = process.tasks().map_err(|error| why_unread(&error))?;
    let read = |thread: Task| {
        let stat = thread.stat().ok().filter(|stat| !has_ended(stat))?;
        let root = format!("/proc/{}/task/{}", thread.pid, thread.tid);
        let program = Program::read(&Process::new_with_root(root.into()).ok()?).ok()?;
        Some((program, stat.rss))
    };
    threads.flatten().find_map(read).ok_or(Unread::Gone)
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
