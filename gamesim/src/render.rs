//! The render thread: work, GPU ioctls, hand-over to the compositor, and what came back.

use crate::args::Mode;
use crate::compositor::FrameMessage;
use crate::game::{Frame, Inbox};
use crate::gpu::Gpu;
use crate::helper::Window;
use crate::work::burn;
use anyhow::{Context, Result, bail};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// Times taken from presented frames, inside the window.
#[derive(Debug, Default)]
pub struct Presented {
    /// When each frame was on the screen [ns].
    pub flips_ns: Vec<u64>,
    /// From each input event to the flip that shows it [ns].
    pub input_to_flip_ns: Vec<u64>,
}

/// What the render thread needs.
#[derive(Debug)]
pub struct Renderer {
    /// When frames begin.
    pub mode: Mode,
    /// Loops per frame.
    pub loops: u64,
    /// The render node, where there is one.
    pub gpu: Option<Gpu>,
    /// The compositor.
    pub compositor: UnixStream,
    /// The game thread waits there.
    pub inbox: Arc<Inbox>,
    /// Which frames count.
    pub window: Window,
}

impl Renderer {
    /// Renders until the game thread ends.
    ///
    /// # Errors
    /// When GPU or compositor fail.
    pub fn run(mut self, frames: &Receiver<Frame>) -> Result<Presented> {
        let mut presented = Presented::default();
        let mut shown: Option<Frame> = None;
        while let Ok(frame) = frames.recv() {
            burn(self.loops);
            if let Some(gpu) = &self.gpu {
                gpu.submit()?;
            }
            // Two buffers: the one on its way must be on the screen before the next is sent.
            if let Some(previous) = shown.take() {
                self.wait_presented(&previous, &mut presented)?;
            }
            let input_ns = frame.inputs.first().copied().unwrap_or(0);
            FrameMessage {
                frame: frame.number,
                input_ns,
                flip_ns: 0,
            }
            .write(&mut self.compositor)
            .context("the compositor ended")?;
            match self.mode {
                Mode::Uncapped => shown = Some(frame),
                Mode::Paced => self.wait_presented(&frame, &mut presented)?,
            }
        }
        if let Some(last) = shown {
            self.wait_presented(&last, &mut presented)?;
        }
        Ok(presented)
    }

    fn wait_presented(&mut self, frame: &Frame, presented: &mut Presented) -> Result<()> {
        let Some(message) =
            FrameMessage::read(&mut self.compositor).context("the compositor does not answer")?
        else {
            bail!("the compositor ended");
        };
        if message.frame != frame.number {
            bail!(
                "the compositor answered frame {} with {}",
                frame.number,
                message.frame
            );
        }
        self.inbox.add_presented();
        if self.window.contains(message.flip_ns) {
            presented.flips_ns.push(message.flip_ns);
            // An event from the warm-up may have waited for a part that was still starting.
            let measured = frame
                .inputs
                .iter()
                .filter(|input_ns| self.window.contains(**input_ns));
            let latencies = measured.map(|input_ns| message.flip_ns.saturating_sub(*input_ns));
            presented.input_to_flip_ns.extend(latencies);
        }
        Ok(())
    }
}
