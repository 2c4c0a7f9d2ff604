//! The measures: what of a cell is compared, in which unit, and which way is better.

use crate::results::{Played, Samples};
use Better::{Higher, Lower, Neither};
use gamesim::report::{Frames, Quantiles};

/// Which way a measure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Neither: it explains others.
    Neither,
}

/// What the measures are computed from: one cell, or the cells of all rounds pooled.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Facts {
    /// Measured seconds.
    pub seconds: f64,
    /// Frames.
    pub frames: Frames,
    /// From input event to flip.
    pub input_to_flip: Quantiles,
    /// Input events injected.
    pub input_sent: u64,
    /// Of those, read by the game.
    pub input_read: u64,
    /// Reports that the injector, which stands for hardware, could not send in their turn.
    pub input_skipped: u64,
    /// Lateness of sound periods; `None` without sound.
    pub audio: Option<Quantiles>,
    /// Times the sound buffer ran empty.
    pub xruns: u64,
    /// Loops of work of the game.
    pub game_loops: u64,
    /// Loops of work of the background; `None` where there is none.
    pub background_loops: Option<u64>,
    /// Loops of work per second of the kernel's own scheduler with nothing beside the game, where
    /// that was played; set by whoever knows the other cells.
    pub unloaded_work_per_s: Option<f64>,
    /// Deadlines of an encoder in the background, and how many were missed.
    pub stream: Option<(u64, u64)>,
    /// Longest wait of any task for a CPU [us], as the neutral tracer saw it.
    pub longest_wait_us: Option<u64>,
    /// Context switches, those of the idle task included.
    pub switches: Option<u64>,
    /// Moves of a task from one CPU to another.
    pub migrations: Option<u64>,
    /// Time in the contestant's BPF programs [ns], in the part where that was counted; 0 where it has none.
    pub program_ns: u64,
    /// Length of that part.
    pub program_seconds: f64,
    /// Context switches in that part.
    pub program_switches: Option<u64>,
}

impl Facts {
    /// Of one cell.
    #[must_use]
    pub fn of(cell: &Played) -> Self {
        let run = &cell.run;
        let waits = cell.waits.as_ref();
        let streams = run.background.iter().filter(|load| load.deadlines > 0);
        Self {
            seconds: run.setup.seconds,
            frames: run.frames.clone(),
            input_to_flip: run.input.to_flip,
            input_sent: run.input.sent,
            input_read: run.input.read,
            input_skipped: run.input.skipped,
            audio: run.audio.as_ref().map(|audio| audio.lateness),
            xruns: run.audio.as_ref().map_or(0, |audio| audio.xruns),
            game_loops: run.work.game,
            background_loops: (!run.background.is_empty()).then_some(run.work.background),
            unloaded_work_per_s: None,
            stream: streams.fold(None, |sum, load| {
                add_pairs(sum, Some((load.deadlines, load.missed)))
            }),
            longest_wait_us: waits.map(|waits| waits.longest().map_or(0, |wait| wait.wait_us)),
            switches: waits.map(|waits| waits.switches),
            migrations: waits.map(|waits| waits.migrations),
            program_ns: cell
                .cost
                .programs
                .iter()
                .map(|program| program.run_ns)
                .sum(),
            program_seconds: cell.cost.seconds,
            program_switches: cell.cost.switches,
        }
    }

    /// Of several cells and the samples of all of them: sums, largest values, and quantiles over
    /// every sample.
    #[must_use]
    pub fn pooled(cells: &[&Played], samples: &Samples) -> Self {
        let mut pooled = cells
            .iter()
            .map(|cell| Self::of(cell))
            .reduce(Self::and)
            .unwrap_or_default();
        let refresh_hz = cells.first().map_or(0, |cell| cell.run.setup.refresh_hz);
        pooled.frames = Frames::of(
            pooled.frames.count,
            samples.frame_intervals(),
            pooled.seconds.max(f64::MIN_POSITIVE),
            refresh_hz,
        );
        pooled.input_to_flip = Quantiles::of_ns(samples.input_to_flip());
        pooled.audio = pooled
            .audio
            .map(|_| Quantiles::of_ns(samples.audio_lateness()));
        pooled
    }

    /// Sums and largest values of two; quantiles are left to the caller.
    fn and(mut self, other: Self) -> Self {
        self.seconds += other.seconds;
        self.frames.count += other.frames.count;
        self.input_sent += other.input_sent;
        self.input_read += other.input_read;
        self.input_skipped += other.input_skipped;
        self.xruns += other.xruns;
        self.game_loops += other.game_loops;
        self.background_loops = add(self.background_loops, other.background_loops);
        self.stream = add_pairs(self.stream, other.stream);
        self.longest_wait_us = self.longest_wait_us.max(other.longest_wait_us);
        self.switches = add(self.switches, other.switches);
        self.migrations = add(self.migrations, other.migrations);
        self.program_ns += other.program_ns;
        self.program_seconds += other.program_seconds;
        self.program_switches = add(self.program_switches, other.program_switches);
        self
    }

    /// Loops of work of game and background per second.
    #[must_use]
    pub fn work_per_s(&self) -> f64 {
        (self.game_loops + self.background_loops.unwrap_or(0)) as f64 / self.seconds
    }
}

fn add(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    Some(a? + b?)
}

fn add_pairs(a: Option<(u64, u64)>, b: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0 + b.0, a.1 + b.1)),
        (a, b) => a.or(b),
    }
}

/// One measure.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Name with unit.
    pub name: &'static str,
    /// Which way is better.
    pub better: Better,
    /// Whether a verdict of it is worth a line of its own in the short tables.
    pub headline: bool,
    /// Digits after the point.
    pub digits: usize,
    /// Its value, if the cell has one.
    pub get: fn(&Facts) -> Option<f64>,
}

type Get = fn(&Facts) -> Option<f64>;

const fn headline(name: &'static str, better: Better, digits: usize, get: Get) -> Measure {
    Measure {
        name,
        better,
        headline: true,
        digits,
        get,
    }
}

const fn detail(name: &'static str, better: Better, digits: usize, get: Get) -> Measure {
    Measure {
        headline: false,
        ..headline(name, better, digits, get)
    }
}

fn per_second(count: Option<u64>, facts: &Facts) -> Option<f64> {
    Some(count? as f64 / facts.seconds)
}

/// A time of a distribution [ms]. No samples are no value, and not a time of 0.
fn ms(times: Quantiles, get: fn(Quantiles) -> f64) -> Option<f64> {
    (times.samples > 0).then(|| get(times) / 1e3)
}

fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// All measures, in the order of the tables.
pub const MEASURES: [Measure; 25] = [
    headline("frames per second", Higher, 1, |f| Some(f.frames.fps)),
    headline("1 % low [fps]", Higher, 1, |f| Some(f.frames.low_1pct_fps)),
    detail("0.1 % low [fps]", Higher, 1, |f| {
        Some(f.frames.low_01pct_fps)
    }),
    detail("frame p50 [ms]", Lower, 2, |f| {
        ms(f.frames.interval, |times| times.p50_us)
    }),
    headline("frame p99 [ms]", Lower, 2, |f| {
        ms(f.frames.interval, |times| times.p99_us)
    }),
    detail("frame p99.9 [ms]", Lower, 2, |f| {
        ms(f.frames.interval, |times| times.p999_us)
    }),
    detail("late frames [%]", Lower, 2, |f| {
        percent(f.frames.late, f.frames.interval.samples)
    }),
    detail("severe frames [%]", Lower, 2, |f| {
        percent(f.frames.severe, f.frames.interval.samples)
    }),
    detail("input to flip p50 [ms]", Lower, 2, |f| {
        ms(f.input_to_flip, |times| times.p50_us)
    }),
    headline("input to flip p99 [ms]", Lower, 2, |f| {
        ms(f.input_to_flip, |times| times.p99_us)
    }),
    detail("input to flip max [ms]", Lower, 2, |f| {
        ms(f.input_to_flip, |times| times.max_us)
    }),
    detail("input events not read [%]", Lower, 2, |f| {
        percent(f.input_sent.saturating_sub(f.input_read), f.input_sent)
    }),
    detail("input reports skipped [%]", Neither, 2, |f| {
        percent(f.input_skipped, f.input_skipped + f.input_sent)
    }),
    headline("audio lateness p99 [ms]", Lower, 2, |f| {
        ms(f.audio?, |times| times.p99_us)
    }),
    headline("audio xruns [1/s]", Lower, 2, |f| {
        f.audio.map(|_| f.xruns as f64 / f.seconds)
    }),
    headline("stream deadlines missed [%]", Lower, 2, |f| {
        let (deadlines, missed) = f.stream?;
        percent(missed, deadlines)
    }),
    detail("game work [M loops/s]", Higher, 2, |f| {
        Some(f.game_loops as f64 / f.seconds / 1e6)
    }),
    headline("background [M loops/s]", Higher, 2, |f| {
        per_second(f.background_loops, f).map(|rate| rate / 1e6)
    }),
    headline("all work [M loops/s]", Higher, 2, |f| {
        Some(f.work_per_s() / 1e6)
    }),
    detail("all work [% of unloaded]", Higher, 1, |f| {
        Some(f.work_per_s() * 100.0 / f.unloaded_work_per_s?)
    }),
    headline("longest wait [ms]", Lower, 1, |f| {
        Some(f.longest_wait_us? as f64 / 1e3)
    }),
    detail("context switches [1/s]", Neither, 0, |f| {
        per_second(f.switches, f)
    }),
    detail("migrations [1/s]", Neither, 0, |f| {
        per_second(f.migrations, f)
    }),
    detail("BPF time [% of a CPU]", Lower, 2, |f| {
        (f.program_ns > 0).then(|| f.program_ns as f64 / f.program_seconds / 1e7)
    }),
    headline("BPF time per switch [ns]", Lower, 0, |f| {
        let switches = f.program_switches.filter(|switches| *switches > 0)?;
        (f.program_ns > 0).then(|| f.program_ns as f64 / switches as f64)
    }),
];
