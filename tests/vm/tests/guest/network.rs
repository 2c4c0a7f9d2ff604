//! Goal: the game's small, regular traffic gives its threads the role, soon and for as long as it
//! lasts; nothing else does, whoever does it. Method: real traffic over loopback by processes
//! of which one is made the game; threads are known by names that only this side looks at.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use scx_gamer::detect::evidence::{Evidence, EvidenceKind};
use scx_gamer::detect::network;
use scx_gamer::detect::{Detector, DetectorState};

use super::peer::{Peer, tcp_echo, udp_echo};
use super::require_vm;
use super::roles::{seen, since};
use crate::support::daemon::Daemon;
use crate::support::wait_for;

/// From the first of 60 datagrams a second until it is marked: the fourth comes 50 ms later.
const KNOWN: Duration = Duration::from_millis(150);
/// A role ends 2 s after its last evidence.
const FORGOTTEN: Duration = Duration::from_millis(2500);

pub(super) fn loopback_up() {
    let status = Command::new("busybox")
        .args(["ip", "link", "set", "lo", "up"])
        .status();
    assert!(status.unwrap().success());
}

#[test]
#[ignore = "runs inside the VM"]
fn only_the_games_small_regular_traffic_is_known() {
    require_vm();
    loopback_up();
    let evidence = Evidence::create().unwrap();
    let mut detector = network::detect(&evidence);
    println!("{}: {}", detector.name(), detector.state());
    assert!(matches!(detector.state(), DetectorState::Active { .. }));
    let (udp, tcp) = (udp_echo("127.0.0.1:0"), tcp_echo("[::1]:0"));
    let deeds = [("udp", udp.as_str()), ("tcp", &tcp), ("bulk", &tcp)];
    let mut game = Peer::start("game", 60, &deeds);
    let mut chat = Peer::start("chat", 60, &deeds);
    evidence.set_game(game.pid(), []).unwrap();
    detector.hook_missing(&evidence);
    let begun = game.begin();
    chat.begin();

    let network = vec![EvidenceKind::Network];
    let expected = ["game-udp", "game-tcp"].map(|name| (name.to_owned(), network.clone()));
    let expected = BTreeMap::from(expected);
    let known = wait_for(Duration::from_secs(5), || seen(&evidence) == expected);
    assert!(known, "{:?}", seen(&evidence));
    let (_, begun_ns) = begun.iter().find(|(deed, _)| deed == "udp").unwrap();
    let after_ns = since(&evidence, "game-udp", EvidenceKind::Network).unwrap() - begun_ns;
    println!("known after {} ms", after_ns / 1_000_000);
    assert!(Duration::from_nanos(after_ns) < KNOWN);
    let others = wait_for(Duration::from_secs(1), || seen(&evidence) != expected);
    assert!(!others, "{:?}", seen(&evidence));
    let packets: u64 = evidence
        .napi()
        .unwrap()
        .iter()
        .map(|cpu| cpu.packet_cnt)
        .sum();
    assert!(packets > 60, "{packets} packets");
}

#[test]
#[ignore = "runs inside the VM"]
fn network_role_ends_after_the_traffic_and_is_not_inherited_with_the_pid() {
    require_vm();
    loopback_up();
    let udp = udp_echo("[::1]:0");
    let start = || Peer::start("game", 2, &[("udp", &udp)]);
    let mut game = start();
    let pid = game.pid();
    let mut daemon = Daemon::start(&[&format!("--game-pid={pid}")]);
    let stints = |name| daemon.metrics().roles[name].stints;
    assert_eq!(stints("network"), 0);
    game.begin();
    let begin = Instant::now();
    assert!(
        wait_for(Duration::from_secs(2), || stints("network") > 0),
        "{}",
        daemon.log()
    );
    assert!(!daemon.metrics().napi.is_empty());
    let mut last = (stints("network"), Instant::now());
    let quiet = wait_for(Duration::from_secs(20), || {
        let now = stints("network");
        if now != last.0 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(1)
    });
    let lasted = last.1 - begin;
    println!("the role lasted {} ms", lasted.as_millis());
    assert!(quiet && lasted < Duration::from_secs(2) + FORGOTTEN);
    // Its thread lives on.
    let before = stints("game");
    let lives = wait_for(Duration::from_secs(2), || stints("game") > before);
    assert!(lives, "{}", daemon.log());

    drop(game);
    daemon.wait_for_log("the game has ended");
    let mut stranger = None;
    // Whoever starts something between the two has taken the id: once more.
    let has_pid = wait_for(Duration::from_secs(60), || {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
        stranger = Some(start()).filter(|stranger| stranger.pid() == pid);
        stranger.is_some()
    });
    assert!(has_pid, "process id {pid} is not to be had");
    let mut stranger = stranger.unwrap();
    stranger.begin();
    let before = (stints("network"), stints("game"));
    let inherits = || (stints("network"), stints("game")) != before;
    assert!(!wait_for(Duration::from_secs(1), inherits));
    daemon.assert_in_charge();
}
