//! The command line, definitions only.

use crate::load::LoadSpec;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, FromArgMatches, Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A synthetic game on real kernel paths, to see what a CPU scheduler does to one.
#[derive(Debug, Parser)]
#[command(name = "gamesim", version, about, args_override_self = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands; the hidden ones are the processes of `run`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play for some seconds and print what was measured
    Run(RunArgs),
    /// Measure the speed of this machine and keep it until the next boot
    Calibrate,
    /// Play with the kernel's own scheduler (A) and with another one (B), in the order ABBA
    Compare(CompareArgs),
    #[command(hide = true)]
    /// Be the game of a run
    Game(RunArgs),
    #[command(hide = true)]
    /// Wait for the game's end
    AssetLoader,
    #[command(hide = true)]
    /// Show frames
    Compositor(CompositorArgs),
    #[command(hide = true)]
    /// Play sound
    Audio(AudioArgs),
    #[command(hide = true)]
    /// Move the mouse
    Inject(InjectArgs),
    #[command(hide = true)]
    /// Load the machine
    Load(LoadArgs),
    #[command(hide = true)]
    /// One short compiler-like process
    CcLike(CcLikeArgs),
}

/// When the next frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// As soon as the last one is submitted
    Uncapped,
    /// When the last one is on the screen
    Paced,
}

/// Whether a real device is used where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The real device, or a timer in its place where there is none
    Auto,
    /// A timer
    Timer,
    /// Leave that part out
    None,
}

/// Who reads the input devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputPath {
    /// The game itself
    Direct,
    /// The compositor, which sends the events to the game over a Unix socket
    Wayland,
}

/// Accepts only those devices that make sense for a part.
fn one_of(names: [&'static str; 2]) -> impl TypedValueParser<Value = Device> {
    PossibleValuesParser::new(names).map(|name| match name.as_str() {
        "auto" => Device::Auto,
        "timer" => Device::Timer,
        _ => Device::None,
    })
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=86_400.0).contains(&value) => Ok(value),
        _ => Err("expected seconds between 0 and 86400".to_owned()),
    }
}

fn length(text: &str) -> Result<f64, String> {
    seconds(text).and_then(|value| {
        if value >= 0.1 {
            Ok(value)
        } else {
            Err("expected at least 0.1 seconds".to_owned())
        }
    })
}

/// What is played; the same for every cell of a comparison.
#[derive(Debug, Clone, Args)]
pub struct PlayArgs {
    /// Measured seconds
    #[arg(long, default_value = "5", value_parser = length)]
    pub seconds: f64,
    /// Seconds played before measuring
    #[arg(long, default_value = "1", value_parser = seconds)]
    pub warmup: f64,
    /// When the next frame begins
    #[arg(long, value_enum, default_value = "uncapped")]
    pub mode: Mode,
    /// Background load: hogs=N busy threads, affinity=N that also change their affinity, compile=N
    /// slots of short processes, chat=N mostly sleeping threads in wake chains of 5 (try 200),
    /// stream=N encoder threads with 60 deadlines a second (try 4), each with :nice19 or :idle if
    /// wanted; fifo=PERCENT of a CPU in real time; shaders=N threads in bursts inside the game
    #[arg(long, value_delimiter = ',')]
    pub load: Vec<LoadSpec>,
    /// Speed of this machine, instead of measuring it
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub loops_per_us: Option<u64>,
    /// Simulation step of the game thread [us]
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub game_us: u64,
    /// Job workers
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=256))]
    pub workers: u32,
    /// Work of each worker per frame [us]
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub worker_us: u64,
    /// Work of the render thread per frame [us]
    #[arg(long, default_value_t = 1500, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub render_us: u64,
    /// Work of the compositor per frame [us]
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u64).range(..=1_000_000))]
    pub compositor_us: u64,
    /// Work of the sound process per period [us]
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(..=5000))]
    pub audio_us: u64,
    /// Mouse reports per second
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=8000))]
    pub input_hz: u32,
    /// Refresh rate looked for among the display's modes, and that of a timer in its place
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(10..=1000))]
    pub refresh_hz: u32,
    /// Display: KMS page flips where nobody else owns it, or a timer
    #[arg(long, default_value = "auto", value_parser = one_of(["auto", "timer"]))]
    pub display: Device,
    /// Input: uinput and evdev
    #[arg(long, value_enum, default_value = "auto")]
    pub input: Device,
    /// Who reads the input devices
    #[arg(long, value_enum, default_value = "direct")]
    pub input_path: InputPath,
    /// GPU: DRM render node
    #[arg(long, default_value = "auto", value_parser = one_of(["auto", "none"]))]
    pub gpu: Device,
    /// Sound: ALSA
    #[arg(long, value_enum, default_value = "auto")]
    pub audio: Device,
    /// ALSA device; without it snd-dummy or snd-aloop is taken where loaded
    #[arg(long)]
    pub audio_device: Option<String>,
    /// Look like the game with this number to a detector that reads the environment
    #[arg(long)]
    pub steam_app_id: Option<u32>,
}

impl Default for PlayArgs {
    /// What an empty command line gives.
    fn default() -> Self {
        let command = Self::augment_args(clap::Command::new("play"));
        Self::from_arg_matches(&command.get_matches_from(["play"]))
            .expect("BUG: an argument of play has no default")
    }
}

impl PlayArgs {
    /// The flags that give these values again, for a run in a process of its own.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let name = |value: &dyn ToString| value.to_string();
        let device = |value: Device| {
            value
                .to_possible_value()
                .map_or(String::new(), |value| value.get_name().to_owned())
        };
        let mode = self.mode.to_possible_value();
        let path = self.input_path.to_possible_value();
        let mut pairs = vec![
            ("seconds", name(&self.seconds)),
            ("warmup", name(&self.warmup)),
            (
                "mode",
                mode.map_or(String::new(), |value| value.get_name().to_owned()),
            ),
            ("game-us", name(&self.game_us)),
            ("workers", name(&self.workers)),
            ("worker-us", name(&self.worker_us)),
            ("render-us", name(&self.render_us)),
            ("compositor-us", name(&self.compositor_us)),
            ("audio-us", name(&self.audio_us)),
            ("input-hz", name(&self.input_hz)),
            ("refresh-hz", name(&self.refresh_hz)),
            ("display", device(self.display)),
            ("input", device(self.input)),
            (
                "input-path",
                path.map_or(String::new(), |value| value.get_name().to_owned()),
            ),
            ("gpu", device(self.gpu)),
            ("audio", device(self.audio)),
        ];
        pairs.extend(self.load.iter().map(|load| ("load", name(load))));
        pairs.extend(
            self.loops_per_us
                .map(|value| ("loops-per-us", name(&value))),
        );
        pairs.extend(
            self.audio_device
                .clone()
                .map(|value| ("audio-device", value)),
        );
        pairs.extend(
            self.steam_app_id
                .map(|value| ("steam-app-id", name(&value))),
        );
        pairs
            .into_iter()
            .map(|(flag, value)| format!("--{flag}={value}"))
            .collect()
    }
}

/// `gamesim run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    /// What is played.
    pub play: PlayArgs,
    /// SCHED_FIFO for the threads of game, compositor and sound
    #[arg(long)]
    pub oracle: bool,
    /// Write the result as JSON; "-" prints it instead of the table
    #[arg(long)]
    pub json: Option<PathBuf>,
    /// Write every sample as CSV (series,value_ns)
    #[arg(long)]
    pub raw: Option<PathBuf>,
    /// Print the measured window as a JSON line as soon as it is fixed (CLOCK_MONOTONIC, ns)
    #[arg(long)]
    pub announce: bool,
}

/// `gamesim compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    #[command(flatten)]
    /// What is played.
    pub play: PlayArgs,
    /// Command that attaches the other scheduler and keeps it until SIGINT
    #[arg(long = "with", value_name = "CMD")]
    pub with: String,
    /// Rounds; each plays once with either scheduler
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Play once without load first
    #[arg(long)]
    pub reference: bool,
    /// Seconds to wait for the scheduler to attach and to detach
    #[arg(long, default_value = "60", value_parser = length)]
    pub attach_timeout: f64,
    /// Write the result as JSON
    #[arg(long)]
    pub json: Option<PathBuf>,
}

/// The compositor process.
#[derive(Debug, Args)]
pub struct CompositorArgs {
    /// Loops per frame.
    #[arg(long)]
    pub loops: u64,
    /// Refresh rate wanted [Hz].
    #[arg(long)]
    pub refresh_hz: u32,
    /// Display to use.
    #[arg(long, value_parser = one_of(["auto", "timer"]))]
    pub display: Device,
    /// When frames are shown if a timer takes the display's place.
    #[arg(long, value_enum)]
    pub mode: Mode,
    /// Input devices to read and to send on; events go to standard output, a socket.
    #[arg(long)]
    pub input_node: Vec<PathBuf>,
    /// Events per second of a timer in their place.
    #[arg(long)]
    pub input_hz: Option<u32>,
    /// SCHED_FIFO.
    #[arg(long)]
    pub oracle: bool,
}

/// The sound process.
#[derive(Debug, Args)]
pub struct AudioArgs {
    /// Loops per period.
    #[arg(long)]
    pub loops: u64,
    /// Device to use.
    #[arg(long, value_enum)]
    pub audio: Device,
    /// ALSA device name.
    #[arg(long)]
    pub audio_device: Option<String>,
    /// SCHED_FIFO.
    #[arg(long)]
    pub oracle: bool,
}

/// The injector process, which stands for the mouse's and keyboard's hardware.
#[derive(Debug, Args)]
pub struct InjectArgs {
    /// Mouse reports per second.
    #[arg(long)]
    pub input_hz: u32,
}

/// One background load process.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// What to do.
    #[arg(long)]
    pub spec: LoadSpec,
    /// Speed of this machine.
    #[arg(long)]
    pub loops_per_us: u64,
}

/// One compiler-like process.
#[derive(Debug, Args)]
pub struct CcLikeArgs {
    /// Private directory to write in.
    #[arg(long)]
    pub dir: PathBuf,
    /// Loops of work.
    #[arg(long)]
    pub loops: u64,
}

#[cfg(test)]
mod tests {
    use super::{Cli, Command, PlayArgs};
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn read(line: Vec<String>) -> PlayArgs {
        match Cli::parse_from(line).command {
            Command::Run(run) => run.play,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_default_play_is_that_of_an_empty_command_line() {
        let empty = read(vec!["gamesim".to_owned(), "run".to_owned()]);
        assert_eq!(format!("{:?}", PlayArgs::default()), format!("{empty:?}"));
    }

    #[test]
    fn play_arguments_survive_their_own_flags() {
        let line = "gamesim run --seconds 2.5 --warmup 0 --mode paced \
                    --load hogs=4:idle,compile=2,shaders=2 --loops-per-us 9 --workers 3 \
                    --display timer --input-path wayland --audio none --steam-app-id 7 --audio-device hw:1,0";
        let first = read(line.split_whitespace().map(str::to_owned).collect());
        let mut again = vec!["gamesim".to_owned(), "run".to_owned()];
        again.extend(first.to_args());
        assert_eq!(format!("{first:?}"), format!("{:?}", read(again)));
    }
}
