//! The synthetic game and the virtual devices that play it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use evdev::uinput::VirtualDevice;
use evdev::{AttributeSet, EventType, InputEvent, KeyCode, RelativeAxisCode};
use gamesim::report::RunReport;
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::{Running, built, start, wait_for};

/// Where a game's report goes.
const REPORT: &str = "/run/gamesim_test.json";
/// Until `gamesim run` has started the game, on a loaded host.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running gamesim; its table goes nowhere, its report to [`Game::report`].
pub(crate) struct Game(Running);

/// `gamesim run` as a command, for wrappers; its report goes to [`read_report`].
pub(crate) fn gamesim_run(seconds: u32, more: &[&str]) -> Vec<String> {
    let _ = fs::remove_file(REPORT);
    let mut argv = vec![
        built("gamesim").display().to_string(),
        "run".to_owned(),
        format!("--seconds={seconds}"),
        format!("--json={REPORT}"),
    ];
    argv.extend(more.iter().map(|arg| (*arg).to_owned()));
    argv
}

/// The report of the last [`gamesim_run`].
pub(crate) fn read_report() -> RunReport {
    let text = fs::read(REPORT).expect("gamesim wrote its report");
    serde_json::from_slice(&text).unwrap()
}

impl Game {
    /// Starts `gamesim run` for `seconds` with these flags besides.
    pub(crate) fn start(seconds: u32, more: &[&str]) -> Self {
        let argv = gamesim_run(seconds, more);
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).stdout(Stdio::null());
        Self(start(&mut command))
    }

    /// The process id of the game itself, a child of `gamesim run`.
    pub(crate) fn pid(&self) -> u32 {
        let run = self.0.pid();
        let children = format!("/proc/{run}/task/{run}/children");
        let mut game = None;
        wait_for(PATIENCE, || {
            let children = fs::read_to_string(&children).unwrap_or_default();
            game = children
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .find(|pid| is_game(*pid));
            game.is_some()
        });
        game.expect("gamesim starts a game")
    }

    /// `gamesim run`.
    pub(crate) fn process(&mut self) -> &mut Running {
        &mut self.0
    }

    /// Waits at most `limit` for its end and reads its report.
    pub(crate) fn report(mut self, limit: Duration) -> RunReport {
        let status = self.0.wait(limit).expect("gamesim ends in time");
        assert!(status.success(), "gamesim: {status}");
        read_report()
    }
}

impl Drop for Game {
    /// So that its devices are free for who comes next.
    fn drop(&mut self) {
        self.0.stop(Signal::SIGTERM, PATIENCE);
    }
}

/// Whether this process has become the game: its command line says so.
fn is_game(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0).nth(1) == Some(b"game")
}

/// A virtual mouse.
pub(crate) fn mouse() -> VirtualDevice {
    let buttons: AttributeSet<KeyCode> = [KeyCode::BTN_LEFT].into_iter().collect();
    let axes: AttributeSet<RelativeAxisCode> = [RelativeAxisCode::REL_X, RelativeAxisCode::REL_Y]
        .into_iter()
        .collect();
    VirtualDevice::builder()
        .and_then(|device| device.name("test mouse").with_keys(&buttons))
        .and_then(|device| device.with_relative_axes(&axes))
        .and_then(|device| device.build())
        .expect("uinput makes a mouse")
}

/// Where its events are read.
pub(crate) fn node_of(device: &mut VirtualDevice) -> PathBuf {
    let mut nodes = device.enumerate_dev_nodes_blocking().unwrap().flatten();
    let node = nodes.find(|node| node.to_string_lossy().contains("event"));
    node.expect("a node for events")
}

/// Sends `cnt` events, motion and button in turn, each in a report of its own, `rate_hz` per
/// second or, without one, as fast as they go.
pub(crate) fn inject(device: &mut VirtualDevice, cnt: i32, rate_hz: Option<u32>) {
    let timer = rate_hz.map(|rate_hz| {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty()).unwrap();
        let interval = TimeSpec::from_duration(Duration::from_secs(1) / rate_hz);
        timer
            .set(Expiration::Interval(interval), TimerSetTimeFlags::empty())
            .unwrap();
        timer
    });
    for n in 0..cnt {
        if let Some(timer) = &timer {
            timer.wait().unwrap();
        }
        let event = if n % 2 == 0 {
            InputEvent::new(EventType::RELATIVE.0, RelativeAxisCode::REL_X.0, 1)
        } else {
            InputEvent::new(EventType::KEY.0, KeyCode::BTN_LEFT.code(), n / 2 % 2)
        };
        device.emit(&[event]).unwrap();
    }
}
