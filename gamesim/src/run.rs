//! One run: starts the parts, plays, collects.

use crate::args::{Device, Mode, PlayArgs, RunArgs};
use crate::clock::{duration_ns, now_ns};
use crate::game::{Game, Inbox, Pool};
use crate::gpu::Gpu;
use crate::helper::{Helper, Window};
use crate::input::{self, Source};
use crate::render::{Presented, Renderer};
use crate::report::{
    Audio, Background, Frames, Input, Parts, Quantiles, RUN_SCHEMA, RunReport, Setup, Work,
};
use crate::signals::{Signals, Wake};
use crate::{
    EXIT_INTERRUPTED, audio, calibrate, compositor, inject, raw, scheduler, steam, sys, table,
};
use anyhow::{Context, Result, anyhow};
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Real-time priority of the game's threads under `--oracle`.
const ORACLE_PRIORITY: i32 = 10;

/// `gamesim run`.
///
/// # Errors
/// When a part fails; a missing device is no failure.
pub fn main(args: &RunArgs) -> Result<u8> {
    if let Some(app_id) = args.play.steam_app_id {
        steam::become_app(app_id).context("cannot restart as a Steam game")?;
    }
    let signals = Signals::block(&[])?;
    let mut stage = Stage::set_up(&args.play, args.oracle)?;
    let Some(samples) = stage.play(args, &signals)? else {
        return Ok(EXIT_INTERRUPTED);
    };
    let report = stage.report(args, &samples);
    if let Some(path) = &args.raw {
        samples.write(path)?;
    }
    match &args.json {
        Some(path) if path.as_os_str() == "-" => {
            println!("{}", serde_json::to_string_pretty(&report)?)
        }
        json => {
            print!("{}", table::run(&report));
            if let Some(path) = json {
                let text = serde_json::to_string_pretty(&report)?;
                std::fs::write(path, text)
                    .with_context(|| format!("cannot write {}", path.display()))?;
            }
        }
    }
    Ok(0)
}

/// The parts of a run, ready to play.
struct Stage {
    compositor: Helper,
    injector: Option<Helper>,
    audio: Option<Helper>,
    loads: Vec<Helper>,
    gpu: Option<Gpu>,
    source: Option<Source>,
    parts: Parts,
    notes: Vec<String>,
    loops_per_us: u64,
    refresh_hz: u32,
    kms: bool,
}

/// All that was measured.
struct Samples {
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
        raw::write(
            path,
            &[
                ("frame_interval", &self.intervals_ns),
                ("input_to_flip", &self.presented.input_to_flip_ns),
                ("audio_lateness", sound),
            ],
        )
    }
}

fn device(device: Device) -> String {
    match device {
        Device::Auto => "auto",
        Device::Timer => "timer",
        Device::None => "none",
    }
    .to_owned()
}

fn flag(args: &mut Vec<String>, name: &str, value: impl ToString) {
    args.push(format!("--{name}={}", value.to_string()));
}

impl Stage {
    fn set_up(play: &PlayArgs, oracle: bool) -> Result<Self> {
        let mut notes = Vec::new();
        let (loops_per_us, note) = calibrate::obtain(play.loops_per_us);
        notes.extend(note);
        let (compositor, shown) = start_compositor(play, oracle, loops_per_us)?;
        let (audio, sound) = start_audio(play, oracle, loops_per_us)?;
        let (injector, source) = start_input(play, &mut notes)?;
        let gpu = start_gpu(play, &mut notes);
        let mut loads = Vec::new();
        for spec in &play.load {
            let mut args = vec!["load".to_owned()];
            flag(&mut args, "spec", spec);
            flag(&mut args, "loops-per-us", loops_per_us);
            let mut load = Helper::spawn(&format!("{spec} load"), &args)?;
            load.receive::<()>()?;
            loads.push(load);
        }
        let display = if shown.kms { "kms" } else { "timer" };
        notes.push(format!("display {display}: {}", shown.note));
        if let Some(sound) = &sound {
            notes.push(format!(
                "audio {}: {}",
                if sound.alsa { "alsa" } else { "timer" },
                sound.note
            ));
        }
        let parts = Parts {
            display: display.to_owned(),
            input: if injector.is_some() {
                "uinput"
            } else {
                "timer"
            }
            .to_owned(),
            gpu: if gpu.is_some() { "render-node" } else { "none" }.to_owned(),
            audio: sound
                .as_ref()
                .map_or("none", |sound| if sound.alsa { "alsa" } else { "timer" })
                .to_owned(),
            all_real: shown.kms
                && injector.is_some()
                && gpu.is_some()
                && sound.is_some_and(|sound| sound.alsa),
        };
        Ok(Self {
            compositor,
            injector,
            audio,
            loads,
            gpu,
            source,
            parts,
            notes,
            loops_per_us,
            refresh_hz: shown.refresh_hz,
            kms: shown.kms,
        })
    }

    /// Plays the window; `None` when a signal ended it.
    fn play(&mut self, args: &RunArgs, signals: &Signals) -> Result<Option<Samples>> {
        let play = &args.play;
        let from_ns = now_ns() + duration_ns(Duration::from_secs_f64(play.warmup));
        let until_ns = from_ns + duration_ns(Duration::from_secs_f64(play.seconds));
        let window = Window { from_ns, until_ns };
        let helpers = self
            .injector
            .iter_mut()
            .chain(&mut self.audio)
            .chain(&mut self.loads);
        for helper in helpers {
            helper.send(&window)?;
        }
        let threads = self.start_threads(args, window)?;
        let limit = None;
        if let Wake::Signal(_) = signals.wait(threads.ended.as_fd(), limit)? {
            threads.inbox.close();
            return Ok(None);
        }
        let presented = join(threads.render).and_then(|presented| {
            join(threads.game)?;
            Ok(presented)
        })?;
        let sent = self.injector.as_mut().map(Helper::receive).transpose()?;
        self.injector = None;
        let read = threads.input.map(join).transpose()?.unwrap_or_default();
        let sound = self.audio.as_mut().map(Helper::receive).transpose()?;
        let background = self
            .loads
            .iter_mut()
            .map(Helper::receive)
            .collect::<Result<_>>()?;
        let intervals_ns = presented
            .flips_ns
            .windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .collect();
        Ok(Some(Samples {
            intervals_ns,
            presented,
            read,
            sent,
            sound,
            background,
        }))
    }

    fn start_threads(&mut self, args: &RunArgs, window: Window) -> Result<Threads> {
        let play = &args.play;
        let oracle = args.oracle;
        let scale = self.loops_per_us;
        let inbox = Arc::new(Inbox::default());
        let pool = Arc::new(Pool::default());
        let (ended, end) = std::os::unix::net::UnixStream::pair()?;
        for index in 0..play.workers {
            let (pool, loops) = (Arc::clone(&pool), scale * play.worker_us);
            start(format!("worker/{index}"), oracle, move || {
                pool.work(loops);
                Ok(())
            })?;
        }
        let renderer = Renderer {
            mode: play.mode,
            loops: scale * play.render_us,
            gpu: self.gpu.take(),
            compositor: self.compositor.socket()?,
            inbox: Arc::clone(&inbox),
            window,
        };
        // Capacity 0: the game hands a frame over when the render thread takes it.
        let (sender, receiver) = mpsc::sync_channel(0);
        let closing = Arc::clone(&inbox);
        let render = start("render".to_owned(), oracle, move || {
            let result = renderer.run(&receiver);
            closing.close();
            drop(end);
            result
        })?;
        let input = match self.source.take() {
            Some(source) => {
                let inbox = Arc::clone(&inbox);
                Some(start("input".to_owned(), oracle, move || {
                    input::run(source, &inbox, window)
                })?)
            }
            None => None,
        };
        let game = Game {
            mode: play.mode,
            loops: scale * play.game_us,
            jobs: play.workers,
            inbox: Arc::clone(&inbox),
            pool,
        };
        let game = start("game".to_owned(), oracle, move || {
            let result = game.play(&sender, window);
            game.pool.close();
            result
        })?;
        Ok(Threads {
            game,
            render,
            input,
            inbox,
            ended,
        })
    }

    fn report(&self, args: &RunArgs, samples: &Samples) -> RunReport {
        let play = &args.play;
        let paced = play.mode == Mode::Paced;
        let count = samples.presented.flips_ns.len() as u64;
        let per_frame_us = play.game_us
            + u64::from(play.workers) * play.worker_us
            + play.render_us
            + play.compositor_us;
        let per_frame = per_frame_us * self.loops_per_us;
        let mut notes = self.notes.clone();
        let refresh_hz = paced.then_some(self.refresh_hz);
        let frames = Frames::of(count, &samples.intervals_ns, play.seconds, refresh_hz);
        if !paced
            && self.kms
            && frames.fps > 0.9 * f64::from(self.refresh_hz)
            && frames.fps < 1.1 * f64::from(self.refresh_hz)
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
                loops_per_us: self.loops_per_us,
                refresh_hz: self.refresh_hz,
            },
            parts: self.parts.clone(),
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
}

struct Threads {
    game: JoinHandle<Result<()>>,
    render: JoinHandle<Result<Presented>>,
    input: Option<JoinHandle<Result<input::Read>>>,
    inbox: Arc<Inbox>,
    /// Closed at its other end when the render thread ends.
    ended: std::os::unix::net::UnixStream,
}

fn start<T: Send + 'static>(
    name: String,
    oracle: bool,
    body: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<JoinHandle<Result<T>>> {
    let context = format!("cannot start thread {name}");
    let wrapped = move || {
        if oracle {
            sys::set_fifo(ORACLE_PRIORITY).context("--oracle needs root or a real-time limit")?;
        }
        body()
    };
    thread::Builder::new()
        .name(name)
        .spawn(wrapped)
        .context(context)
}

fn join<T>(handle: JoinHandle<Result<T>>) -> Result<T> {
    let name = handle.thread().name().unwrap_or("unnamed").to_owned();
    handle
        .join()
        .map_err(|_| anyhow!("thread {name} panicked"))?
}

fn start_compositor(
    play: &PlayArgs,
    oracle: bool,
    scale: u64,
) -> Result<(Helper, compositor::Ready)> {
    let mut args = vec!["compositor".to_owned()];
    flag(&mut args, "loops", scale * play.compositor_us);
    flag(&mut args, "refresh-hz", play.refresh_hz);
    flag(&mut args, "display", device(play.display));
    flag(
        &mut args,
        "mode",
        if play.mode == Mode::Paced {
            "paced"
        } else {
            "uncapped"
        },
    );
    if oracle {
        args.push("--oracle".to_owned());
    }
    let mut helper = Helper::spawn("compositor", &args)?;
    let ready = helper.receive()?;
    Ok((helper, ready))
}

fn start_audio(
    play: &PlayArgs,
    oracle: bool,
    scale: u64,
) -> Result<(Option<Helper>, Option<audio::Ready>)> {
    if play.audio == Device::None {
        return Ok((None, None));
    }
    let mut args = vec!["audio".to_owned()];
    flag(&mut args, "loops", scale * play.audio_us);
    flag(&mut args, "audio", device(play.audio));
    if let Some(name) = &play.audio_device {
        flag(&mut args, "audio-device", name);
    }
    if oracle {
        args.push("--oracle".to_owned());
    }
    let mut helper = Helper::spawn("audio", &args)?;
    let ready = helper.receive()?;
    Ok((Some(helper), Some(ready)))
}

fn start_input(
    play: &PlayArgs,
    notes: &mut Vec<String>,
) -> Result<(Option<Helper>, Option<Source>)> {
    match play.input {
        Device::None => return Ok((None, None)),
        Device::Timer => return Ok((None, Some(Source::Timer(play.input_hz)))),
        Device::Auto => {}
    }
    let mut args = vec!["inject".to_owned()];
    flag(&mut args, "input-hz", play.input_hz);
    let mut helper = Helper::spawn("injector", &args)?;
    let ready: inject::Ready = helper.receive()?;
    let opened = ready
        .nodes
        .map_err(|why| anyhow!("no uinput: {why}"))
        .and_then(|nodes| input::open(&nodes));
    match opened {
        Ok(source) => {
            if !ready.realtime {
                notes.push("the injector may not run as real-time: load delays it too".to_owned());
            }
            Ok((Some(helper), Some(source)))
        }
        Err(error) => {
            notes.push(format!("input timer: {error:#}"));
            Ok((None, Some(Source::Timer(play.input_hz))))
        }
    }
}

fn start_gpu(play: &PlayArgs, notes: &mut Vec<String>) -> Option<Gpu> {
    if play.gpu != Device::Auto {
        return None;
    }
    match Gpu::open() {
        Ok((gpu, how)) => {
            notes.push(format!("gpu render-node: {how}"));
            Some(gpu)
        }
        Err(error) => {
            notes.push(format!("gpu none: {error:#}"));
            None
        }
    }
}
