//! What this machine is like. Everything is read, nothing changed; what cannot be read is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use caps::CapSet;
use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::Struct;
use scx_utils::compat;

use crate::detect::evidence::Evidence;
use crate::detect::input::{InputDetector, InputOptions};
use crate::detect::process::ProcessEvents;
use crate::detect::sync::SyncDetector;
use crate::detect::{self, Detector, DetectorState};
use crate::error::Error;
use crate::events::CpuNode;
use crate::privileges;
use crate::real_time;
use crate::scheduler::preflight::{self, SCHED_EXT_DIR};
use crate::topology::Governors;

/// Most processes that are listed of one kind.
const LISTED_MAX: usize = 8;

/// A machine.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The kernel's release.
    pub kernel: String,
    /// Content of `/sys/kernel/sched_ext/state`; `None` without sched_ext.
    pub sched_ext: Option<String>,
    /// Name of the attached scheduler; empty without one.
    pub attached: String,
    /// The kernel tells its types.
    pub btf: bool,
    /// Kernel functions whose types are wrong.
    pub malformed_kfuncs: Vec<String>,
    /// Whether sched_ext has its share against real-time threads; `None`: unknown.
    pub ext_server: Option<bool>,
    /// Capabilities that are needed and not there.
    pub missing_capabilities: Vec<String>,
    /// Name and state of each detector; `None`: not tried for lack of rights.
    pub detectors: Option<Vec<(&'static str, DetectorState)>>,
    /// Names of processes that also change how processes are scheduled.
    pub rivals: Vec<String>,
    /// Names of processes with real-time threads.
    pub real_time: Vec<String>,
    /// What sets the CPUs' clock rates.
    pub governors: Governors,
    /// Control groups with a limit on CPU time.
    pub limited_cgroups: Vec<String>,
}

impl Facts {
    /// Reads this machine.
    #[must_use]
    pub fn read() -> Self {
        let sched_ext = Path::new(SCHED_EXT_DIR);
        let btf = Path::new("/sys/kernel/btf/vmlinux").exists();
        let missing_capabilities = missing_capabilities();
        let detectors = (btf && missing_capabilities.is_empty()).then(detectors);
        let (rivals, real_time) = processes();
        Self {
            kernel: line("/proc/sys/kernel/osrelease").unwrap_or_default(),
            sched_ext: line(sched_ext.join("state")),
            attached: attached(sched_ext.exists()),
            btf,
            malformed_kfuncs: if btf {
                compat::malformed_scx_kfuncs()
            } else {
                Vec::new()
            },
            ext_server: btf.then(has_ext_server).flatten(),
            missing_capabilities,
            detectors,
            rivals,
            real_time,
            governors: Governors::read(Path::new("/sys")),
            limited_cgroups: limited_cgroups(Path::new("/sys/fs/cgroup")),
        }
    }
}

fn line(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

/// By the check that the scheduler itself begins with.
fn attached(has_sched_ext: bool) -> String {
    match preflight::check_vacant() {
        Err(Error::Occupied { name }) if has_sched_ext => name,
        _ => String::new(),
    }
}

fn missing_capabilities() -> Vec<String> {
    let permitted = caps::read(None, CapSet::Permitted).unwrap_or_default();
    let missing = privileges::NEEDED.iter();
    let missing = missing.filter(|capability| !permitted.contains(capability));
    missing.map(ToString::to_string).collect()
}

/// Loads each detector for a moment: what the kernel says then is true.
fn detectors() -> Vec<(&'static str, DetectorState)> {
    let mut states = Vec::new();
    match Evidence::create() {
        Ok(evidence) => {
            let processes = ProcessEvents::load(&evidence);
            let processes = processes.map_or_else(|missing| missing.state(), |one| one.state());
            states.push(("process", processes));
            let cpu = CpuNode { cpu: 0, node: 0 };
            let input = InputDetector::load(&evidence, &[cpu], &InputOptions::default());
            let input = input.map_or_else(Into::into, |detector| detector.state());
            states.push(("input", input));
            let others = detect::load_all(&evidence);
            states.extend(others.iter().map(|one| (one.name(), one.state())));
            let sync = SyncDetector::load(&evidence);
            states.push((sync.name(), sync.state()));
        }
        Err(error) => {
            let reason = format!("{error:#}");
            states.push(("evidence", DetectorState::Unavailable { reason }));
        }
    }
    states
}

fn has_ext_server() -> Option<bool> {
    let btf = Btf::from_vmlinux().ok()?;
    let rq = btf.type_by_name::<Struct<'_>>("rq")?;
    let mut members = rq.iter();
    Some(members.any(|member| member.name.is_some_and(|name| name == "ext_server")))
}

/// Processes that change how others are scheduled, and processes with real-time threads.
fn processes() -> (Vec<String>, Vec<String>) {
    let (mut rivals, mut real_time) = (BTreeSet::new(), BTreeSet::new());
    for process in procfs::process::all_processes()
        .into_iter()
        .flatten()
        .flatten()
    {
        let Ok(stat) = process.stat() else { continue };
        if RIVALS.contains(&stat.comm.as_str()) {
            rivals.insert(stat.comm.clone());
        }
        // Kernel threads have no memory of their own.
        if stat.vsize == 0 {
            continue;
        }
        let tasks = process.tasks().into_iter().flatten().flatten();
        let mut stats = tasks.filter_map(|task| task.stat().ok());
        if stats.any(|stat| real_time::is_real_time(&stat)) {
            real_time.insert(stat.comm);
        }
    }
    let listed = |names: BTreeSet<String>| names.into_iter().take(LISTED_MAX).collect();
    (listed(rivals), listed(real_time))
}

/// Daemons that renice, bind or attach schedulers, by what the kernel calls them (15 bytes).
const RIVALS: [&str; 6] = [
    "ananicy-cpp",
    "ananicy",
    "gamemoded",
    "scx_loader",
    "scxd",
    "system76-schedu",
];

/// Groups under `root` whose `cpu.max` is not `max`.
fn limited_cgroups(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        if line(dir.join("cpu.max")).is_some_and(|limit| !limit.starts_with("max")) {
            let name = dir.strip_prefix(root).unwrap_or(&dir);
            found.push(format!("/{}", name.display()));
        }
        if found.len() >= LISTED_MAX {
            break;
        }
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        dirs.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.is_dir()),
        );
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_with_a_limit_are_found() {
        let root = tempfile::tempdir().expect("a directory");
        for (group, limit) in [("a", "max 100000"), ("a/b", "50000 100000"), ("c", "")] {
            let dir = root.path().join(group);
            fs::create_dir_all(&dir).expect("mkdir");
            if !limit.is_empty() {
                fs::write(dir.join("cpu.max"), limit).expect("write");
            }
        }
        assert_eq!(limited_cgroups(root.path()), ["/a/b"]);
        assert!(limited_cgroups(Path::new("/nonexistent")).is_empty());
    }
}
