//! The injector process: a uinput mouse and keyboard at a fixed rate.
//!
//! It stands for hardware, so it runs above every scheduler under test where it may.

use crate::args::InjectArgs;
use crate::clock::{SECOND_NS, Ticker, now_ns};
use crate::helper::{self, Window};
use crate::sys;
use anyhow::{Context, Result};
use evdev::uinput::VirtualDevice;
use evdev::{AttributeSet, EventType, InputEvent, KeyCode, RelativeAxisCode};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

const HARDWARE_PRIORITY: i32 = 90;
/// Mouse reports between two changes of the key.
const REPORTS_PER_KEY: u64 = 50;

/// What the injector says when its devices exist.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ready {
    /// Device nodes to read, or why there are none.
    pub nodes: Result<Vec<PathBuf>, String>,
    /// Whether it runs as real-time, as hardware would.
    pub realtime: bool,
}

/// What the injector did inside the window.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub struct Sent {
    /// EV_REL and EV_KEY events written.
    pub events: u64,
    /// Reports that could not be sent in their turn.
    pub skipped: u64,
    /// Longest time between two reports [ns].
    pub longest_gap_ns: u64,
}

struct Devices {
    mouse: VirtualDevice,
    keyboard: VirtualDevice,
}

fn create() -> std::io::Result<Devices> {
    let axes: AttributeSet<RelativeAxisCode> = [RelativeAxisCode::REL_X, RelativeAxisCode::REL_Y]
        .into_iter()
        .collect();
    let buttons: AttributeSet<KeyCode> = [KeyCode::BTN_LEFT, KeyCode::BTN_RIGHT]
        .into_iter()
        .collect();
    let keys: AttributeSet<KeyCode> = [KeyCode::KEY_W, KeyCode::KEY_SPACE].into_iter().collect();
    let mouse = VirtualDevice::builder()?
        .name("gamesim mouse")
        .with_relative_axes(&axes)?
        .with_keys(&buttons)?
        .build()?;
    let keyboard = VirtualDevice::builder()?
        .name("gamesim keyboard")
        .with_keys(&keys)?
        .build()?;
    Ok(Devices { mouse, keyboard })
}

fn nodes(devices: &mut Devices) -> std::io::Result<Vec<PathBuf>> {
    let mut nodes = Vec::new();
    for device in [&mut devices.mouse, &mut devices.keyboard] {
        for node in device.enumerate_dev_nodes_blocking()? {
            nodes.push(node?);
        }
    }
    Ok(nodes)
}

/// The injector process.
///
/// # Errors
/// When the parent's protocol is broken or uinput fails while running.
pub fn main(args: &InjectArgs) -> Result<()> {
    let (mut stream, mut reader) = helper::attach("gs-inject")?;
    let realtime = sys::set_fifo(HARDWARE_PRIORITY).is_ok();
    let made = create().and_then(|mut devices| Ok((nodes(&mut devices)?, devices)));
    let mut devices = match made {
        Ok((nodes, devices)) => {
            helper::send(
                &mut stream,
                &Ready {
                    nodes: Ok(nodes),
                    realtime,
                },
            )?;
            devices
        }
        Err(error) => {
            return helper::send(
                &mut stream,
                &Ready {
                    nodes: Err(error.to_string()),
                    realtime,
                },
            );
        }
    };
    let Some(window) = helper::receive_window(&mut reader)? else {
        return Ok(());
    };
    let sent = inject(&mut devices, args.input_hz, window)?;
    helper::send(&mut stream, &sent)?;
    // The devices stay until the reader has had the last event: the parent closes the socket.
    let _ = helper::receive::<()>(&mut reader);
    Ok(())
}

fn inject(devices: &mut Devices, rate_hz: u32, window: Window) -> Result<Sent> {
    let mut ticker = Ticker::start(SECOND_NS / u64::from(rate_hz.max(1)))?;
    let mut sent = Sent::default();
    let mut reports = 0u64;
    let mut last_ns = now_ns();
    loop {
        let (_, elapsed) = ticker.wait()?;
        let now = now_ns();
        if now >= window.until_ns {
            return Ok(sent);
        }
        reports += 1;
        // A value of 0 would be dropped by the kernel, and the pointer stays where it is on average.
        let step = if reports.is_multiple_of(2) { 1 } else { -1 };
        let motion = InputEvent::new(EventType::RELATIVE.0, RelativeAxisCode::REL_X.0, step);
        devices.mouse.emit(&[motion]).context("uinput mouse")?;
        let mut events = 1;
        if reports.is_multiple_of(REPORTS_PER_KEY) {
            let down = i32::from(reports / REPORTS_PER_KEY % 2 == 1);
            let key = InputEvent::new(EventType::KEY.0, KeyCode::KEY_W.0, down);
            devices.keyboard.emit(&[key]).context("uinput keyboard")?;
            events += 1;
        }
        if window.contains(now) {
            sent.events += events;
            sent.skipped += elapsed - 1;
            sent.longest_gap_ns = sent.longest_gap_ns.max(now - last_ns);
        }
        last_ns = now;
    }
}
