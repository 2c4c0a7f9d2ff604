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

/// Times taken from presented frames.
#[derive(Debug, Default)]
pub struct Presented {
    /// The last flip before the window [ns].
    pub before_ns: Option<u64>,
    /// When each frame of the window was on the screen [ns].
    pub flips_ns: Vec<u64>,
    /// From each input event of the window to the flip that shows it [ns].
    pub input_to_flip_ns: Vec<u64>,
}

impl Presented {
    /// Times between flips [ns]: each that ends in the window, wherever it began, and the one that
    /// its end cuts short. So a game that stands still shows, at the edges of the window too.
    #[must_use]
    pub fn intervals_ns(&self, window: Window) -> Vec<u64> {
        let mut last_ns = self.before_ns.unwrap_or(window.from_ns);
        let ends = self.flips_ns.iter().copied().chain([window.until_ns]);
        ends.map(|end_ns| end_ns.saturating_sub(std::mem::replace(&mut last_ns, end_ns)))
            .collect()
    }
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
        } else if message.flip_ns < self.window.from_ns {
            presented.before_ns = Some(message.flip_ns);
        }
        // An event from the warm-up may have waited for a part that was still starting.
        let measured = frame
            .inputs
            .iter()
            .filter(|input_ns| self.window.contains(**input_ns));
        let latencies = measured.map(|input_ns| message.flip_ns.saturating_sub(*input_ns));
        presented.input_to_flip_ns.extend(latencies);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Presented;
    use crate::helper::Window;

    const WINDOW: Window = Window {
        from_ns: 100,
        until_ns: 200,
    };

    fn intervals(before_ns: Option<u64>, flips_ns: &[u64]) -> Vec<u64> {
        let flips_ns = flips_ns.to_vec();
        let presented = Presented {
            before_ns,
            flips_ns,
            ..Presented::default()
        };
        presented.intervals_ns(WINDOW)
    }

    #[test]
    fn an_interval_belongs_to_the_window_it_ends_in() {
        assert_eq!(intervals(Some(90), &[110, 130, 190]), [20, 20, 60, 10]);
    }

    #[test]
    fn a_standstill_at_an_edge_shows() {
        assert_eq!(intervals(Some(20), &[180]), [160, 20]);
        assert_eq!(intervals(None, &[110]), [10, 90]);
        assert_eq!(intervals(None, &[]), [100]);
    }
}
