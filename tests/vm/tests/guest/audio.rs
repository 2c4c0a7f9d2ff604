//! Goal: who feeds a sound device is known with its period, and xruns are counted. Method: the
//! standard player on the silent devices.

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use scx_gamer::detect::audio;
use scx_gamer::detect::evidence::{Evidence, EvidenceKind};
use scx_gamer::detect::hook::HookKind;
use scx_gamer::detect::{Detector, DetectorState};
use scx_gamer::intf;

use super::require_vm;
use super::roles::seen_lately;
use super::verifier::{FENTRY, KPROBE};
use crate::support::{start, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
/// 480 frames at 48 kHz.
const PERIOD_NS: u64 = 10_000_000;

fn player_is_known(ways: &'static [HookKind], card: &str) {
    let evidence = Evidence::create().unwrap();
    let detector = audio::detect(&evidence, ways);
    let state = detector.state();
    println!("{state}");
    assert!(matches!(state, DetectorState::Active { .. }));
    assert_eq!(state.to_string().matches('/').count(), 3, "all hooks");
    let mut player = Command::new("aplay");
    player.args(["-q", "-t", "raw", "-f", "S16_LE", "-c", "2", "-r", "48000"]);
    player.args(["--period-size=480", "--buffer-size=1920", "-D", card]);
    player.arg("/dev/zero").stdout(Stdio::null());
    let player = start(&mut player);
    let tid = u32::try_from(player.pid().as_raw()).unwrap();
    let plays = || {
        let seen = seen_lately(&evidence, tid);
        seen.len() == 1
            && seen[0].kind == EvidenceKind::Audio
            && u32::from(seen[0].source) == intf::SOURCE_SOUND
    };
    assert!(wait_for(PATIENCE, plays), "{card}: nobody plays");
    let period_ns = || {
        let seen = evidence.of_thread(tid).unwrap();
        seen.first().map_or(0, |seen| seen.period_ns)
    };
    let right = wait_for(PATIENCE, || period_ns() == PERIOD_NS);
    assert!(right, "{card}: {} ns", period_ns());
    let before = evidence.xrun_cnt().unwrap();
    // It cannot fill the 40 ms of buffer any more.
    player.signal(Signal::SIGSTOP);
    let counted = wait_for(PATIENCE, || evidence.xrun_cnt().unwrap() > before);
    assert!(counted, "{card}: no xrun was counted");
}

#[test]
#[ignore = "runs inside the VM"]
fn who_plays_is_known_with_the_period_and_its_xruns() {
    require_vm();
    player_is_known(FENTRY, "hw:Dummy");
    player_is_known(FENTRY, "hw:Loopback");
    player_is_known(KPROBE, "hw:Dummy");
}
