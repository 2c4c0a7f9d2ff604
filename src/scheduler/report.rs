//! What can be read from a loaded scheduler: statistics, regimes, costs, its end.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use libbpf_rs::{MapCore, MapFlags, Object, libbpf_sys};

use scx_utils::ScxExitKind;

use crate::detect::cost::program_info;
use crate::intf;
use crate::skel::main::BpfSkel;
use crate::stats::{Llc, Program};

/// How the scheduler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitReport {
    /// The kernel asks for a new start, as after a CPU came or went.
    pub restart: bool,
}

pub(super) fn cpu_stats(map: &impl MapCore) -> Result<Vec<intf::cpu_stats>> {
    let values = map
        .lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)
        .context("cannot read the scheduler's statistics")?
        .context("the scheduler's statistics are missing")?;
    values
        .iter()
        .map(|bytes| {
            ensure!(
                bytes.len() >= size_of::<intf::cpu_stats>(),
                "the scheduler's statistics have {} bytes instead of {}: this is a bug, please report it",
                bytes.len(),
                size_of::<intf::cpu_stats>()
            );
            // SAFETY: the length was checked; cpu_stats consists of integers only, so that every
            // bit pattern is valid; read_unaligned asks for no alignment.
            Ok(unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast::<intf::cpu_stats>()) })
        })
        .collect()
}

pub(super) fn llcs(skel: &BpfSkel<'_>, count: usize) -> Vec<Llc> {
    let Some(bss) = skel.maps.bss_data.as_ref() else {
        return Vec::new();
    };
    bss.llcs
        .iter()
        .take(count)
        .map(|llc| Llc {
            load_pct: llc.load_pct,
            busy: llc.busy != 0,
        })
        .collect()
}

/// Whether the scheduler was ended by the SysRq key.
pub(super) fn ended_by_sysrq(skel: &BpfSkel<'_>) -> bool {
    let kind = skel.maps.data_data.as_ref().map(|data| data.uei.kind);
    kind == Some(ScxExitKind::SysRq as i32)
}

pub(super) fn program_costs(object: &Object) -> Vec<Program> {
    programs(object)
        .map(|(name, info)| Program {
            id: info.id,
            name,
            run_cnt: info.run_cnt,
            run_time_ns: info.run_time_ns,
        })
        .collect()
}

pub(super) fn verified_instructions(object: &Object) -> Vec<(String, u32)> {
    programs(object)
        .map(|(name, info)| (name, info.verified_insns))
        .collect()
}

fn programs(object: &Object) -> impl Iterator<Item = (String, libbpf_sys::bpf_prog_info)> + '_ {
    let loaded = object.progs().filter(|program| program.autoload());
    loaded.filter_map(|program| {
        let name = program.name().to_string_lossy().into_owned();
        program_info(program.as_fd()).map(|info| (name, info))
    })
}

/// Lets the kernel measure the run time of all BPF programs for as long as the result lives.
///
/// # Errors
/// If the kernel refuses.
pub fn enable_run_time_stats() -> Result<OwnedFd> {
    // SAFETY: takes no pointer.
    let fd = unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) };
    ensure!(
        fd >= 0,
        "cannot switch on the kernel's BPF statistics: {}",
        io::Error::from_raw_os_error(-fd)
    );
    // SAFETY: the call has just returned this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
