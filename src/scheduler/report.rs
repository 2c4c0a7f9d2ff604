//! What can be read from a loaded scheduler: statistics, regimes, costs, its end.
#![allow(unsafe_code)]

use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result, ensure};
use libbpf_rs::{MapCore, MapFlags, Object, libbpf_sys};

use crate::intf;
use crate::skel::main::BpfSkel;

/// How the scheduler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitReport {
    /// The kernel asks for a new start, as after a CPU came or went.
    pub restart: bool,
}

/// What one BPF program has cost since it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramCost {
    /// Its name without the scheduler's prefix, such as `enqueue`.
    pub name: String,
    /// How often it ran.
    pub run_cnt: u64,
    /// For how long in total, in ns.
    pub run_time_ns: u64,
}

/// Load and regime of one last-level cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LlcState {
    /// Smoothed load, 0 to 100 per cent.
    pub load_pct: u32,
    /// Whether the busy regime holds.
    pub busy: bool,
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

pub(super) fn llcs(skel: &BpfSkel<'_>, count: usize) -> Vec<LlcState> {
    let Some(bss) = skel.maps.bss_data.as_ref() else {
        return Vec::new();
    };
    bss.llcs
        .iter()
        .take(count)
        .map(|llc| LlcState {
            load_pct: llc.load_pct,
            busy: llc.busy != 0,
        })
        .collect()
}

pub(super) fn program_costs(object: &Object) -> Vec<ProgramCost> {
    programs(object)
        .map(|(name, info)| ProgramCost {
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
        let name = name.strip_prefix("gamer_").unwrap_or(&name).to_owned();
        let fd = program.as_fd().as_raw_fd();
        program_info(fd).map(|info| (name, info))
    })
}

fn program_info(fd: i32) -> Option<libbpf_sys::bpf_prog_info> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = u32::try_from(size_of::<libbpf_sys::bpf_prog_info>()).ok()?;
    // SAFETY: info and len are valid for the call, len is info's size; the kernel writes no more.
    let error =
        unsafe { libbpf_sys::bpf_obj_get_info_by_fd(fd, (&raw mut info).cast(), &raw mut len) };
    (error == 0).then_some(info)
}
