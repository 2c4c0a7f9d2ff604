//! Goal: a desktop's compositor is known by its flips; who draws in software, or submits beside the
//! game, is given no part in the game's way to the display. Method: weston with a GL client on
//! llvmpipe; this test submits to the GPU with and without a game.

use std::fs::File;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use gamesim::gpu::Gpu;
use libbpf_rs::query::MapInfoIter;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use nix::sys::signal::Signal;
use nix::unistd::gettid;
use procfs::process::Process;
use scx_gamer::detect::actor;
use scx_gamer::detect::evidence::{Evidence, EvidenceKind, pidfd_of_thread};
use scx_gamer::detect::flip;
use scx_gamer::detect::hook::HookKind;
use scx_gamer::intf;

use super::require_vm;
use super::roles::threads;
use crate::support::daemon::Daemon;
use crate::support::game::Game;
use crate::support::{Running, start, stay_awake, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);
const RUNTIME_DIR: &str = "/run/test_weston";
const LOG: &str = "/run/test_weston.log";

fn weston_program(name: &str, args: &[&str]) -> Running {
    let log = File::options().create(true).append(true).open(LOG).unwrap();
    let mut command = Command::new(name);
    command.args(args).env("XDG_RUNTIME_DIR", RUNTIME_DIR);
    command.env("WAYLAND_DISPLAY", "wayland-1");
    command.env("LIBGL_ALWAYS_SOFTWARE", "1");
    command
        .stdin(Stdio::null())
        .stderr(log.try_clone().unwrap());
    start(command.stdout(log))
}

/// What the threads of a process were seen doing.
fn deeds(evidence: &Evidence, process: &Running) -> Vec<EvidenceKind> {
    let process = Process::new(process.pid().as_raw()).unwrap();
    let tasks = process.tasks().unwrap().flatten();
    let tids = tasks.map(|task| task.tid.cast_unsigned());
    let seen = tids.flat_map(|tid| evidence.of_thread(tid).unwrap_or_default());
    seen.map(|seen| seen.kind).collect()
}

#[test]
#[ignore = "runs inside the VM"]
fn weston_is_the_compositor_and_software_rendering_is_no_gpu() {
    require_vm();
    let evidence = Evidence::create().unwrap();
    let _display = actor::detect(&evidence, EvidenceKind::Display);
    let _gpu = actor::detect(&evidence, EvidenceKind::Gpu);
    let _flips = flip::detect(&evidence, HookKind::BY_COST);
    let mut dir = std::fs::DirBuilder::new();
    dir.mode(0o700).recursive(true).create(RUNTIME_DIR).unwrap();
    let _ = std::fs::remove_file(LOG);
    let log = || std::fs::read_to_string(LOG).unwrap_or_default();
    let awake = stay_awake();
    let mut weston = weston_program(
        "weston",
        &[
            "--backend=drm-backend.so",
            "--drm-device=card0",
            "--tty=1",
            "--use-pixman",
            "--continue-without-input",
            "--idle-time=0",
        ],
    );
    let socket = Path::new(RUNTIME_DIR).join("wayland-1");
    assert!(wait_for(PATIENCE, || socket.exists()), "{}", log());
    let mut client = weston_program("weston-simple-egl", &[]);
    let flips = || {
        let displays = evidence.displays().unwrap();
        displays.first().map_or(0, |display| display.flip_cnt)
    };
    // An idle weston flips nothing: the client draws.
    let drawn = wait_for(PATIENCE, || flips() >= 30);
    assert!(drawn, "{} flips: {}", flips(), log());
    // Weston alone gets there too, with its own start and clock.
    assert_eq!(client.wait(Duration::ZERO), None, "{}", log());
    drop(awake);
    let display = evidence.displays().unwrap()[0];
    println!("{display}: {display:?}");
    assert_eq!(display.owner_tgid, weston.pid().as_raw().cast_unsigned());
    assert_eq!(deeds(&evidence, &weston), [EvidenceKind::Display]);
    assert_eq!(deeds(&evidence, &client), []);
    drop(client);
    // It gives the terminal back.
    let ended = weston.stop(Signal::SIGTERM, PATIENCE);
    assert!(ended.is_some(), "{}", log());
}

/// A map of the daemon's, by the name that the kernel keeps.
fn map_of_daemon(name: &str) -> MapHandle {
    let mut maps = MapInfoIter::default();
    let map = maps.find(|map| map.name == name);
    MapHandle::from_map_id(map.expect("the daemon has such a map").id).unwrap()
}

/// Who of the threads holds which roles.
struct Roles(MapHandle);

impl Roles {
    fn has_gpu(&self, pidfd: &OwnedFd) -> bool {
        let key = pidfd.as_raw_fd().to_ne_bytes();
        let value = self.0.lookup(&key, MapFlags::ANY).unwrap();
        value.is_some_and(|value| {
            assert_eq!(value.len(), size_of::<intf::task_ctx>());
            let roles = &value[offset_of!(intf::task_ctx, roles)..];
            let roles = u16::from_ne_bytes(*roles.first_chunk().unwrap());
            roles & 1 << intf::ROLE_GPU != 0
        })
    }
}

#[test]
#[ignore = "runs inside the VM"]
fn who_submits_beside_the_game_is_no_gpu_role_while_there_is_one() {
    require_vm();
    let daemon = Daemon::start(&[]);
    let roles = Roles(map_of_daemon("task_ctxs"));
    let (gpu, _) = Gpu::open().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (sender, tid) = mpsc::channel();
        let stop = &stop;
        // A video in a browser.
        scope.spawn(move || {
            sender.send(gettid()).unwrap();
            while !stop.load(Ordering::Relaxed) {
                gpu.submit().unwrap();
                thread::park_timeout(Duration::from_millis(33));
            }
        });
        let pidfd = pidfd_of_thread(tid.recv().unwrap().as_raw().cast_unsigned()).unwrap();
        let before = wait_for(PATIENCE, || roles.has_gpu(&pidfd));
        let game = Game::start(600, &["--steam-app-id=42", "--warmup=1"]);
        let known = wait_for(PATIENCE, || daemon.metrics().game_pid != 0);
        let lost = wait_for(PATIENCE, || !roles.has_gpu(&pidfd));
        let pid = game.pid();
        let render = || {
            let mut own = threads().into_iter().filter(|(tid, name)| {
                name == "render" && Path::new(&format!("/proc/{pid}/task/{tid}")).exists()
            });
            pidfd_of_thread(own.next()?.0).ok()
        };
        let of_game = wait_for(PATIENCE, || render().is_some_and(|it| roles.has_gpu(&it)));
        let again = wait_for(Duration::from_secs(1), || roles.has_gpu(&pidfd));
        drop(game);
        let after = wait_for(PATIENCE, || roles.has_gpu(&pidfd));
        stop.store(true, Ordering::Relaxed);
        assert!(before, "no role before there was a game");
        assert!(known && lost, "game known: {known}, role lost: {lost}");
        assert!(of_game, "the game's own thread has no role");
        assert!(!again, "got it back beside the game");
        assert!(after, "no role after the game");
    });
}
