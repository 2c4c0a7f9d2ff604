//! The parts of the scheduling policy that can be switched on and off, to measure what each buys.
//! Nothing that keeps waits bounded or finds a CPU for a waiting thread is among them.

use std::fmt;

use clap::ValueEnum;

use super::{Boost, Config, Nanoseconds, Percent, PerfTargets};

/// A part of the policy that the scheduler also works without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Feature {
    /// The urgency of all roles; the input window counts only with it
    Boost,
    /// Boosted threads are preferred once more after an input event
    InputWindow,
    /// The deadlines of who draws and shows frames shrink as the next flip nears
    FrameClock,
    /// A steady beat of wake-ups earns boost, whatever the thread is
    Rates,
    /// A boosted thread lends boost to whom it wakes
    Loans,
    /// Who holds a lock inherits the boost of who waits for it; with --detect-sync=on
    Inheritance,
    /// Who has a boost and whose turns come late is raised
    Misses,
    /// Beyond a part of the CPUs' time the least urgent boosts do not count
    Admission,
    /// The schedutil governor is told how fast each CPU has to be; with `--with` whether it listens
    /// or not
    Cpuperf,
    /// The longer a thread has run without a sleep, the later its deadline
    RecentRun,
    /// A waking thread that had less than its share comes earlier
    SleepCredit,
    /// Who has a boost, is the kernel's or inside a hook comes before the others by a head start
    HeadStart,
    /// Background threads come later than those without a boost do
    Background,
    /// The more threads wait, the later those without a boost come
    Crowd,
    /// A thread that becomes runnable puts off a less urgent one
    Preempt,
    /// A thread takes the CPU of the one that it puts off at once, without a queue, where it is woken
    AtOnce,
    /// Who is put off by a brief real-time thread waits for that CPU instead of putting off another
    RtWaits,
    /// Who calls sched_yield gives way to who it may be waiting for
    Yields,
    /// Slices shrink as more threads wait
    BusySlices,
    /// Those of urgent and of background threads do not
    RoleSlices,
    /// On a machine with time to spare a CPU takes who last ran on it before who is hardly earlier
    Locality,
    /// A CPU with nothing to do takes from the queue of another cache
    Stealing,
    /// Who is alone on a CPU whose tick the kernel may stop (nohz_full=) runs without one
    Tickless,
    /// A waking thread goes straight to an idle CPU instead of through a queue
    DirectDispatch,
    /// Among idle CPUs cache, core and kind of CPU count, where they differ
    Placement,
    /// A waking kernel thread of one CPU goes straight there instead of through its queue
    KernelThreads,
}

impl Feature {
    /// Whether it takes part unless told otherwise. Of those that do not `make ablation` shows nothing
    /// (docs/benchmarks.md), but for the crowd, which has not been through a run of record. That one does
    /// take part says less: of some the ablation shows what they buy; some have nothing to do in its VM,
    /// where all CPUs are alike and have no clock rates; for others only tails speak that are longer
    /// without, by no verdict.
    #[must_use]
    pub fn is_default(self) -> bool {
        !matches!(
            self,
            Self::FrameClock
                | Self::Rates
                | Self::Loans
                | Self::Misses
                | Self::RtWaits
                | Self::Crowd
        )
    }

    /// Gives `config` the values with which this part decides nothing.
    pub(super) fn switch_off(self, config: &mut Config) {
        match self {
            Self::Boost => config.boosts.fill(Boost::NONE),
            Self::InputWindow => config.input_windows.fill(Nanoseconds::from_ns(0)),
            Self::FrameClock => config.frame_clock_counts = false,
            Self::Rates => config.rates_count = false,
            Self::Loans => config.loans_count = false,
            Self::Inheritance => config.inheritance_counts = false,
            Self::Misses => config.misses_count = false,
            Self::Admission => config.boosted_max = Percent::ALL,
            Self::Cpuperf => config.perf_targets = PerfTargets::Never,
            Self::RecentRun => config.recent_run_counts = false,
            Self::SleepCredit => config.sleep_credit = Nanoseconds::from_ns(0),
            Self::HeadStart => config.head_start = Nanoseconds::from_ns(0),
            Self::Background => config.background_late = Nanoseconds::from_ns(0),
            Self::Crowd => config.crowd_counts = false,
            Self::Preempt => config.arrivals_preempt = false,
            Self::AtOnce => config.takes_home = false,
            Self::RtWaits => config.rt_waits_count = false,
            Self::Yields => config.yields_count = false,
            Self::BusySlices => config.slice_min = config.slice,
            Self::RoleSlices => config.role_slices = false,
            Self::Locality => config.locality = Nanoseconds::from_ns(0),
            Self::Stealing => config.steals = false,
            Self::Tickless => config.tickless = false,
            Self::DirectDispatch => config.dispatch_direct = false,
            Self::Placement => config.placement_counts = false,
            Self::KernelThreads => config.kthreads_direct = false,
        }
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value().expect("BUG: a feature is hidden");
        formatter.write_str(value.get_name())
    }
}
