//! Goal: what happens on input devices and with game processes reaches the daemon's statistics, in
//! time and in full. Method: uinput and real processes beside the whole daemon.

use std::fs;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::require_vm;
use crate::support::daemon::Daemon;
use crate::support::game::{Game, inject, mouse};
use crate::support::{start, wait_for};

/// Bound for finding and for releasing the game. It is measured by the log, as taking statistics
/// has its own time.
const BOUND: Duration = Duration::from_secs(1);

#[test]
#[ignore = "runs inside the VM"]
fn thousand_events_at_1_khz_are_seen_and_drained_once() {
    require_vm();
    const CNT: u64 = 1000;
    let daemon = Daemon::start(&[]);
    let mut device = mouse();
    let before = daemon.metrics();
    inject(&mut device, 1000, Some(1000));
    let mouse_of = |metrics: &scx_gamer::stats::Metrics| {
        let input = metrics.input["mouse"];
        (input.seen, input.drained)
    };
    let expected = (mouse_of(&before).0 + CNT, mouse_of(&before).1 + CNT);
    let all = daemon.wait_for_metrics(BOUND, |now| mouse_of(now).1 >= expected.1);
    let after = daemon.metrics();
    let (ring, queue) = (after.input_ring_drops, after.input_queue_drops);
    println!(
        "sent {CNT}: seen and drained {:?} -> {:?}, all after {all:?}, drops {ring} + {queue}",
        mouse_of(&before),
        mouse_of(&after)
    );
    assert_eq!(mouse_of(&after), expected);
    assert_eq!((ring, queue), (0, 0));
}

#[test]
#[ignore = "runs inside the VM"]
fn game_is_found_and_released_within_a_second() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    assert_eq!(daemon.metrics().game_pid, 0);
    let mut game = Game::start(600, &["--steam-app-id", "42"]);
    let pid = game.pid();
    let found = daemon.wait_for_log(&format!("the game is gamesim (pid {pid},"));
    println!("found after {found:?}");
    assert!(found < BOUND, "{}", daemon.log());
    let metrics = daemon.metrics();
    println!(
        "statistics: {} (pid {}, {} % sure)",
        metrics.game_name, metrics.game_pid, metrics.game_confidence_pct
    );
    assert_eq!(metrics.game_pid, pid);
    kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL).unwrap();
    let ended = game.process().wait(BOUND).expect("the run ends with it");
    assert_eq!(ended.code(), Some(1), "and says so");
    let released = daemon.wait_for_log("the game has ended");
    println!("released after {released:?}");
    assert!(released < BOUND, "{}", daemon.log());
    assert_eq!(daemon.metrics().game_pid, 0);
    daemon.assert_in_charge();
}

#[test]
#[ignore = "runs inside the VM"]
fn games_one_after_another_are_all_found() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    for _ in 0..8 {
        let game = Game::start(600, &["--steam-app-id=42", "--load=hogs=4"]);
        let pid = game.pid();
        let found = daemon.wait_for_log(&format!("the game is gamesim (pid {pid},"));
        println!("found after {found:?}");
        assert!(found < BOUND, "{}", daemon.log());
        // For the first game it has hooks to attach, and does nothing else meanwhile.
        assert_eq!(daemon.metrics().game_pid, pid);
    }
    daemon.assert_in_charge();
}

#[test]
#[ignore = "runs inside the VM"]
fn wine_service_is_never_the_game() {
    require_vm();
    let daemon = Daemon::start(&[]);
    let program = "/run/services.exe";
    fs::copy("/bin/sleep", program).unwrap();
    let service = start(Command::new(program).arg("100").env("SteamAppId", "42"));
    let chosen = daemon.wait_for_metrics(Duration::from_secs(4), |now| now.game_pid != 0);
    println!("services.exe is pid {}, chosen: {chosen:?}", service.pid());
    assert_eq!(chosen, None, "{}", daemon.log());
}

#[test]
#[ignore = "runs inside the VM"]
fn games_that_end_while_they_are_looked_at_do_no_harm() {
    require_vm();
    const STORM: usize = 200;
    let mut daemon = Daemon::start(&[]);
    let storm = format!("for i in $(seq {STORM}); do /bin/true; done");
    let mut shell = start(
        Command::new("sh")
            .args(["-c", &storm])
            .env("SteamAppId", "42"),
    );
    let status = shell.wait(Duration::from_secs(120)).unwrap();
    assert!(status.success());
    let released = wait_for(BOUND, || daemon.metrics().game_pid == 0);
    assert!(released, "{}", daemon.log());
    println!("{STORM} processes; log: {}", daemon.log());
    assert!(!daemon.log().contains("panicked"));
    daemon.assert_in_charge();
}
