//! The result of a run as other programs read it, and the statistics in it.

use crate::args::Mode;
use crate::clock::SECOND_NS;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Version of [`RunReport`]; raised when a field changes its meaning or goes.
pub const RUN_SCHEMA: u32 = 2;

const LATE_FACTOR: f64 = 1.5;
const SEVERE_FACTOR: f64 = 2.0;
/// Largest value told apart [ns]; longer ones count as this.
const LONGEST_NS: u64 = 1000 * SECOND_NS;

/// Percentiles of a set of times, in microseconds; all 0 when there are no samples.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Number of samples.
    pub samples: u64,
    /// Mean [us].
    pub mean_us: f64,
    /// Median [us].
    pub p50_us: f64,
    /// 99th percentile [us].
    pub p99_us: f64,
    /// 99.9th percentile [us].
    pub p999_us: f64,
    /// Largest [us].
    pub max_us: f64,
}

impl Quantiles {
    /// Percentiles of samples in nanoseconds, three significant digits.
    #[must_use]
    pub fn of_ns(samples: &[u64]) -> Self {
        let Ok(mut histogram) = Histogram::<u64>::new_with_bounds(1, LONGEST_NS, 3) else {
            return Self::default();
        };
        for sample in samples {
            histogram.saturating_record(*sample);
        }
        if histogram.is_empty() {
            return Self::default();
        }
        let us = |value: u64| value as f64 / 1000.0;
        let at = |quantile: f64| us(histogram.value_at_quantile(quantile));
        Self {
            samples: histogram.len(),
            mean_us: histogram.mean() / 1000.0,
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: us(samples.iter().copied().max().unwrap_or(0)),
        }
    }
}

/// Frames of the measured part.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frames {
    /// Frames on the screen inside the window.
    pub count: u64,
    /// Frames per second over the window.
    pub fps: f64,
    /// Times between flips.
    pub interval: Quantiles,
    /// Intervals above 1.5 x the refresh interval.
    pub late: u64,
    /// Intervals above 2 x the median.
    pub severe: u64,
    /// Mean rate of the slowest hundredth of the frames (at least one) [fps].
    pub low_1pct_fps: f64,
    /// Mean rate of the slowest thousandth of the frames (at least one) [fps].
    pub low_01pct_fps: f64,
}

impl Frames {
    /// Statistics of intervals in ns over `seconds` on a display of `refresh_hz`.
    #[must_use]
    pub fn of(count: u64, intervals_ns: &[u64], seconds: f64, refresh_hz: u32) -> Self {
        let mut sorted = intervals_ns.to_vec();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let median_ns = sorted.get(sorted.len() / 2).copied().unwrap_or(0) as f64;
        let above = |limit_ns: f64| {
            sorted
                .iter()
                .filter(|value| **value as f64 > limit_ns)
                .count() as u64
        };
        let low = |share: usize| {
            let slowest = sorted.get(..sorted.len().div_ceil(share)).unwrap_or(&[]);
            let sum_ns: u64 = slowest.iter().sum();
            if sum_ns == 0 {
                0.0
            } else {
                slowest.len() as f64 * SECOND_NS as f64 / sum_ns as f64
            }
        };
        Self {
            count,
            fps: count as f64 / seconds,
            interval: Quantiles::of_ns(intervals_ns),
            late: above(LATE_FACTOR * SECOND_NS as f64 / f64::from(refresh_hz.max(1))),
            severe: above(SEVERE_FACTOR * median_ns),
            low_1pct_fps: low(100),
            low_01pct_fps: low(1000),
        }
    }

    /// Late frames as a share of all.
    #[must_use]
    pub fn late_share(&self) -> f64 {
        if self.interval.samples == 0 {
            0.0
        } else {
            self.late as f64 / self.interval.samples as f64
        }
    }
}

/// Input of the measured part.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// EV_REL and EV_KEY events injected.
    pub sent: u64,
    /// Of those, read by the game.
    pub read: u64,
    /// Reports the injector could not send in their turn.
    pub skipped: u64,
    /// Longest time between two reports [us]: the injector stands for hardware, so a long gap
    /// means that a timer or interrupt of this machine came late.
    pub longest_gap_us: f64,
    /// Overflows of the kernel's event buffer (SYN_DROPPED).
    pub overflows: u64,
    /// From an event's kernel timestamp to the flip that shows it, every event.
    pub to_flip: Quantiles,
}

/// Sound of the measured part.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audio {
    /// Periods played.
    pub periods: u64,
    /// Wake for a period against its ideal time.
    pub lateness: Quantiles,
    /// Times the buffer ran empty.
    pub xruns: u64,
}

/// What one background load finished in the measured part.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub struct Background {
    /// The load as given.
    pub spec: String,
    /// Loops of work.
    pub loops: u64,
    /// The same per second.
    pub loops_per_s: f64,
    /// Compiler processes, chat chains, encoded frames or shaders that were finished.
    pub jobs: u64,
    /// The same per second.
    pub jobs_per_s: f64,
    /// Deadlines of an encoder's threads.
    #[serde(default)]
    pub deadlines: u64,
    /// Of those, missed.
    #[serde(default)]
    pub missed: u64,
}

/// Useful work of the measured part, in loops.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Loops of game, workers, render thread and compositor for one frame.
    pub per_frame: u64,
    /// Frames x work per frame.
    pub game: u64,
    /// All background loads together.
    pub background: u64,
}

/// Which part each stage really used.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// "kms" or "timer".
    pub display: String,
    /// "uinput" or "timer".
    pub input: String,
    /// "render-node" or "none".
    pub gpu: String,
    /// "alsa", "timer" or "none".
    pub audio: String,
    /// Whether every part was the real one.
    pub all_real: bool,
}

/// What was played.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// Release of the running kernel.
    pub kernel: String,
    /// Online CPUs this process may use.
    pub cpus: usize,
    /// Name of the sched_ext scheduler at the end, empty for the kernel's own.
    pub scheduler: String,
    /// When frames began.
    pub mode: Mode,
    /// Measured seconds.
    pub seconds: f64,
    /// Seconds before them.
    pub warmup: f64,
    /// Background loads.
    pub loads: Vec<String>,
    /// SCHED_FIFO for the game.
    pub oracle: bool,
    /// Speed all loop counts come from.
    pub loops_per_us: u64,
    /// Refresh rate of the display or of the timer in its place [Hz].
    pub refresh_hz: u32,
}

/// The result of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// [`RUN_SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// What was played.
    pub setup: Setup,
    /// With which parts.
    pub parts: Parts,
    /// What a reader of the figures should know.
    pub notes: Vec<String>,
    /// Frames.
    pub frames: Frames,
    /// Input.
    pub input: Input,
    /// Sound; `None` when it was left out.
    pub audio: Option<Audio>,
    /// Background loads, in the order given.
    pub background: Vec<Background>,
    /// Useful work.
    pub work: Work,
}

impl RunReport {
    /// Loops per second of all background loads.
    #[must_use]
    pub fn background_loops_per_s(&self) -> f64 {
        self.background.iter().map(|load| load.loops_per_s).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{Frames, Quantiles};

    #[test]
    fn quantiles_of_nothing_are_zero() {
        assert_eq!(Quantiles::of_ns(&[]), Quantiles::default());
    }

    #[test]
    fn quantiles_are_in_microseconds_and_ordered() {
        let samples: Vec<u64> = (1..=1000).map(|value| value * 1000).collect();
        let quantiles = Quantiles::of_ns(&samples);
        assert!((quantiles.p50_us - 500.0).abs() < 1.0);
        assert!((quantiles.p99_us - 990.0).abs() < 1.0);
        assert!((quantiles.max_us - 1000.0).abs() < f64::EPSILON);
        assert_eq!(quantiles.samples, 1000);
    }

    #[test]
    fn severe_frames_are_counted_against_the_median() {
        let mut intervals = vec![10_000_000; 98];
        intervals.extend([16_000_000, 21_000_000]);
        assert_eq!(Frames::of(101, &intervals, 1.0, 60).severe, 1);
    }

    #[test]
    fn late_frames_are_counted_against_the_refresh() {
        let intervals = [16_666_667, 16_666_667, 33_333_333];
        let frames = Frames::of(4, &intervals, 1.0, 60);
        assert_eq!(frames.late, 1);
        assert!((frames.late_share() - 1.0 / 3.0).abs() < 1e-9);
    }

    #[test]
    fn one_percent_low_is_the_mean_rate_of_the_slowest_hundredth() {
        let mut intervals = vec![5_000_000; 198];
        intervals.extend([20_000_000, 30_000_000]);
        let frames = Frames::of(201, &intervals, 1.0, 60);
        assert!((frames.low_1pct_fps - 40.0).abs() < 1e-9);
        assert!((frames.low_01pct_fps - 1e3 / 30.0).abs() < 1e-9);
    }
}
