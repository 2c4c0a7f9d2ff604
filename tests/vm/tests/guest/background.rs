//! Goal: on a desktop at work, nobody but the game's threads has a role that detectors give. Method:
//! all detectors, a game that has traffic and reads, and beside it copying, compiling, a shaken
//! mouse, and a process that chats, downloads, reads and writes.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use scx_gamer::detect;
use scx_gamer::detect::evidence::{Evidence, EvidenceKind};

use super::network::loopback_up;
use super::peer::{Peer, tcp_echo, udp_echo};
use super::require_vm;
use super::roles::seen;
use super::storage::Device;
use crate::support::daemon::Daemon;
use crate::support::game::{inject, mouse};
use crate::support::{start, wait_for};

/// Compiles for ever.
const COMPILE: &str =
    "while :; do echo 'int main(void) { return 0; }' | gcc -O2 -xc -c -o /dev/null -; done";
/// Of these, the game below has none.
const ROLES_OF_NOBODY: [&str; 4] = ["input", "gpu", "compositor", "gpu irq"];

#[test]
#[ignore = "runs inside the VM"]
fn desktop_at_work_has_no_role_beside_the_game() {
    require_vm();
    loopback_up();
    let _device = Device::make();
    let (udp, tcp) = (udp_echo("127.0.0.1:0"), tcp_echo("127.0.0.1:0"));
    let mut game = Peer::start("game", 60, &[("udp", &udp), ("read", Device::PATH)]);
    let browser = [
        ("udp", udp.as_str()),
        ("bulk", &tcp),
        ("read", Device::PATH),
        ("write", "/run/scx_gamer_test_download"),
    ];
    let mut browser = Peer::start("browser", 60, &browser);
    let mut daemon = Daemon::start(&[&format!("--game-pid={}", game.pid())]);
    // The daemon keeps its evidence to itself; these see the same.
    let evidence = Evidence::create().unwrap();
    evidence.set_game(game.pid(), []).unwrap();
    let _detectors = detect::load_all(&evidence);
    let before = daemon.metrics().roles;

    let quiet = |args: &[&str]| {
        let mut command = Command::new(args[0]);
        command.args(&args[1..]).stdout(Stdio::null());
        start(command.stderr(Stdio::null()))
    };
    let _copy = quiet(&["dd", "if=/dev/zero", "of=/dev/null", "bs=1M"]);
    let _compile = quiet(&["sh", "-c", COMPILE]);
    let mut shaken = mouse();
    let shaker = thread::spawn(move || inject(&mut shaken, 3000, Some(1000)));
    game.begin();
    browser.begin();
    wait_for(Duration::from_secs(3), || false);

    let expected = BTreeMap::from([
        ("game-read".to_owned(), vec![EvidenceKind::Storage]),
        ("game-udp".to_owned(), vec![EvidenceKind::Network]),
    ]);
    assert_eq!(seen(&evidence), expected);
    let after = daemon.metrics().roles;
    for role in ROLES_OF_NOBODY {
        assert_eq!(before[role].stints, after[role].stints, "{role}");
    }
    for role in ["network", "storage"] {
        assert!(before[role].stints < after[role].stints, "{role}");
    }
    shaker.join().unwrap();
    daemon.assert_in_charge();
}
