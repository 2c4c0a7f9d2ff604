//! The parts of a run: helper processes and devices, or what takes their place.

use crate::args::{Device, InputPath, Mode, PlayArgs};
use crate::gpu::Gpu;
use crate::helper::Helper;
use crate::input::{self, Source};
use crate::load::running::Load;
use crate::report::Parts;
use crate::{audio, calibrate, compositor, inject};
use anyhow::{Result, anyhow};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// The parts of a run, ready to play.
pub struct Stage {
    /// Shows the frames.
    pub compositor: Helper,
    /// Makes the input, where uinput is used.
    pub injector: Option<Helper>,
    /// Plays sound.
    pub audio: Option<Helper>,
    /// Background loads, in the order given.
    pub loads: Vec<Load>,
    /// The render node; the render thread takes it.
    pub gpu: Option<Gpu>,
    /// Input; the input thread takes it.
    pub source: Option<Source>,
    /// Which parts are real.
    pub parts: Parts,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// Speed of this machine.
    pub loops_per_us: u64,
    /// Refresh rate [Hz].
    pub refresh_hz: u32,
    /// Whether KMS shows the frames.
    pub kms: bool,
}

impl Stage {
    /// Starts and opens everything.
    ///
    /// # Errors
    /// When a helper process cannot be started; a missing device is a note.
    pub fn set_up(play: &PlayArgs, oracle: bool) -> Result<Self> {
        let mut notes = Vec::new();
        let (loops_per_us, note) = calibrate::obtain(play.loops_per_us);
        notes.extend(note);
        let (injector, input) = start_input(play, &mut notes)?;
        let (compositor, shown, forwarded) = start_compositor(play, &input, oracle, loops_per_us)?;
        let source = match forwarded {
            Some(socket) => Some(Source::Socket(socket)),
            None => input.open()?,
        };
        let (audio, sound) = start_audio(play, oracle, loops_per_us)?;
        let gpu = start_gpu(play, &mut notes);
        let loads = play
            .load
            .iter()
            .map(|spec| Load::set_up(*spec, loops_per_us))
            .collect::<Result<_>>()?;
        let display = if shown.kms { "kms" } else { "timer" };
        notes.push(format!("display {display}: {}", shown.note));
        if matches!(source, Some(Source::Socket(_))) {
            notes.push("input comes from the compositor, over a Unix socket".to_owned());
        }
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

/// What there is to be read.
enum Input {
    None,
    Timer(u32),
    Nodes(Vec<PathBuf>),
}

impl Input {
    fn open(&self) -> Result<Option<Source>> {
        Ok(match self {
            Self::None => None,
            Self::Timer(rate_hz) => Some(Source::Timer(*rate_hz)),
            Self::Nodes(nodes) => Some(input::open(nodes)?),
        })
    }
}

/// Starts the compositor; also gives the socket on which it sends input, if it is who reads it.
fn start_compositor(
    play: &PlayArgs,
    input: &Input,
    oracle: bool,
    scale: u64,
) -> Result<(Helper, compositor::Ready, Option<UnixStream>)> {
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
    let mut socket = None;
    let mut output = None;
    if play.input_path == InputPath::Wayland {
        match input {
            Input::None => {}
            Input::Timer(rate_hz) => flag(&mut args, "input-hz", rate_hz),
            Input::Nodes(nodes) => {
                for node in nodes {
                    flag(&mut args, "input-node", node.display());
                }
            }
        }
        if !matches!(input, Input::None) {
            let (ours, theirs) = UnixStream::pair()?;
            socket = Some(ours);
            output = Some(OwnedFd::from(theirs));
        }
    }
    let mut helper = Helper::start("compositor", &args, output.as_ref().map(AsFd::as_fd))?;
    let ready = helper.receive()?;
    Ok((helper, ready, socket))
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
    let mut helper = Helper::start("audio", &args, None)?;
    let ready = helper.receive()?;
    Ok((Some(helper), Some(ready)))
}

fn start_input(play: &PlayArgs, notes: &mut Vec<String>) -> Result<(Option<Helper>, Input)> {
    match play.input {
        Device::None => return Ok((None, Input::None)),
        Device::Timer => return Ok((None, Input::Timer(play.input_hz))),
        Device::Auto => {}
    }
    let mut args = vec!["inject".to_owned()];
    flag(&mut args, "input-hz", play.input_hz);
    let mut helper = Helper::start("injector", &args, None)?;
    let ready: inject::Ready = helper.receive()?;
    // Tried out, as they may not be ours to read.
    let nodes = ready
        .nodes
        .map_err(|why| anyhow!("no uinput: {why}"))
        .and_then(|nodes| input::open(&nodes).map(|_| nodes));
    match nodes {
        Ok(nodes) => {
            if !ready.realtime {
                notes.push("the injector may not run as real-time: load delays it too".to_owned());
            }
            Ok((Some(helper), Input::Nodes(nodes)))
        }
        Err(error) => {
            notes.push(format!("input timer: {error:#}"));
            Ok((None, Input::Timer(play.input_hz)))
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
