//! Goal: of all who use block devices, only the game's threads that read are known. Method: direct
//! reads and synchronous writes on devices made here, by the game, by another process and by dd.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use scx_gamer::detect::evidence::{Evidence, EvidenceKind};
use scx_gamer::detect::storage;
use scx_gamer::detect::{Detector, DetectorState};

use super::peer::Peer;
use super::require_vm;
use super::roles::{seen, since};
use crate::support::{start, wait_for};

/// From the first read until it is marked.
const KNOWN: Duration = Duration::from_millis(100);

fn sh(script: &str) {
    let status = Command::new("sh").args(["-ec", script]).status().unwrap();
    assert!(status.success(), "{script}");
}

/// A device whose reads give nothing and whose writes go nowhere.
pub(super) struct Device;

impl Device {
    pub(super) const PATH: &str = "/dev/nullb0";

    pub(super) fn make() -> Self {
        sh("modprobe null_blk nr_devices=1");
        Self
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        sh("rmmod null_blk");
    }
}

/// A file system in memory, but on a block device.
struct Disk;

impl Disk {
    const PATH: &str = "/run/scx_gamer_test_disk";

    fn make() -> Self {
        let path = Self::PATH;
        sh(&format!(
            "modprobe ext4; modprobe brd rd_nr=1 rd_size=32768; mkfs.ext4 -q /dev/ram0
             mkdir -p {path}; mount /dev/ram0 {path}"
        ));
        Self
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        sh(&format!("umount {}; rmmod brd", Self::PATH));
    }
}

#[test]
#[ignore = "runs inside the VM"]
fn only_the_games_threads_that_read_devices_are_known() {
    require_vm();
    let (_device, _disk) = (Device::make(), Disk::make());
    let evidence = Evidence::create().unwrap();
    let mut detector = storage::detect(&evidence);
    println!("{}: {}", detector.name(), detector.state());
    assert!(matches!(detector.state(), DetectorState::Active { .. }));
    let file = |name| format!("{}/{name}", Disk::PATH);
    let (of_game, of_other) = (file("game"), file("other"));
    let mut game = Peer::start("game", 60, &[("read", Device::PATH), ("write", &of_game)]);
    let mut other = Peer::start("other", 60, &[("read", Device::PATH), ("write", &of_other)]);
    evidence.set_game(game.pid(), []).unwrap();
    detector.hook_missing(&evidence);
    let begun = game.begin();
    other.begin();
    let dd = |args: &str| {
        let mut command = Command::new("dd");
        start(command.args(args.split(' ')).stderr(Stdio::null()))
    };
    let _reader = dd(&format!(
        "if={} of=/dev/null bs=1M count=500 iflag=direct",
        Device::PATH
    ));
    let _writer = dd(&format!(
        "if=/dev/zero of={} bs=1M count=500 oflag=direct",
        Device::PATH
    ));

    let expected = BTreeMap::from([("game-read".to_owned(), vec![EvidenceKind::Storage])]);
    let known = wait_for(Duration::from_secs(5), || seen(&evidence) == expected);
    assert!(known, "{:?}", seen(&evidence));
    let (_, begun_ns) = begun.iter().find(|(deed, _)| deed == "read").unwrap();
    let after_ns = since(&evidence, "game-read", EvidenceKind::Storage).unwrap() - begun_ns;
    println!("known after {} ms", after_ns / 1_000_000);
    assert!(Duration::from_nanos(after_ns) < KNOWN);
    let others = wait_for(Duration::from_secs(1), || seen(&evidence) != expected);
    assert!(!others, "{:?}", seen(&evidence));
    // Without a game the hook is out, and nobody is marked.
    evidence.set_game(0, []).unwrap();
    let has_more = detector.unhook_step(&evidence, 0);
    assert!(!has_more, "all its hooks are one site");
    assert!(wait_for(Duration::from_secs(5), || seen(&evidence).is_empty()));
}
