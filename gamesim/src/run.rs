//! The game process: plays the measured window and turns the samples into a report.

use crate::args::{Mode, RunArgs};
use crate::asset_loader::AssetLoader;
use crate::clock::{duration_ns, now_ns};
use crate::helper::{Helper, Window};
use crate::load::running::Load;
use crate::render::Presented;
use crate::report::{
    Audio, Background, Frames, Input, Quantiles, RUN_SCHEMA, RunReport, Setup, Work,
};
use crate::signals::{Signals, Wake};
use crate::stage::Stage;
use crate::threads::{self, join};
use crate::{EXIT_INTERRUPTED, audio, inject, input, raw, scheduler, table};
use anyhow::{Context, Result, bail};
use std::io::Write;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

/// What `gamesim run` starts.
///
/// # Errors
/// When a part fails; a missing device is no failure.
pub fn main(args: &RunArgs) -> Result<u8> {
    let print_json = args
        .json
        .as_ref()
        .is_some_and(|path| path.as_os_str() == "-");
    if args.announce && print_json {
        bail!("--announce and --json=- both print JSON: give --json a file");
    }
    let signals = Signals::block(&[])?;
    let mut stage = Stage::set_up(&args.play, args.oracle)?;
    let _asset_loader = AssetLoader::start()?;
    let Some(samples) = play(&mut stage, args, &signals)? else {
        return Ok(EXIT_INTERRUPTED);
    };
    let report = report(&stage, args, &samples);
    if let Some(path) = &args.raw {
        samples.write(path)?;
    }
    if print_json {
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(0);
    }
    print!("{}", table::run(&report));
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(0)
}

/// All that was measured.
struct Samples {
    window: Window,
    intervals_ns: Vec<u64>,
    presented: Presented,
    read: input::Read,
    sent: Option<inject::Sent>,
    sound: Option<audio::Sound>,
    background: Vec<Background>,
}

impl Samples {
    fn write(&self, path: &std::path::Path) -> Result<()> {
        let sound = self
            .sound
            .as_ref()
            .map_or(&[][..], |sound| &sound.lateness_ns);
        let frame_at: Vec<u64> = self
            .presented
            .flips_ns
            .iter()
            .map(|flip_ns| flip_ns.saturating_sub(self.window.from_ns))
            .collect();
        raw::write(
            path,
            &[
                ("frame_at", &frame_at),
                ("frame_interval", &self.intervals_ns),
                ("input_to_flip", &self.presented.input_to_flip_ns),
                ("audio_lateness", sound),
            ],
        )
    }
}

/// Plays the window; `None` when a signal ended it.
fn play(stage: &mut Stage, args: &RunArgs, signals: &Signals) -> Result<Option<Samples>> {
    let play = &args.play;
    let from_ns = now_ns() + duration_ns(Duration::from_secs_f64(play.warmup));
    let until_ns = from_ns + duration_ns(Duration::from_secs_f64(play.seconds));
    let window = Window { from_ns, until_ns };
    if args.announce {
        let mut out = std::io::stdout();
        writeln!(out, "{}", serde_json::to_string(&window)?)?;
        out.flush()?;
    }
    for helper in stage.injector.iter_mut().chain(&mut stage.audio) {
        helper.send(&window)?;
    }
    for load in &mut stage.loads {
        load.start(window)?;
    }
    let threads = threads::start(stage, args, window)?;
    if let Wake::Signal(_) = signals.wait(threads.ended.as_fd(), None)? {
        threads.inbox.close();
        return Ok(None);
    }
    let mut presented = join(threads.render).and_then(|presented| {
        join(threads.game)?;
        Ok(presented)
    })?;
    let sent = stage.injector.as_mut().map(Helper::receive).transpose()?;
    stage.injector = None;
    let read = threads.input.map(join).transpose()?.unwrap_or_default();
    let sound = stage.audio.as_mut().map(Helper::receive).transpose()?;
    let background = stage
        .loads
        .drain(..)
        .map(Load::finish)
        .collect::<Result<_>>()?;
    // Events that no frame took have waited at least until now.
    let rest = threads.inbox.take_inputs().into_iter();
    let unserved = rest.filter(|input_ns| window.contains(*input_ns));
    presented
        .input_to_flip_ns
        .extend(unserved.map(|input_ns| until_ns - input_ns));
    Ok(Some(Samples {
        window,
        intervals_ns: presented.intervals_ns(window),
        presented,
        read,
        sent,
        sound,
        background,
    }))
}

fn report(stage: &Stage, args: &RunArgs, samples: &Samples) -> RunReport {
    let play = &args.play;
    let paced = play.mode == Mode::Paced;
    let count = samples.presented.flips_ns.len() as u64;
    let per_frame_us = play.game_us
        + u64::from(play.workers) * play.worker_us
        + play.render_us
        + play.compositor_us;
    let per_frame = per_frame_us * stage.loops_per_us;
    let mut notes = stage.notes.clone();
    let frames = Frames::of(count, &samples.intervals_ns, play.seconds, stage.refresh_hz);
    if !paced
        && stage.kms
        && frames.fps > 0.9 * f64::from(stage.refresh_hz)
        && frames.fps < 1.1 * f64::from(stage.refresh_hz)
    {
        notes.push("the display paces its flips: uncapped frames are bounded by it".to_owned());
    }
    RunReport {
        schema: RUN_SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        setup: Setup {
            kernel: nix::sys::utsname::uname()
                .map(|uname| uname.release().to_string_lossy().into_owned())
                .unwrap_or_default(),
            cpus: thread::available_parallelism().map_or(1, usize::from),
            scheduler: scheduler::name(),
            mode: play.mode,
            seconds: play.seconds,
            warmup: play.warmup,
            loads: play.load.iter().map(ToString::to_string).collect(),
            oracle: args.oracle,
            loops_per_us: stage.loops_per_us,
            refresh_hz: stage.refresh_hz,
        },
        parts: stage.parts.clone(),
        notes,
        frames,
        input: Input {
            sent: samples.sent.map_or(samples.read.events, |sent| sent.events),
            read: samples.read.events,
            skipped: samples.sent.map_or(0, |sent| sent.skipped),
            longest_gap_us: samples
                .sent
                .map_or(0.0, |sent| sent.longest_gap_ns as f64 / 1e3),
            overflows: samples.read.overflows,
            to_flip: Quantiles::of_ns(&samples.presented.input_to_flip_ns),
        },
        audio: samples.sound.as_ref().map(|sound| Audio {
            periods: sound.lateness_ns.len() as u64,
            lateness: Quantiles::of_ns(&sound.lateness_ns),
            xruns: sound.xruns,
        }),
        work: Work {
            per_frame,
            game: count * per_frame,
            background: samples.background.iter().map(|load| load.loops).sum(),
        },
        background: samples.background.clone(),
    }
}
