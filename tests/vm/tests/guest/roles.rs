//! Goal: each thread is known by what it does, soon after it begins and not long after it has
//! stopped; no other thread is. Method: gamesim on the guest's real devices, whose threads' names
//! tell this test (and nobody else) what they do.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::time::{ClockId, clock_gettime};
use scx_gamer::detect::actor;
use scx_gamer::detect::audio;
use scx_gamer::detect::evidence::{Evidence, EvidenceKind, HOLD_NS, Seen};
use scx_gamer::detect::hook::HookKind;
use scx_gamer::detect::{Detector, DetectorState};

use super::require_vm;
use crate::support::daemon::Daemon;
use crate::support::game::Game;
use crate::support::{start, wait_for};

/// Names of gamesim's threads, and what they are seen doing.
const DEEDS: [(&str, EvidenceKind); 4] = [
    ("input", EvidenceKind::Input),
    ("render", EvidenceKind::Gpu),
    ("gs-compositor", EvidenceKind::Display),
    ("gs-audio", EvidenceKind::Audio),
];
/// Until gamesim has opened its devices on a loaded host.
const PATIENCE: Duration = Duration::from_secs(60);
/// A role ends 2 s after its last evidence.
const FORGOTTEN: Duration = Duration::from_millis(2500);

/// Ids and names of all threads.
pub(super) fn threads() -> Vec<(u32, String)> {
    let mut threads = Vec::new();
    for process in procfs::process::all_processes()
        .expect("/proc is there")
        .flatten()
    {
        for task in process.tasks().into_iter().flatten().flatten() {
            let path = format!("/proc/{}/task/{}/comm", task.pid, task.tid);
            // It may be gone by now.
            let name = fs::read_to_string(path).unwrap_or_default();
            if let Ok(tid) = u32::try_from(task.tid) {
                threads.push((tid, name.trim_end().to_owned()));
            }
        }
    }
    threads
}

/// What one thread was seen doing within the time that counts.
pub(super) fn seen_lately(evidence: &Evidence, tid: u32) -> Vec<Seen> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("there is this clock");
    let now_ns = u64::try_from(Duration::from(now).as_nanos()).expect("not that late");
    let mut seen = evidence.of_thread(tid).unwrap_or_default();
    seen.retain(|seen| now_ns.saturating_sub(seen.last_ns) < HOLD_NS);
    seen
}

/// Names of all threads that were, and what they were seen doing.
pub(super) fn seen(evidence: &Evidence) -> BTreeMap<String, Vec<EvidenceKind>> {
    let kinds = |tid| {
        let seen = seen_lately(evidence, tid).into_iter();
        seen.map(|seen| seen.kind).collect()
    };
    let all = threads().into_iter().map(|(tid, name)| (name, kinds(tid)));
    all.filter(|(_, kinds): &(_, Vec<_>)| !kinds.is_empty())
        .collect()
}

/// Since when the thread of this name is seen doing `kind`, in ns of `CLOCK_MONOTONIC`.
pub(super) fn since(evidence: &Evidence, name: &str, kind: EvidenceKind) -> Option<u64> {
    let (tid, _) = threads().into_iter().find(|(_, one)| one == name)?;
    let seen = evidence.of_thread(tid).ok()?;
    let seen = seen.into_iter().find(|seen| seen.kind == kind)?;
    Some(seen.since_ns)
}

#[test]
#[ignore = "runs inside the VM"]
fn threads_are_known_by_what_they_do() {
    require_vm();
    let evidence = Evidence::create().unwrap();
    let actors = EvidenceKind::OF_ACTORS.map(|kind| actor::detect(&evidence, kind));
    let audio = audio::detect(&evidence, HookKind::BY_COST);
    let actors = actors.iter().map(|detector| detector as &dyn Detector);
    for detector in actors.chain([&audio as &dyn Detector]) {
        println!("{}: {}", detector.name(), detector.state());
        assert!(matches!(detector.state(), DetectorState::Active { .. }));
    }
    let _game = Game::start(600, &["--steam-app-id=42", "--load=hogs=2,compile=1"]);
    // Who reads and writes files, and nothing else.
    let mut copy = Command::new("dd");
    copy.args(["if=/dev/zero", "of=/dev/null", "bs=1M"]);
    let _copy = start(copy.stderr(Stdio::null()));
    let expected = DEEDS.map(|(name, kind)| (name.to_owned(), vec![kind]));
    let expected = BTreeMap::from(expected);
    // Whoever tries the GPU out at the start is not seen for long.
    let all = wait_for(PATIENCE, || seen(&evidence) == expected);
    assert!(all, "{:?}", seen(&evidence));
}

#[test]
#[ignore = "runs inside the VM"]
fn roles_begin_with_the_game_and_end_with_it() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    let names = ["input", "gpu", "compositor", "audio", "game"];
    // Since the daemon began.
    let stints = |daemon: &Daemon| {
        let roles = daemon.metrics().roles;
        names.map(|name| roles[name].stints)
    };
    let before = stints(&daemon);
    let mut game = Game::start(600, &["--steam-app-id=42", "--warmup=1"]);
    let begun = || {
        stints(&daemon)
            .iter()
            .zip(before)
            .all(|(now, then)| *now > then)
    };
    let all = wait_for(PATIENCE, begun);
    assert!(
        all,
        "{before:?}, then {:?}\n{}",
        stints(&daemon),
        daemon.log()
    );
    let ended = game.process().stop(Signal::SIGINT, PATIENCE);
    assert!(ended.is_some(), "the game goes on");
    let end = Instant::now();
    let mut last = (stints(&daemon), end);
    let quiet = wait_for(PATIENCE, || {
        let now = stints(&daemon);
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(1)
    });
    assert!(quiet, "somebody still has one of the roles {names:?}");
    assert!(last.1 - end < FORGOTTEN, "after {:?}", last.1 - end);
    daemon.assert_in_charge();
}
