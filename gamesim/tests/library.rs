//! Goal: other tools can play, attach schedulers and compute statistics with what this crate offers.
//! Method: use it from outside, as they do.

use gamesim::args::PlayArgs;
use gamesim::attach::{Attached, check_free};
use gamesim::calibrate;
use gamesim::load::LoadSpec;
use gamesim::report::{Background, Frames, Quantiles};
use gamesim::signals::{Signals, Wake};
use gamesim::sys::{pidfd_open, spawn_tied};
use nix::sys::signal::Signal;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::Duration;

#[test]
fn a_play_is_made_from_defaults_and_loads() {
    let (loops_per_us, _) = calibrate::obtain(Some(9));
    let load: LoadSpec = "stream=4".parse().unwrap();
    let play = PlayArgs {
        load: vec![load],
        loops_per_us: Some(loops_per_us),
        ..PlayArgs::default()
    };
    let flags = play.to_args();
    assert!(flags.contains(&"--load=stream=4".to_owned()), "{flags:?}");
    assert!(flags.contains(&"--loops-per-us=9".to_owned()), "{flags:?}");
}

#[test]
fn frames_of_a_caller_give_the_same_statistics() {
    let frames = Frames::of(3, &[5_000_000, 5_000_000], 1.0, 60);
    assert_eq!(frames.interval, Quantiles::of_ns(&[5_000_000, 5_000_000]));
}

#[test]
fn a_child_is_waited_for_without_polling() {
    let signals = Signals::block(&[]).unwrap();
    let mut child = spawn_tied(&mut Command::new("true"), Signal::SIGTERM).unwrap();
    let pidfd = pidfd_open(child.id()).unwrap();
    let wake = signals
        .wait(pidfd.as_fd(), Some(Duration::from_secs(60)))
        .unwrap();
    assert_eq!(wake, Wake::Other);
    assert!(child.wait().unwrap().success());
}

#[test]
fn nothing_is_attached_where_the_machine_is_not_free() {
    if check_free().is_ok() {
        return;
    }
    let signals = Signals::block(&[]).unwrap();
    assert!(Attached::start("true", Duration::from_secs(1), &signals).is_err());
}

#[test]
fn loads_reported_before_there_were_deadlines_are_still_read() {
    let old = r#"{"spec":"hogs=1","loops":4,"loops_per_s":2.0,"jobs":0,"jobs_per_s":0.0}"#;
    let load: Background = serde_json::from_str(old).unwrap();
    assert_eq!((load.loops, load.deadlines, load.missed), (4, 0, 0));
}
