//! The game's input thread: reads evdev (or a timer in its place) and wakes the game thread.

use crate::clock::{SECOND_NS, Ticker, duration_ns};
use crate::game::Inbox;
use crate::helper::Window;
use crate::sys;
use anyhow::{Context, Result};
use evdev::{EventType, raw_stream::RawDevice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::SystemTime;

/// Where input comes from.
#[derive(Debug)]
pub enum Source {
    /// evdev devices.
    Evdev(Vec<RawDevice>),
    /// A timer with this many events per second.
    Timer(u32),
}

/// What was read inside the window.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub struct Read {
    /// EV_REL and EV_KEY events.
    pub events: u64,
    /// Times the kernel's buffer of one client overflowed (SYN_DROPPED).
    pub overflows: u64,
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

/// Reads until the devices go away or the window ends, and hands timestamps to the game.
///
/// # Errors
/// Those of poll(2) and read(2).
pub fn run(source: Source, inbox: &Inbox, window: Window) -> Result<Read> {
    match source {
        Source::Evdev(devices) => read_devices(devices, inbox, window),
        Source::Timer(rate_hz) => read_timer(rate_hz, inbox, window),
    }
}

fn read_timer(rate_hz: u32, inbox: &Inbox, window: Window) -> Result<Read> {
    let mut ticker = Ticker::start(SECOND_NS / u64::from(rate_hz.max(1)))?;
    let mut read = Read::default();
    loop {
        let (ideal_ns, _) = ticker.wait()?;
        if ideal_ns >= window.until_ns || inbox.is_closed() {
            return Ok(read);
        }
        if window.contains(ideal_ns) {
            read.events += 1;
        }
        inbox.push_inputs(&[ideal_ns]);
    }
}

fn read_devices(mut devices: Vec<RawDevice>, inbox: &Inbox, window: Window) -> Result<Read> {
    let mut read = Read::default();
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
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => return Ok(read),
                Err(error) => return Err(error).context("cannot read input events"),
            };
            for event in events {
                match event.event_type() {
                    EventType::RELATIVE | EventType::KEY => {
                        let stamp = event
                            .timestamp()
                            .duration_since(SystemTime::UNIX_EPOCH)
                            .map_or(0, duration_ns);
                        if window.contains(stamp) {
                            read.events += 1;
                        }
                        stamps.push(stamp);
                    }
                    EventType::SYNCHRONIZATION if event.code() == 3 => read.overflows += 1,
                    _ => {}
                }
            }
        }
        inbox.push_inputs(&stamps);
        stamps.clear();
    }
}
