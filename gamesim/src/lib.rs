//! A synthetic game on real kernel paths.
//!
//! uinput injector -> evdev reader -> game thread -> job workers -> render thread -> compositor
//! process, with a sound process beside it and background load around it. Work sizes are loop
//! counts, fixed once per boot, so that a slower scheduler shows as fewer frames, never as
//! smaller ones. [`report::RunReport`] is what other tools deserialize.

pub mod args;
pub mod asset_loader;
pub mod attach;
pub mod audio;
pub mod calibrate;
pub mod clock;
pub mod compare;
pub mod comparison;
pub mod compositor;
pub mod display;
pub mod game;
pub mod gpu;
pub mod helper;
pub mod host;
pub mod inject;
pub mod input;
pub mod load;
pub mod raw;
pub mod render;
pub mod report;
pub mod run;
pub mod scheduler;
pub mod signals;
pub mod stage;
pub mod steam;
pub mod sys;
pub mod table;
pub mod threads;
pub mod work;

use args::Command;

/// Exit code of a run that could not be done.
pub const EXIT_FAILURE: u8 = 1;
/// Exit code after SIGINT or SIGTERM.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Runs one command; the value is the process's exit code.
///
/// # Errors
/// Whatever kept the command from doing its work, in words for the person who typed it.
pub fn dispatch(command: &Command) -> anyhow::Result<u8> {
    match command {
        Command::Run(args) => host::main(args),
        Command::Game(args) => run::main(args),
        Command::Calibrate => calibrate::main(),
        Command::Compare(args) => compare::main(args),
        Command::AssetLoader => asset_loader::main().map(|()| 0),
        Command::Compositor(args) => compositor::main(args).map(|()| 0),
        Command::Audio(args) => audio::main(args).map(|()| 0),
        Command::Inject(args) => inject::main(args).map(|()| 0),
        Command::Load(args) => load::main(args).map(|()| 0),
        Command::CcLike(args) => load::compile::job(args).map(|()| 0),
    }
}
