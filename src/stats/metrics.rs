//! The metrics' definitions. Their descriptions are what `--help-stats` prints.

use std::collections::BTreeMap;

use scx_stats_derive::Stats;
use serde::{Deserialize, Serialize};

/// What happened over an interval, and how things stand at its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, Stats)]
#[stat(
    desc = "what happened since the previous answer on the same connection; the first answer \
               covers the time since the scheduler was attached",
    top,
    _om_prefix = "scx_gamer_"
)]
pub struct Metrics {
    /// Length of the interval.
    #[stat(desc = "length of the interval in seconds")]
    pub interval_s: f64,
    /// Since the scheduler was attached.
    #[stat(desc = "seconds since the scheduler was attached")]
    pub uptime_s: f64,
    /// Restarts of the scheduler.
    #[stat(desc = "how often the scheduler was attached again since the daemon began")]
    pub restarts: u32,
    /// CPUs online.
    #[stat(desc = "CPUs online")]
    pub cpus: u32,
    /// By role.
    #[stat(
        desc = "by role: input, gpu, compositor, gpu irq, audio, network, storage, game, background, normal"
    )]
    pub roles: BTreeMap<String, RoleMetrics>,

    /// `STAT_DISPATCH_IDLE`
    #[stat(desc = "dispatches straight to an idle CPU, found when the thread woke")]
    pub dispatch_idle: u64,
    /// `STAT_DISPATCH_OWN`
    #[stat(desc = "dispatches from the CPU's own queue")]
    pub dispatch_own: u64,
    /// `STAT_DISPATCH_LLC`
    #[stat(desc = "dispatches from the queue that CPUs with a common cache share")]
    pub dispatch_llc: u64,
    /// `STAT_DISPATCH_WARM`
    #[stat(desc = "dispatches from that queue of a thread that last ran there, before its head")]
    pub dispatch_warm: u64,
    /// `STAT_DISPATCH_STEAL`
    #[stat(desc = "dispatches from the queue of another cache's CPUs")]
    pub dispatch_steal: u64,
    /// `STAT_DISPATCH_KEEP`
    #[stat(desc = "new slices for the thread that was running")]
    pub dispatch_keep: u64,
    /// `STAT_DISPATCH_KTHREAD`
    #[stat(desc = "dispatches of per-CPU kernel threads straight to their CPU")]
    pub dispatch_kthread: u64,
    /// `STAT_ENQUEUE_LLC`
    #[stat(desc = "threads that had to wait in a shared queue")]
    pub enqueue_llc: u64,
    /// `STAT_ENQUEUE_OWN`
    #[stat(desc = "threads that had to wait in a CPU's own queue")]
    pub enqueue_own: u64,
    /// `STAT_PREEMPT`
    #[stat(desc = "running threads put off for a more urgent one")]
    pub preempts: u64,
    /// `STAT_KICK_IDLE`
    #[stat(desc = "idle CPUs woken to look at a queue")]
    pub idle_kicks: u64,
    /// `STAT_REENQUEUE_RT`
    #[stat(
        desc = "CPUs taken by a real-time thread while something waited there, which moved (from kernel 6.19 on: all that were taken)"
    )]
    pub rt_reenqueues: u64,
    /// `STAT_SPIN_UNBOOSTED`
    #[stat(desc = "enqueues of threads that had lost their boost by running without a sleep")]
    pub spin_unboosted: u64,
    /// `STAT_NOT_ADMITTED`
    #[stat(
        desc = "enqueues at which a boost did not count, as boosted threads took more than --boosted-max-pct"
    )]
    pub not_admitted: u64,
    /// `STAT_PERF_SET`
    #[stat(desc = "changes of a CPU's performance target")]
    pub perf_changes: u64,
    /// `STAT_PACKED`
    #[stat(desc = "woken threads that --power-save left to their CPU rather than wake another")]
    pub packed: u64,
    /// `STAT_TICKLESS`
    #[stat(desc = "turns that began without an end, so that the kernel may stop the CPU's tick")]
    pub tickless: u64,
    /// `STAT_WINDOW_HIT`
    #[stat(desc = "enqueues preferred because of a recent input event")]
    pub window_hits: u64,
    /// `STAT_REGIME_SWITCH`
    #[stat(desc = "changes between the light and the busy regime")]
    pub regime_switches: u64,
    /// `STAT_LOAN`
    #[stat(desc = "wake-ups at which a boosted thread lent boost to the one it woke")]
    pub loans: u64,
    /// `STAT_HURRY`
    #[stat(desc = "waiting threads that moved up in their queue, as they had inherited boost")]
    pub heirs_moved: u64,
    /// `STAT_NO_TASK_CTX`
    #[stat(desc = "threads met without scheduler data; should stay 0")]
    pub missing_contexts: u64,

    /// Waits counted.
    #[stat(desc = "waits from runnable to running")]
    pub waits: u64,
    /// Median wait.
    #[stat(desc = "half of the waits were not longer, in microseconds (up to 25 % too long)")]
    pub wait_p50_us: f64,
    /// 99th percentile.
    #[stat(desc = "99 % of the waits were not longer, in microseconds (up to 25 % too long)")]
    pub wait_p99_us: f64,
    /// Longest in the interval.
    #[stat(desc = "longest wait of the interval, in microseconds (up to 25 % too long)")]
    pub wait_max_us: f64,
    /// Longest ever.
    #[stat(desc = "longest wait since the scheduler was attached, in microseconds (exact)")]
    pub wait_max_ever_us: f64,

    /// By LLC.
    #[stat(desc = "by last-level cache: the CPUs that share it")]
    pub llcs: BTreeMap<u32, LlcMetrics>,
    /// By device class.
    #[stat(desc = "input events by device class: keyboard, mouse, gamepad, other")]
    pub input: BTreeMap<String, InputMetrics>,
    /// Lost between kernel and daemon.
    #[stat(desc = "input events dropped because a ring buffer was full")]
    pub input_ring_drops: u64,
    /// Lost inside the daemon.
    #[stat(desc = "input events dropped because the daemon's queue was full")]
    pub input_queue_drops: u64,
    /// Xruns.
    #[stat(desc = "times that a sound device ran out of samples, or of room for them")]
    pub xruns: u64,

    /// By CPU.
    #[stat(desc = "CPUs that polled network devices while there was a game")]
    pub napi: BTreeMap<u32, NapiMetrics>,

    /// By [`crate::detect::sync::LockKind`].
    #[stat(
        desc = "waits of the game's threads in futexes and ntsync, with --detect-sync: by the kind of \
                the lock if its holder is known (pi, glibc, wine, ntsync), unknown if nothing names one, \
                refused if what does is not believed"
    )]
    pub lock_waits: BTreeMap<String, u64>,
    /// Of these.
    #[stat(desc = "waits for locks whose holder inherited the boost of who waits")]
    pub lock_inherited: u64,

    /// By display.
    #[stat(desc = "by display that was ever flipped: card and number on it")]
    pub displays: BTreeMap<String, DisplayMetrics>,
    /// By CPU.
    #[stat(desc = "by CPU that ever served an interrupt of a GPU or a display")]
    pub gpu_irqs: BTreeMap<u32, GpuIrqMetrics>,

    /// The game's process.
    #[stat(desc = "process id of the game; 0: none")]
    pub game_pid: u32,
    /// The game's name.
    #[stat(desc = "name of the game; empty: none")]
    pub game_name: String,
    /// How sure.
    #[stat(desc = "how sure the game was recognised, in per cent")]
    pub game_confidence_pct: u32,
    /// By detector.
    #[stat(desc = "by detector: active with its kernel hook, or unavailable with the reason")]
    pub detectors: BTreeMap<String, String>,

    /// By detector.
    #[stat(desc = "by detector: its events and what they cost")]
    pub detector_costs: BTreeMap<String, DetectorMetrics>,

    /// BPF time per stint.
    #[stat(
        desc = "BPF time in select_cpu, enqueue and dispatch per stint, in nanoseconds; \
                   0: the kernel's BPF statistics are off (sysctl kernel.bpf_stats_enabled)"
    )]
    pub decision_ns: f64,
    /// By BPF program.
    #[stat(desc = "by BPF program; empty: the kernel's BPF statistics are off")]
    pub programs: BTreeMap<String, ProgramMetrics>,
}

/// What threads of one role did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, Stats)]
#[stat(
    desc = "what threads of one role did",
    _om_prefix = "role_",
    _om_label = "role"
)]
pub struct RoleMetrics {
    /// Runs.
    #[stat(desc = "stints: pieces of work, each from getting a CPU to leaving it")]
    pub stints: u64,
    /// Late.
    #[stat(desc = "stints that began late: more than a millisecond after their deadline")]
    pub late: u64,
    /// Part of the stints.
    #[stat(desc = "share of the stints that began late, in per cent")]
    pub late_pct: f64,
    /// Run time.
    #[stat(desc = "share of all CPUs' time, in per cent")]
    pub cpu_pct: f64,
}

/// How busy the CPUs of one LLC are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Stats)]
#[stat(
    desc = "CPUs that share a last-level cache",
    _om_prefix = "llc_",
    _om_label = "llc"
)]
pub struct LlcMetrics {
    /// Regime.
    #[stat(desc = "regime: 1 busy (slices shrink as more threads wait), 0 light (whole slices)")]
    pub busy: u32,
    /// Load.
    #[stat(desc = "smoothed load, in per cent")]
    pub load_pct: u32,
}

/// Input events of one device class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Stats)]
#[stat(
    desc = "input events of one device class",
    _om_prefix = "input_",
    _om_label = "device"
)]
pub struct InputMetrics {
    /// In the kernel.
    #[stat(desc = "events seen in the kernel")]
    pub seen: u64,
    /// In user space.
    #[stat(desc = "events that reached the daemon")]
    pub drained: u64,
}

/// What one detector's events cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, Stats)]
#[stat(
    desc = "what one detector's events cost",
    _om_prefix = "detector_",
    _om_label = "detector"
)]
pub struct DetectorMetrics {
    /// Events.
    #[stat(
        desc = "events (input, process: counted only while the kernel's BPF statistics are on)"
    )]
    pub events: u64,
    /// Let pass.
    #[stat(
        desc = "of these, let pass unseen: of what comes faster than 64 a millisecond on a CPU, \
                   one of 16 is looked at"
    )]
    pub skipped: u64,
    /// Mean.
    #[stat(desc = "mean time of an event, in nanoseconds; 0: the kernel's BPF statistics are off")]
    pub mean_ns: f64,
}

/// What one CPU did for network devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Stats)]
#[stat(
    desc = "what one CPU did for network devices while there was a game",
    _om_prefix = "napi_",
    _om_label = "cpu"
)]
pub struct NapiMetrics {
    /// Polls.
    #[stat(desc = "polls of network devices")]
    pub polls: u64,
    /// Packets.
    #[stat(desc = "packets they found")]
    pub packets: u64,
}

/// The flips of one display.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, Stats)]
#[stat(
    desc = "the flips of one display",
    _om_prefix = "display_",
    _om_label = "display"
)]
pub struct DisplayMetrics {
    /// Rate.
    #[stat(desc = "flips per second at their usual distance; 0: none in the interval, or unknown")]
    pub hz: f64,
    /// Of the mode.
    #[stat(desc = "frames per second of the display's mode; 0: the driver does not say")]
    pub mode_hz: f64,
    /// Flips.
    #[stat(desc = "flips done")]
    pub flips: u64,
    /// Missed flips.
    #[stat(desc = "flips that were to be expected and did not come")]
    pub missed: u64,
    /// Who flips.
    #[stat(desc = "process id of who asked for the last flip; 0: unknown")]
    pub owner_pid: u32,
}

/// Interrupts of GPUs and displays on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Stats)]
#[stat(
    desc = "interrupts of GPUs and displays on one CPU",
    _om_prefix = "gpu_irq_",
    _om_label = "cpu"
)]
pub struct GpuIrqMetrics {
    /// Served.
    #[stat(desc = "interrupts served")]
    pub interrupts: u64,
}

/// Cost of one BPF program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, Stats)]
#[stat(
    desc = "cost of one BPF program",
    _om_prefix = "program_",
    _om_label = "program"
)]
pub struct ProgramMetrics {
    /// Runs.
    #[stat(desc = "how often it ran")]
    pub runs: u64,
    /// Mean.
    #[stat(desc = "mean time of a run, in nanoseconds")]
    pub mean_ns: f64,
}
