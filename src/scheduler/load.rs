//! From an opened object to a loaded one: configuration, layout, and what this kernel can do.

use std::path::Path;

use anyhow::{Context, Result};
use libbpf_rs::btf::Btf;
use libbpf_rs::btf::types::Var;
use libbpf_rs::skel::OpenSkel;
use log::{Level, debug, log_enabled};
use scx_utils::{compat, uei_set_size};

use crate::config::{Config, PerfTargets};
use crate::error::Error;
use crate::skel::main::{BpfSkel, OpenBpfSkel};
use crate::topology::{self, Governors, Layout};
use crate::{intf, policy};

pub(super) fn apply_config(skel: &mut OpenBpfSkel<'_>, config: &Config) -> Result<()> {
    let rodata = skel
        .maps
        .rodata_data
        .as_mut()
        .context("BUG: the scheduler object has no read-only data")?;
    rodata.slice_ns = config.slice.get();
    rodata.slice_ns_min = config.slice_min.get();
    rodata.wait_bound_ns = config.wait_bound.get();
    rodata.input_windows = config.input_windows.iter().any(|window| window.get() != 0);
    rodata.busy_enter_pct = config.busy_threshold.get();
    rodata.boosted_share_max = policy::share_bound(config.boosted_max.get());
    rodata.perf_targets = tells_performance(config.perf_targets);
    rodata.saves_power = config.saves_power;
    rodata.roles_of_boost = policy::roles_of_boost(&config.boost_of_role());
    rodata.dispatch_direct = config.dispatch_direct;
    rodata.placement_counts = config.placement_counts;
    rodata.kthreads_direct = config.kthreads_direct;
    rodata.arrivals_preempt = config.arrivals_preempt;
    rodata.takes_home = config.takes_home;
    rodata.steals = config.steals;
    rodata.role_slices = config.role_slices;
    for cpu in tickless_cpus(config) {
        rodata.tickless = true;
        rodata.tickless_cpus[cpu / 64] |= 1 << (cpu % 64);
    }
    rodata.rt_waits_count = config.rt_waits_count;
    rodata.recent_run_counts = config.recent_run_counts;
    rodata.frame_clock_counts = config.frame_clock_counts;
    rodata.rates_count = config.rates_count;
    rodata.loans_count = config.loans_count;
    rodata.inheritance_counts = config.inheritance_counts && config.detect_sync;
    rodata.misses_count = config.misses_count;
    rodata.sleep_credit_ns = config.sleep_credit.get();
    rodata.head_start_ns = config.head_start.get();
    rodata.background_ns = config.background_late.get();
    rodata.crowd_counts = config.crowd_counts;
    rodata.locality_ns = config.locality.get();
    let ops = skel.struct_ops.gamer_ops_mut();
    ops.exit_dump_len = config.exit_dump_len;
    if !config.rt_waits_count {
        ops.cpu_acquire = std::ptr::null_mut();
        skel.progs.gamer_cpu_acquire.set_autoload(false);
    }
    if !config.yields_count {
        ops.r#yield = std::ptr::null_mut();
        skel.progs.gamer_yield.set_autoload(false);
    }
    Ok(())
}

/// The CPUs on which who is alone runs without a tick. More than the scheduler has room for, there are none.
fn tickless_cpus(config: &Config) -> impl Iterator<Item = usize> {
    let cpus = config
        .tickless
        .then(|| topology::tickless_cpus(Path::new("/sys")));
    let cpus = cpus.into_iter().flatten();
    cpus.filter(|&cpu| cpu < intf::MAX_CPUS as usize)
}

/// Whether the governor is told how fast the CPUs have to be. Looked up at each load, as governors change.
fn tells_performance(targets: PerfTargets) -> bool {
    let governors = Governors::read(Path::new("/sys"));
    let tells = match targets {
        PerfTargets::Never => false,
        PerfTargets::IfHeard => governors.listen(),
        PerfTargets::Always => true,
    };
    debug!("cpufreq governors: {governors:?}; told how fast the CPUs have to be: {tells}");
    tells
}

pub(super) fn apply_layout(
    skel: &mut OpenBpfSkel<'_>,
    layout: &Layout,
    idle_by_node: bool,
) -> Result<()> {
    let rodata = skel
        .maps
        .rodata_data
        .as_mut()
        .context("BUG: the scheduler object has no read-only data")?;
    rodata.cpu_id_cnt = layout.cpu_id_count();
    rodata.llc_cnt = u32::from(layout.llc_count());
    rodata.cpus_have_order = layout.cpus_have_order();
    rodata.nodes_differ = layout.nodes_differ();
    rodata.idle_by_node = idle_by_node;
    rodata.cpus_differ = layout.fast_cpus().next().is_some();
    for cpu in layout.fast_cpus() {
        rodata.fast_cpus[usize::from(cpu) / 64] |= 1 << (cpu % 64);
    }
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

/// With this flag the kernel looks for an idle CPU in one NUMA node if it is asked to (from 6.15 on).
const IDLE_BY_NODE: &str = "SCX_OPS_BUILTIN_IDLE_PER_NODE";

/// Whether the kernel is to do so.
pub(super) fn keeps_idle_by_node(config: &Config, layout: &Layout) -> bool {
    config.placement_counts
        && layout.nodes_differ()
        && compat::read_enum("scx_ops_flags", IDLE_BY_NODE).is_ok()
}

/// Switches on what this kernel has and off what it lacks.
pub(super) fn fit_to_kernel(skel: &mut OpenBpfSkel<'_>, idle_by_node: bool) {
    skel.struct_ops.gamer_ops_mut().flags = WANTED_FLAGS
        .iter()
        .chain(idle_by_node.then_some(&IDLE_BY_NODE))
        .filter_map(|name| compat::read_enum("scx_ops_flags", name).ok())
        .fold(0, |flags, flag| flags | flag);

    // From 6.19 on a higher class may take a CPU without cpu_release; the kernels that work this
    // way can be recognised by a reenqueue that may be called from anywhere.
    let from_anywhere = ["scx_bpf_reenqueue_local___v2", "scx_bpf_dsq_reenq"]
        .iter()
        .any(|kfunc| compat::ksym_exists(kfunc).unwrap_or(false));
    skel.progs.gamer_sched_switch.set_autoload(from_anywhere);
    if from_anywhere {
        let ops = skel.struct_ops.gamer_ops_mut();
        ops.cpu_release = std::ptr::null_mut();
        ops.cpu_acquire = std::ptr::null_mut();
        skel.progs.gamer_cpu_release.set_autoload(false);
        skel.progs.gamer_cpu_acquire.set_autoload(false);
    }

    // Programs find out by themselves; here it is only said.
    if log_enabled!(Level::Debug) && !counts_interrupts() {
        debug!(
            "the kernel's types leave out kernel_cpustat: no CPU counts as busy with interrupts"
        );
    }

    // A probe of the scx headers that needs fentry; they work without it, more cautiously.
    if !compat::function_tracer_available() {
        debug!("the kernel has no function tracer: loading without the prolog probe");
        skel.progs.scx_lib_init_probe.set_autoload(false);
    }
}

/// Whether programs can read how much time each CPU has spent in interrupts. Looked up by kind, as a struct
/// has the same name.
fn counts_interrupts() -> bool {
    let Ok(btf) = Btf::from_vmlinux() else {
        return false;
    };
    btf.type_by_kind::<Var<'_>>()
        .any(|var| var.name().is_some_and(|name| name == "kernel_cpustat"))
}

pub(super) fn load(mut skel: OpenBpfSkel<'_>) -> Result<BpfSkel<'_>> {
    uei_set_size!(skel, gamer_ops, uei);
    skel.load().map_err(|error| {
        // Asked only now, as it reads all of the kernel's type information.
        let kfuncs = compat::malformed_scx_kfuncs();
        if kfuncs.is_empty() {
            return anyhow::Error::from(error).context("the kernel refuses to load the scheduler");
        }
        debug!("load failed: {error:#}");
        let detail = format!(
            "{} carry an argument that programs must not pass, as it was built with pahole older than 1.26",
            kfuncs.join(", ")
        );
        Error::MalformedBtf { detail }.into()
    })
}
