//! From an opened object to a loaded one: settings, layout, and what this kernel can do.

use anyhow::{Context, Result};
use libbpf_rs::skel::OpenSkel;
use log::debug;
use scx_utils::{compat, uei_set_size};

use super::Settings;
use crate::skel::main::{BpfSkel, OpenBpfSkel};
use crate::topology::Layout;

pub(super) fn apply_settings(skel: &mut OpenBpfSkel<'_>, settings: &Settings) -> Result<()> {
    let rodata = skel
        .maps
        .rodata_data
        .as_mut()
        .context("BUG: the scheduler object has no read-only data")?;
    rodata.slice_ns = settings.slice_ns;
    rodata.slice_ns_min = settings.slice_min_ns;
    rodata.wait_bound_ns = settings.wait_bound_ns;
    rodata.input_window_ns = settings.input_window_ns;
    rodata.busy_enter_pct = settings.busy_enter_pct;
    rodata.role_boost = settings.boost_of_role;
    skel.struct_ops.gamer_ops_mut().exit_dump_len = settings.exit_dump_len;
    Ok(())
}

pub(super) fn apply_layout(skel: &mut OpenBpfSkel<'_>, layout: &Layout) -> Result<()> {
    let rodata = skel
        .maps
        .rodata_data
        .as_mut()
        .context("BUG: the scheduler object has no read-only data")?;
    rodata.cpu_id_cnt = layout.cpu_id_count();
    rodata.llc_cnt = u32::from(layout.llc_count());
    for (position, place) in (0u16..).zip(layout.places()) {
        let llc = usize::from(place.llc);
        rodata.llc_of_cpu[usize::from(place.cpu)] = place.llc;
        rodata.cpus_by_llc[usize::from(position)] = place.cpu;
        rodata.node_of_llc[llc] = place.node;
        if rodata.llc_cpu_cnt[llc] == 0 {
            rodata.llc_first[llc] = position;
        }
        rodata.llc_cpu_cnt[llc] += 1;
    }
    Ok(())
}

/// The operation flags we want, in the order of `enum scx_ops_flags`. Why each:
/// - `KEEP_BUILTIN_IDLE`: `update_idle` only closes a gap, the kernel keeps the idle masks;
/// - `ENQ_LAST`: the slice of a task that runs alone is ours to decide;
/// - `ENQ_EXITING`: a dying task still has to run to die;
/// - `ENQ_MIGRATION_DISABLED`: otherwise the kernel bypasses `enqueue` for such tasks;
/// - `ALLOW_QUEUED_WAKEUP`: a wake-up may be queued on the target CPU instead of taking its lock.
const WANTED_FLAGS: [&str; 5] = [
    "SCX_OPS_KEEP_BUILTIN_IDLE",
    "SCX_OPS_ENQ_LAST",
    "SCX_OPS_ENQ_EXITING",
    "SCX_OPS_ENQ_MIGRATION_DISABLED",
    "SCX_OPS_ALLOW_QUEUED_WAKEUP",
];

/// Switches on what this kernel has and off what it lacks.
pub(super) fn fit_to_kernel(skel: &mut OpenBpfSkel<'_>) {
    skel.struct_ops.gamer_ops_mut().flags = WANTED_FLAGS
        .iter()
        .filter_map(|name| compat::read_enum("scx_ops_flags", name).ok())
        .fold(0, |flags, flag| flags | flag);

    // From 6.19 on a higher class may take a CPU without cpu_release; the kernels that work this
    // way can be recognised by a reenqueue that may be called from anywhere.
    let from_anywhere = ["scx_bpf_reenqueue_local___v2", "scx_bpf_dsq_reenq"]
        .iter()
        .any(|kfunc| compat::ksym_exists(kfunc).unwrap_or(false));
    skel.progs.gamer_sched_switch.set_autoload(from_anywhere);
    if from_anywhere {
        skel.struct_ops.gamer_ops_mut().cpu_release = std::ptr::null_mut();
        skel.progs.gamer_cpu_release.set_autoload(false);
    }

    // A probe of the scx headers that needs fentry; they work without it, more cautiously.
    if !compat::function_tracer_available() {
        debug!("the kernel has no function tracer: loading without the prolog probe");
        skel.progs.scx_lib_init_probe.set_autoload(false);
    }
}

pub(super) fn load(mut skel: OpenBpfSkel<'_>) -> Result<BpfSkel<'_>> {
    uei_set_size!(skel, gamer_ops, uei);
    skel.load()
        .context("the kernel refuses to load the scheduler")
        .map_err(|error| match super::preflight::malformed_kfuncs() {
            Some(reason) => error.context(reason),
            None => error,
        })
}
