//! The compositor process: composes each frame, shows it, and says when it was seen.

use crate::args::{CompositorArgs, Device, Mode};
use crate::clock::{SECOND_NS, Ticker, now_ns};
use crate::display::Display;
use crate::helper;
use crate::input::{self, Source};
use crate::sys;
use crate::work::burn;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;

/// Real-time priority of the compositor under `--oracle`.
const ORACLE_PRIORITY: i32 = 12;
const MESSAGE_BYTES: usize = 24;

/// What the compositor says when it is ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// Whether KMS shows the frames.
    pub kms: bool,
    /// Refresh rate [Hz].
    pub refresh_hz: u32,
    /// How, or why not.
    pub note: String,
}

/// One frame on its way: submitted (`flip_ns` 0) or presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameMessage {
    /// Number of the frame, from 0.
    pub frame: u64,
    /// Kernel time of the oldest input event it shows [CLOCK_MONOTONIC ns], 0 for none.
    pub input_ns: u64,
    /// When it was on the screen [CLOCK_MONOTONIC ns].
    pub flip_ns: u64,
}

impl FrameMessage {
    /// Writes the message.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn write(&self, stream: &mut impl Write) -> std::io::Result<()> {
        let mut bytes = [0u8; MESSAGE_BYTES];
        for (place, value) in
            bytes
                .chunks_exact_mut(8)
                .zip([self.frame, self.input_ns, self.flip_ns])
        {
            place.copy_from_slice(&value.to_le_bytes());
        }
        stream.write_all(&bytes)
    }

    /// Reads a message; `None` at the end of the stream.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn read(stream: &mut impl Read) -> std::io::Result<Option<Self>> {
        let mut bytes = [0u8; MESSAGE_BYTES];
        match stream.read_exact(&mut bytes) {
            Ok(()) => {}
            Err(error) if is_end(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut values = bytes.chunks_exact(8).map(|chunk| {
            let mut value = [0u8; 8];
            value.copy_from_slice(chunk);
            u64::from_le_bytes(value)
        });
        let mut next = || values.next().unwrap_or(0);
        Ok(Some(Self {
            frame: next(),
            input_ns: next(),
            flip_ns: next(),
        }))
    }
}

/// Whether the game has ended, perhaps with a frame under way.
fn is_end(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
    )
}

enum Screen {
    Kms(Display),
    /// Shows at each tick, or at once.
    Timer(Option<Ticker>),
}

fn open(args: &CompositorArgs) -> Result<(Screen, Ready)> {
    let why = match args.display {
        Device::Auto => match Display::open(args.refresh_hz) {
            Ok(display) => {
                let (width, height) = display.size;
                let refresh_hz = display.refresh_hz;
                let note = format!("{width}x{height} at {refresh_hz} Hz");
                return Ok((
                    Screen::Kms(display),
                    Ready {
                        kms: true,
                        refresh_hz,
                        note,
                    },
                ));
            }
            Err(error) => format!("{error:#}"),
        },
        Device::Timer | Device::None => "asked for".to_owned(),
    };
    let ticker = match args.mode {
        Mode::Paced => Some(Ticker::start(
            SECOND_NS / u64::from(args.refresh_hz.max(1)),
        )?),
        Mode::Uncapped => None,
    };
    Ok((
        Screen::Timer(ticker),
        Ready {
            kms: false,
            refresh_hz: args.refresh_hz,
            note: why,
        },
    ))
}

impl Screen {
    fn show(&mut self, frame: u64) -> Result<u64> {
        match self {
            Self::Kms(display) => {
                display.draw(frame)?;
                display.flip()
            }
            Self::Timer(None) => Ok(now_ns()),
            Self::Timer(Some(ticker)) => Ok(ticker.wait_after(now_ns())?),
        }
    }
}

/// The compositor process.
///
/// # Errors
/// When the display fails while running.
pub fn main(args: &CompositorArgs) -> Result<()> {
    let (mut stream, _) = helper::attach("gs-compositor")?;
    if args.oracle {
        sys::set_fifo(ORACLE_PRIORITY).context("--oracle needs root or a real-time limit")?;
    }
    let (mut screen, ready) = open(args)?;
    if let Some(source) = input_source(args)? {
        let game = UnixStream::from(std::io::stdout().as_fd().try_clone_to_owned()?);
        thread::Builder::new()
            .name("gs-seat".to_owned())
            .spawn(move || input::forward(source, game))
            .context("cannot start the thread that reads the devices")?;
    }
    helper::send(&mut stream, &ready)?;
    serve(&mut stream, &mut screen, args.loops)
}

fn input_source(args: &CompositorArgs) -> Result<Option<Source>> {
    if args.input_node.is_empty() {
        return Ok(args.input_hz.map(Source::Timer));
    }
    input::open(&args.input_node).map(Some)
}

fn serve(stream: &mut UnixStream, screen: &mut Screen, loops: u64) -> Result<()> {
    while let Some(mut message) = FrameMessage::read(stream)? {
        burn(loops);
        message.flip_ns = screen.show(message.frame)?;
        match message.write(stream) {
            Ok(()) => {}
            Err(error) if is_end(&error) => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::FrameMessage;

    #[test]
    fn a_frame_message_survives_the_socket() {
        let message = FrameMessage {
            frame: 7,
            input_ns: u64::MAX,
            flip_ns: 9,
        };
        let mut bytes = Vec::new();
        message.write(&mut bytes).unwrap();
        assert_eq!(
            FrameMessage::read(&mut bytes.as_slice()).unwrap(),
            Some(message)
        );
        assert_eq!(FrameMessage::read(&mut [].as_slice()).unwrap(), None);
    }
}
