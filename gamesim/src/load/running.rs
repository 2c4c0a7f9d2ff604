//! A background load of the run: a process beside the game, or threads inside it.

use super::{LoadSpec, shaders};
use crate::helper::{Helper, Window};
use crate::report::Background;
use crate::threads::join;
use anyhow::{Context, Result};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

/// A load that waits for the window, or is at work.
#[derive(Debug)]
pub enum Load {
    /// A process of its own.
    Process(Helper),
    /// Threads of the game process.
    Threads {
        /// Sending the window starts them.
        start: Sender<Window>,
        /// Ends with the window, or when nobody can start it any more.
        body: JoinHandle<Result<Background>>,
    },
}

impl Load {
    /// Makes a load that waits for the window.
    ///
    /// # Errors
    /// When its process or thread cannot be started.
    pub fn set_up(spec: LoadSpec, loops_per_us: u64) -> Result<Self> {
        if let LoadSpec::Shaders(count) = spec {
            return Self::threads(spec, count, loops_per_us);
        }
        let args = [
            "load".to_owned(),
            format!("--spec={spec}"),
            format!("--loops-per-us={loops_per_us}"),
        ];
        let mut helper = Helper::start(&format!("{spec} load"), &args, None)?;
        helper.receive::<()>()?;
        Ok(Self::Process(helper))
    }

    fn threads(spec: LoadSpec, count: u32, loops_per_us: u64) -> Result<Self> {
        let (start, started) = mpsc::channel();
        // Never SCHED_FIFO: an oracle knows that these threads are not what a frame waits for.
        let body = thread::Builder::new()
            .name("shaders".to_owned())
            .spawn(move || {
                let window = started.recv().context("the run did not begin")?;
                let done = shaders::bursts(count, loops_per_us, window)?;
                Ok(done.report(spec, window))
            })
            .context("cannot start the shader threads")?;
        Ok(Self::Threads { start, body })
    }

    /// Lets it begin.
    ///
    /// # Errors
    /// When it is gone.
    pub fn start(&mut self, window: Window) -> Result<()> {
        match self {
            Self::Process(helper) => helper.send(&window),
            Self::Threads { start, .. } => start.send(window).context("the shader threads ended"),
        }
    }

    /// Waits for its end and gives what it did in the window.
    ///
    /// # Errors
    /// What went wrong with it.
    pub fn finish(self) -> Result<Background> {
        match self {
            Self::Process(mut helper) => helper.receive(),
            Self::Threads { body, .. } => join(body),
        }
    }
}
