//! What is counted over windows: boosted load, the regime of each LLC, and how fast a CPU has to be.

use scx_gamer::config::Feature;
use scx_gamer::policy::{
    BOOST_MAX, BoostedLoad, PERF_ALL, PerfInput, RAN_UNIT_NS, boost_floor, load_pct, load_roll,
    perf_needs_all, perf_target, regime_next,
};

use crate::cpus::{Cpu, SPEED_ALL};
use crate::machine::Machine;
use crate::parts::Parts;
use crate::script::{MS, count};

/// Load is taken over windows of this length (`POLICY_REGIME_WINDOW_NS`).
pub(crate) const WINDOW_NS: u64 = 32 * MS;
/// The load from which on an LLC is busy, as by default.
pub(crate) const BUSY_PCT: u32 = 85;

pub(crate) type RanByBoost = [u32; BOOST_MAX as usize + 1];

/// What boosted tasks took on some CPUs, and from which boost on they are admitted.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    load: BoostedLoad,
    window_start_ns: u64,
    pub(crate) floor: u32,
}

impl Admission {
    /// Ends a window if it is over; `ran` are the sums of these CPUs' run time by boost.
    fn roll(&mut self, now_ns: u64, ran: &RanByBoost, cpu_cnt: u64, bound: u32) {
        let elapsed_ns = now_ns - self.window_start_ns;
        if elapsed_ns < WINDOW_NS || bound == 0 {
            return;
        }
        self.window_start_ns = now_ns;
        load_roll(&mut self.load, ran, elapsed_ns * cpu_cnt);
        self.floor = boost_floor(&self.load, bound, self.floor);
    }
}

/// Whether an LLC is busy.
#[derive(Debug, Default)]
pub(crate) struct Regime {
    window_start_ns: u64,
    window_ran_ns: u64,
    load_pct: u32,
    pub(crate) busy: bool,

    pub(crate) switch_cnt: u64,
}

impl Regime {
    fn is_window_over(&self, now_ns: u64) -> bool {
        now_ns - self.window_start_ns >= WINDOW_NS
    }

    /// Ends a window; `ran_ns` is the sum of these CPUs' run time.
    fn roll(&mut self, now_ns: u64, ran_ns: u64, cpu_cnt: u32, parts: Parts) {
        let elapsed_ns = now_ns - self.window_start_ns;
        let mut load = load_pct(ran_ns - self.window_ran_ns, elapsed_ns, cpu_cnt);
        if parts.regime_lasts && elapsed_ns < 2 * WINDOW_NS {
            load = u32::midpoint(self.load_pct, load);
        }
        let was_busy = parts.regime_lasts && self.busy;
        let busy = regime_next(was_busy, load, BUSY_PCT);
        self.switch_cnt += u64::from(busy != self.busy);

        self.window_start_ns = now_ns;
        self.window_ran_ns = ran_ns;
        self.load_pct = load;
        self.busy = busy;
    }
}

/// How fast a CPU has to be.
#[derive(Debug)]
pub(crate) struct PerfTarget {
    /// Whether a governor listens.
    pub(crate) governed: bool,
    target: u32,
    window_start_ns: u64,
    window_ran_ns: u64,
    pub(crate) load_pct: u32,
    ran_pipeline: bool,
}

impl Default for PerfTarget {
    fn default() -> Self {
        Self {
            governed: false,
            target: PERF_ALL,
            window_start_ns: 0,
            window_ran_ns: 0,
            load_pct: 0,
            ran_pipeline: false,
        }
    }
}

impl PerfTarget {
    /// What the schedutil governor makes of the target: a quarter more, up to everything.
    pub(crate) fn clock_rate(&self) -> u64 {
        (u64::from(self.target) * 5 / 4).min(SPEED_ALL)
    }

    /// A task of this boost begins to run on a CPU which has run for `ran_ns` so far.
    fn follow(
        &mut self,
        now_ns: u64,
        ran_ns: u64,
        boosted: bool,
        hurried: bool,
        saves_power: bool,
    ) {
        let elapsed_ns = now_ns - self.window_start_ns;
        self.ran_pipeline |= boosted;
        let mut input = PerfInput {
            target: self.target,
            speed: u32::try_from(self.clock_rate()).expect("BUG: above everything"),
            pipeline: self.ran_pipeline,
            hurried: saves_power && boosted && hurried,
            saves_power,
            load_pct: 0,
        };
        if elapsed_ns < WINDOW_NS {
            if self.governed && perf_needs_all(&input) {
                self.target = PERF_ALL;
            }
            return;
        }
        input.load_pct = load_pct(ran_ns - self.window_ran_ns, elapsed_ns, 1);
        self.window_start_ns = now_ns;
        self.window_ran_ns = ran_ns;
        self.load_pct = input.load_pct;
        self.ran_pipeline = boosted;
        if self.governed {
            self.target = perf_target(&input);
        }
    }
}

impl Machine {
    /// The same machine with a clock rate for each CPU, which follows the target.
    pub(crate) fn with_governor(mut self) -> Self {
        for cpu in &mut self.cpus {
            cpu.perf.governed = self.parts.has(Feature::Cpuperf);
        }
        self
    }

    /// Counts a run, and for admission under the boost that was earned.
    pub(crate) fn note_run(&mut self, cpu: usize, task: usize, ran_ns: u64) {
        let boost = self.earned_boost(task);
        let units = u32::try_from(ran_ns / RAN_UNIT_NS).expect("BUG: a run of minutes");
        let (now_ns, bound) = (self.now_ns, self.parts.boosted_max());
        let own = &mut self.cpus[cpu];
        own.ran_ns += ran_ns;
        let ran = &mut own.boosted_ran[boost as usize];
        *ran = ran.wrapping_add(units);
        own.own_admission.roll(now_ns, &own.boosted_ran, 1, bound);
        self.roll_llc(self.cpus[cpu].llc);
    }

    /// A turn begins on this CPU.
    pub(crate) fn note_use(&mut self, cpu: usize) {
        let window = self.now_ns / WINDOW_NS + 1;
        let last_used = &mut self.cpus[cpu].last_used;
        if *last_used != window {
            *last_used = window;
            self.used_cnt += 1;
        }
    }

    fn roll_llc(&mut self, llc: usize) {
        if !self.llcs[llc].regime.is_window_over(self.now_ns) {
            return;
        }
        let cpus = &self.cpus[self.cpus_of_llc(llc)];
        let mut sums = RanByBoost::default();
        for ran in cpus.iter().map(|cpu| cpu.boosted_ran) {
            for (sum, ran) in sums.iter_mut().zip(ran) {
                *sum = sum.wrapping_add(ran);
            }
        }
        let ran_ns = cpus.iter().map(|cpu| cpu.ran_ns).sum();
        let cpu_cnt = count(cpus.len());
        let (now_ns, parts) = (self.now_ns, self.parts);
        let llc = &mut self.llcs[llc];
        let bound = parts.boosted_max();
        llc.admission.roll(now_ns, &sums, cpu_cnt.into(), bound);
        llc.regime.roll(now_ns, ran_ns, cpu_cnt, parts);
    }

    /// A task begins to run: how fast its CPU has to be.
    pub(crate) fn follow_load(&mut self, cpu: usize, task: usize) {
        let boost = self.boost(task);
        let hurried = self.in_window(1);
        let (now_ns, saves_power) = (self.now_ns, self.parts.saves_power);
        let Cpu { perf, ran_ns, .. } = &mut self.cpus[cpu];
        perf.follow(now_ns, *ran_ns, boost > 0, hurried, saves_power);
    }
}
