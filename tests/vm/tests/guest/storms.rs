//! Goal: a clock that is set changes nothing, and a game that ends is forgotten. Method: the wall clock an
//! hour on and back beside a game, then its end.

use std::process::Command;
use std::thread;
use std::time::Duration;

use libbpf_rs::query::MapInfoIter;
use libbpf_rs::{MapCore as _, MapHandle};
use nix::sys::signal::Signal;

use super::require_vm;
use crate::support::daemon::Daemon;
use crate::support::game::Game;
use crate::support::wait_for;

const PATIENCE: Duration = Duration::from_secs(60);
/// Memory is given back after some grace periods.
const FREED: Duration = Duration::from_secs(10);
const WAIT_MAX_US: f64 = 2e6;
const ROLES: [&str; 5] = ["input", "gpu", "compositor", "audio", "game"];
/// A role ends 2 s after the last evidence.
const ROLE_ENDS: Duration = Duration::from_millis(2500);

/// The newest map of this name; the kernel keeps 15 bytes of it.
fn map(name: &str) -> MapHandle {
    let named = MapInfoIter::default()
        .filter(|map| map.name.to_string_lossy() == name[..name.len().min(15)]);
    let newest = named.map(|map| map.id).max();
    MapHandle::from_map_id(newest.expect("the daemon has it")).unwrap()
}

fn await_roles(daemon: &Daemon, roles: &[&str]) {
    let begun = daemon.wait_for_metrics(PATIENCE, |now| {
        roles.iter().all(|role| now.roles[*role].stints > 0)
    });
    assert!(begun.is_some(), "{}", daemon.log());
}

#[test]
#[ignore = "runs inside the VM"]
fn a_clock_that_is_set_changes_no_role_and_a_game_that_ends_is_forgotten() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    let [processes, family] = ["process_evidence", "family"].map(map);
    let sizes = || (processes.keys().count(), family.keys().count());
    let before = sizes();
    let flags = ["--steam-app-id=42", "--warmup=1", "--load=hogs=2"];
    let mut playing = Game::start(600, &flags);
    await_roles(&daemon, &ROLES);
    let game = daemon.metrics().game_pid;
    for jump in ["1 hour", "-1 hour"] {
        let set = Command::new("date").args(["-s", jump]).output().unwrap();
        assert!(set.status.success(), "{set:?}");
        // By now a role without evidence has ended.
        thread::park_timeout(ROLE_ENDS);
        let then = daemon.metrics();
        let goes_on = daemon.wait_for_metrics(Duration::from_secs(1), |now| {
            let grows = |role: &&str| now.roles[*role].stints > then.roles[*role].stints;
            now.game_pid == game && ROLES.iter().all(grows)
        });
        assert!(
            goes_on.is_some(),
            "after {jump}: {:?}",
            daemon.metrics().roles
        );
    }
    let metrics = daemon.metrics();
    println!("longest wait {} us", metrics.wait_max_ever_us);
    assert!(metrics.wait_max_ever_us < WAIT_MAX_US);

    let during = sizes();
    println!("{during:?} processes remembered and of the family, {before:?} before");
    assert!(during.0 > before.0 && during.1 > before.1);
    let ended = playing.process().stop(Signal::SIGINT, PATIENCE);
    assert!(ended.is_some(), "the game goes on");
    let forgotten = wait_for(FREED, || sizes() == before);
    assert!(forgotten, "{:?}, {before:?} before", sizes());
    daemon.assert_in_charge();
}
