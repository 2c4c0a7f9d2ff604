//! The game's input thread: reads evdev (or a timer in its place) and wakes the game thread.
//!
//! On the way that Wayland takes, a thread of the compositor reads the devices and sends the time
//! of each event, 8 bytes, over a Unix socket to the game's input thread.

use crate::clock::{SECOND_NS, Ticker, duration_ns};
use crate::game::Inbox;
use crate::helper::Window;
use crate::sys;
use anyhow::{Context, Result};
use evdev::{EventType, raw_stream::RawDevice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Read as _, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::SystemTime;

/// In place of a time: events were lost.
const OVERFLOW: u64 = 0;
const SOCKET_BYTES: usize = 4096;

/// Where input comes from.
#[derive(Debug)]
pub enum Source {
    /// evdev devices.
    Evdev(Vec<RawDevice>),
    /// A timer with this many events per second.
    Timer(u32),
    /// A compositor that reads the devices.
    Socket(UnixStream),
}

/// What was read inside the window.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub struct Read {
    /// EV_REL and EV_KEY events.
    pub events: u64,
    /// Times the kernel's buffer of one client overflowed (SYN_DROPPED).
    pub overflows: u64,
}

impl Read {
    fn count(&mut self, stamps: &[u64], window: Window) {
        for stamp in stamps {
            self.events += u64::from(window.contains(*stamp));
            self.overflows += u64::from(*stamp == OVERFLOW);
        }
    }
}

/// Opens the devices with CLOCK_MONOTONIC timestamps.
///
/// # Errors
/// When a node cannot be opened.
pub fn open(nodes: &[PathBuf]) -> Result<Source> {
    let mut devices = Vec::new();
    for node in nodes
        .iter()
        .filter(|node| node.to_string_lossy().contains("event"))
    {
        let device =
            RawDevice::open(node).with_context(|| format!("cannot open {}", node.display()))?;
        sys::evdev_use_monotonic(&device)?;
        devices.push(device);
    }
    anyhow::ensure!(!devices.is_empty(), "uinput made no event device");
    Ok(Source::Evdev(devices))
}

/// Reads until there is no more or the window ends, and hands timestamps to the game.
///
/// # Errors
/// Those of poll(2) and read(2).
pub fn run(source: Source, inbox: &Inbox, window: Window) -> Result<Read> {
    let mut read = Read::default();
    let mut take = |stamps: &[u64]| {
        read.count(stamps, window);
        let times = stamps.iter().copied().filter(|stamp| *stamp != OVERFLOW);
        inbox.push_inputs(&Vec::from_iter(times));
        let over = stamps.last().is_some_and(|stamp| *stamp >= window.until_ns);
        Ok(!over && !inbox.is_closed())
    };
    match source {
        // What a device has is read to its end: nothing that was sent may be missing.
        Source::Evdev(devices) => read_devices(devices, |stamps| take(stamps).map(|_| true)),
        Source::Timer(rate_hz) => read_timer(rate_hz, take),
        Source::Socket(stream) => read_socket(stream, take),
    }?;
    Ok(read)
}

/// What a compositor does with the input: sends the timestamps to the game, until it hangs up.
///
/// # Errors
/// Those of poll(2) and read(2).
pub fn forward(source: Source, mut game: UnixStream) -> Result<()> {
    let send = |stamps: &[u64]| {
        let bytes: Vec<u8> = stamps
            .iter()
            .flat_map(|stamp| stamp.to_le_bytes())
            .collect();
        Ok(game.write_all(&bytes).is_ok())
    };
    match source {
        Source::Evdev(devices) => read_devices(devices, send),
        Source::Timer(rate_hz) => read_timer(rate_hz, send),
        Source::Socket(stream) => read_socket(stream, send),
    }
}

fn read_timer(rate_hz: u32, mut take: impl FnMut(&[u64]) -> Result<bool>) -> Result<()> {
    let mut ticker = Ticker::start(SECOND_NS / u64::from(rate_hz.max(1)))?;
    loop {
        let (ideal_ns, _) = ticker.wait()?;
        if !take(&[ideal_ns])? {
            return Ok(());
        }
    }
}

fn read_socket(mut stream: UnixStream, mut take: impl FnMut(&[u64]) -> Result<bool>) -> Result<()> {
    let mut bytes = Vec::with_capacity(SOCKET_BYTES);
    let mut part = [0; SOCKET_BYTES];
    loop {
        let got = match stream.read(&mut part) {
            Ok(0) => return Ok(()),
            Ok(got) => got,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error).context("cannot read from the compositor"),
        };
        bytes.extend_from_slice(&part[..got]);
        let (whole, rest) = bytes.as_chunks();
        let stamps: Vec<u64> = whole.iter().map(|word| u64::from_le_bytes(*word)).collect();
        bytes = rest.to_vec();
        if !take(&stamps)? {
            return Ok(());
        }
    }
}

fn read_devices(
    mut devices: Vec<RawDevice>,
    mut take: impl FnMut(&[u64]) -> Result<bool>,
) -> Result<()> {
    let mut stamps = Vec::with_capacity(256);
    loop {
        let ready: Vec<bool> = {
            let mut fds: Vec<PollFd<'_>> = devices
                .iter()
                .map(|device| PollFd::new(device.as_fd(), PollFlags::POLLIN))
                .collect();
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
            fds.iter().map(|fd| fd.any().unwrap_or(false)).collect()
        };
        for (device, _) in devices.iter_mut().zip(ready).filter(|(_, ready)| *ready) {
            let events = match device.fetch_events() {
                Ok(events) => events,
                // The injector took its devices away: the run is over.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(()),
                Err(error) => return Err(error).context("cannot read input events"),
            };
            for event in events {
                match event.event_type() {
                    EventType::RELATIVE | EventType::KEY => {
                        let stamp = event
                            .timestamp()
                            .duration_since(SystemTime::UNIX_EPOCH)
                            .map_or(0, duration_ns);
                        stamps.push(stamp);
                    }
                    EventType::SYNCHRONIZATION if event.code() == 3 => stamps.push(OVERFLOW),
                    _ => {}
                }
            }
        }
        if !stamps.is_empty() && !take(&stamps)? {
            return Ok(());
        }
        stamps.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{OVERFLOW, Source, Window, run};
    use crate::game::Inbox;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    #[test]
    fn events_survive_the_socket_in_any_pieces() {
        let (mut compositor, game) = UnixStream::pair().unwrap();
        let stamps = [5u64, 7, OVERFLOW, 30];
        for piece in stamps.map(u64::to_le_bytes).concat().chunks(3) {
            compositor.write_all(piece).unwrap();
        }
        drop(compositor);
        let window = Window {
            from_ns: 6,
            until_ns: 100,
        };
        let inbox = Inbox::default();
        let read = run(Source::Socket(game), &inbox, window).unwrap();
        assert_eq!((read.events, read.overflows), (2, 1));
        assert_eq!(inbox.take_inputs(), [5, 7, 30]);
    }
}
