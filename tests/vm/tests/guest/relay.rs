//! Goal: who carries input to the game is known, however many hands it goes through, and who only
//! talks over the same kinds of channels is not. Method: gamesim's Wayland way, and small threads
//! and processes that do one thing each.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use evdev::raw_stream::RawDevice;
use evdev::uinput::VirtualDevice;
use nix::sys::eventfd::EventFd;
use nix::sys::signal::Signal;
use nix::unistd::gettid;
use scx_gamer::detect::actor::{self, HOOKS};
use scx_gamer::detect::evidence::{Evidence, EvidenceKind};
use scx_gamer::detect::hook::HookKind;
use scx_gamer::detect::relay;
use scx_gamer::detect::{Detector, DetectorState};
use scx_gamer::intf;
use scx_gamer::policy::relay_hands;

use super::require_vm;
use super::roles::{seen_lately, threads};
use super::verifier::{FENTRY, KPROBE};
use crate::support::daemon::Daemon;
use crate::support::game::{Game, inject, mouse, node_of};
use crate::support::{start, wait_for};

/// Until gamesim has opened its devices on a loaded host.
const PATIENCE: Duration = Duration::from_secs(60);
const RELAY: u32 = intf::SOURCE_RELAY;
/// Through so many hands input is followed.
const HANDS: u32 = intf::SOURCE_RELAY_LAST - RELAY + 1;

/// The detectors of input, and of who hands it on.
struct Rig {
    evidence: Evidence,
    _detectors: [Box<dyn Detector>; 3],
}

impl Rig {
    fn load(ways: &'static [HookKind]) -> Self {
        let evidence = Evidence::create().unwrap();
        // Input is followed while there is a game.
        evidence.set_game(u32::MAX, []).unwrap();
        let detectors: [Box<dyn Detector>; 3] = [
            Box::new(actor::detect(&evidence, EvidenceKind::Input)),
            Box::new(actor::detect(&evidence, EvidenceKind::Display)),
            Box::new(relay::detect(&evidence, ways)),
        ];
        for detector in &detectors {
            let state = detector.state();
            println!("{}: {state}", detector.name());
            assert!(matches!(state, DetectorState::Active { .. }));
        }
        assert!(!detectors[2].state().to_string().contains("cannot hook"));
        Self {
            evidence,
            _detectors: detectors,
        }
    }

    /// What says that a thread carries input, if it does.
    fn source(&self, tid: u32) -> Option<u32> {
        let seen = seen_lately(&self.evidence, tid);
        let seen = seen.iter().find(|seen| seen.kind == EvidenceKind::Input);
        seen.map(|seen| u32::from(seen.source))
    }

    /// Names of the threads that carry input, and through how many hands they got it.
    fn carriers(&self) -> Vec<(String, u32)> {
        let of = |(tid, name)| Some((name, hands(self.source(tid)?)));
        let mut carriers: Vec<_> = threads().into_iter().filter_map(of).collect();
        carriers.sort();
        carriers
    }
}

fn hands(source: u32) -> u32 {
    let is_row = usize::try_from(source).is_ok_and(|row| row < HOOKS.len());
    assert!(is_row || source >= RELAY, "{source} is no source of input");
    relay_hands(source)
}

fn own_tid() -> u32 {
    u32::try_from(gettid().as_raw()).unwrap()
}

fn open(device: &mut VirtualDevice) -> RawDevice {
    RawDevice::open(node_of(device)).unwrap()
}

fn input_is_known_from_the_device_to_the_game(ways: &'static [HookKind]) {
    let rig = Rig::load(ways);
    let game = Game::start(600, &["--input-path=wayland", "--warmup=0", "--audio=none"]);
    let pid = game.pid();
    rig.evidence.set_game(pid, []).unwrap();
    let way = [("gs-seat".to_owned(), 0), ("input".to_owned(), 1)];
    let known = wait_for(PATIENCE, || rig.carriers() == way);
    assert!(known, "{:?}", rig.carriers());
    let all = threads();
    let compositor = all.iter().find(|(_, name)| name == "gs-compositor");
    let of = |pid| rig.evidence.process_records().unwrap().of(pid);
    let compositor = compositor.expect("there is a compositor").0;
    let focus = wait_for(PATIENCE, || of(pid).focus_ns != 0);
    assert!(focus, "who is sent input by who flips has the focus");
    assert_ne!(of(compositor).relay_ns, 0, "it hands on to the game");
    assert_eq!(of(pid).relay_ns, 0, "the game keeps it");
    assert_eq!(of(compositor).focus_ns, 0, "it is sent none");
}

#[test]
#[ignore = "runs inside the VM"]
fn input_over_a_unix_socket_is_known_from_the_device_to_the_game() {
    require_vm();
    input_is_known_from_the_device_to_the_game(FENTRY);
}

#[test]
#[ignore = "runs inside the VM"]
fn kprobes_see_the_same_relay() {
    require_vm();
    input_is_known_from_the_device_to_the_game(KPROBE);
}

#[test]
#[ignore = "runs inside the VM"]
fn who_shakes_a_mouse_or_chats_carries_no_input() {
    require_vm();
    let rig = Rig::load(HookKind::BY_COST);
    let own_pid = std::process::id();
    rig.evidence.set_game(own_pid, []).unwrap();
    let mut device = mouse();
    let mut reader = open(&mut device);
    let (mut near, mut far) = UnixStream::pair().unwrap();
    let (tell, shaken_by) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            inject(&mut device, 400, Some(1000));
            tell.send(own_tid()).unwrap();
            // The device goes with it, and the reader with the device.
            let _ = ended.recv();
        });
        scope.spawn(move || while reader.fetch_events().is_ok() {});
        scope.spawn(move || {
            let mut byte = [0];
            while far.read_exact(&mut byte).is_ok() && far.write_all(&byte).is_ok() {}
        });
        let mut byte = [0];
        let shaker = loop {
            near.write_all(&byte).unwrap();
            near.read_exact(&mut byte).unwrap();
            if let Ok(tid) = shaken_by.try_recv() {
                break tid;
            }
        };
        assert_eq!(rig.source(shaker), None, "it reads nothing");
        assert_eq!(rig.source(own_tid()), None, "it chats");
        assert_eq!(rig.carriers().len(), 1, "{:?}", rig.carriers());
        let own = rig.evidence.process_records().unwrap().of(own_pid);
        assert_eq!((own.relay_ns, own.focus_ns), (0, 0));
        drop((near, end));
    });
}

#[test]
#[ignore = "runs inside the VM"]
fn input_is_followed_through_eventfds_to_the_last_hand_that_counts() {
    require_vm();
    let rig = Rig::load(HookKind::BY_COST);
    let mut device = mouse();
    let reader = open(&mut device);
    let last = usize::try_from(HANDS).unwrap() + 1;
    let channels: Vec<EventFd> = (0..=last).map(|_| EventFd::new().unwrap()).collect();
    let (sender, tids) = mpsc::channel();
    thread::scope(|scope| {
        let first = &channels[0];
        scope.spawn(move || hand_on_all(reader, first));
        for (idx, pair) in channels.windows(2).enumerate() {
            let sender = sender.clone();
            scope.spawn(move || {
                sender.send((idx, own_tid())).unwrap();
                while pair[0].read().is_ok_and(|cnt| cnt < END) {
                    pair[1].write(1).unwrap();
                }
                pair[1].write(END).unwrap();
            });
        }
        let mut by_idx: Vec<(usize, u32)> = tids.iter().take(last).collect();
        by_idx.sort_unstable();
        inject(&mut device, 100, Some(200));
        let got = by_idx.iter().map(|(_, tid)| rig.source(*tid));
        let got: Vec<Option<u32>> = got.map(|source| source.map(hands)).collect();
        let expected: Vec<Option<u32>> = (1..=HANDS).map(Some).chain([None]).collect();
        assert_eq!(got, expected);
        // Ends the reader, and through it the others.
        drop(device);
    });
}

#[test]
#[ignore = "runs inside the VM"]
fn an_input_thread_that_wakes_another_over_a_pipe_hands_input_on() {
    require_vm();
    let rig = Rig::load(HookKind::BY_COST);
    let mut device = mouse();
    let mut reader = open(&mut device);
    let (mut out, mut into) = std::io::pipe().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || inject(&mut device, 100, Some(200)));
        scope.spawn(
            move || {
                while reader.fetch_events().is_ok() && into.write_all(&[0]).is_ok() {}
            },
        );
        let mut known = None;
        // Until the device is gone.
        while known.is_none() && out.read(&mut [0; 64]).unwrap() > 0 {
            known = rig.source(own_tid());
        }
        assert_eq!(known, Some(RELAY), "who reads the pipe");
        drop(out);
    });
}

/// Says to who reads an eventfd that there will be no more.
const END: u64 = 1 << 40;

fn hand_on_all(mut reader: RawDevice, next: &EventFd) {
    while reader.fetch_events().is_ok() {
        next.write(1).unwrap();
    }
    next.write(END).unwrap();
}

#[test]
#[ignore = "runs inside the VM"]
fn who_makes_one_device_of_another_hands_input_on() {
    require_vm();
    let rig = Rig::load(HookKind::BY_COST);
    let own_pid = std::process::id();
    let relay_ns = || rig.evidence.process_records().unwrap().of(own_pid).relay_ns;
    let mut device = mouse();
    let mut reader = open(&mut device);
    let mut made = mouse();
    let mut play = |device: &mut VirtualDevice| {
        inject(device, 2, None);
        let cnt = i32::try_from(reader.fetch_events().unwrap().count()).unwrap();
        inject(&mut made, cnt, None);
    };
    rig.evidence.set_game(0, []).unwrap();
    play(&mut device);
    assert_eq!(relay_ns(), 0, "there is no game");
    rig.evidence.set_game(1, []).unwrap();
    play(&mut device);
    assert_ne!(relay_ns(), 0);
}

#[test]
#[ignore = "runs inside the VM"]
fn a_reader_that_is_not_the_game_has_no_role_while_there_is_a_game() {
    require_vm();
    let mut game = start(Command::new("sleep").arg("1000"));
    let daemon = Daemon::start(&[&format!("--game-pid={}", game.pid())]);
    let game_pid = || daemon.metrics().game_pid;
    assert_ne!(game_pid(), 0);
    let mut device = mouse();
    let mut reader = Command::new("cat");
    reader.stdin(File::open(node_of(&mut device)).unwrap());
    let _reader = start(reader.stdout(Stdio::null()));
    let stints = || daemon.metrics().roles["input"].stints;
    let shake = |device: &mut VirtualDevice| inject(device, 200, Some(200));
    shake(&mut device);
    assert_eq!(stints(), 0, "it reads, and is not the game");
    game.stop(Signal::SIGKILL, PATIENCE).expect("it ends");
    assert!(wait_for(PATIENCE, || game_pid() == 0), "the game has ended");
    let begin = Instant::now();
    while stints() == 0 {
        assert!(begin.elapsed() < PATIENCE, "{}", daemon.log());
        shake(&mut device);
    }
}
