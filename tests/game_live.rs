//! Goal: what the live reader says of real processes, also of those it may not read.
//! Method: children of the test and this machine's own `/proc`.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use scx_gamer::detect::game::live::LiveProcesses;
use scx_gamer::detect::game::snapshot::{ProcessSnapshot, ProcessSource, Unread};
use scx_gamer::detect::game::{GameError, GameFinder, GameOptions};

/// Ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn sleeper() -> Command {
    let mut command = Command::new("sleep");
    command.arg("100").stdin(Stdio::null());
    command
}

/// What is seen of a child once it is out of its exec: within, it has no environment yet. (The
/// kernel reports the exec when it has one.)
fn see(child: &Running) -> ProcessSnapshot {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let seen = LiveProcesses::default()
            .snapshot(child.0.id())
            .expect("our own child is readable");
        if seen.marks.steam_app.is_some() && !seen.cmdline.is_empty() {
            return seen;
        }
        assert!(
            Instant::now() < deadline,
            "the marks are never seen: {seen:?}"
        );
    }
}

#[test]
fn a_real_process_is_seen_with_its_marks_and_its_program() {
    let child = Running(
        sleeper()
            .env("SteamAppId", "480")
            .spawn()
            .expect("sleep starts"),
    );
    let seen = see(&child);
    assert_eq!(seen.marks.steam_app.as_deref(), Some("480"));
    assert!(seen.exe.is_some_and(|exe| exe.ends_with("/sleep")));
    assert_eq!(seen.cmdline, ["sleep", "100"]);
    assert_eq!((seen.ppid, seen.thread_cnt), (std::process::id(), 1));
    let identity = LiveProcesses::default()
        .identity(child.0.id())
        .expect("it is alive");
    assert_eq!(identity.start_ticks, seen.start_ticks);
    assert!(LiveProcesses::default().pids().contains(&child.0.id()));
}

#[test]
fn a_process_whose_main_thread_has_left_is_read_through_one_that_stayed() {
    let script = "import ctypes, threading, time\n\
                  threading.Thread(target=time.sleep, args=(100,)).start()\n\
                  ctypes.CDLL(None).pthread_exit(None)";
    let child = Command::new("/usr/bin/python3")
        .args(["-c", script])
        .env("SteamAppId", "480")
        .spawn();
    let child = Running(child.expect("python3 starts"));
    let stat = format!("/proc/{}/stat", child.0.id());
    let deadline = Instant::now() + Duration::from_secs(20);
    while !std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z ")) {
        assert!(Instant::now() < deadline, "the main thread stays");
        std::thread::yield_now();
    }
    let seen = see(&child);
    assert_eq!(seen.cmdline, ["/usr/bin/python3", "-c", script]);
    assert_eq!(seen.thread_cnt, 2);
    assert!(seen.exe.is_some_and(|exe| exe.contains("/python3")));
    assert!(seen.rss_mib > 0);
}

#[test]
fn bytes_that_are_no_text_are_read() {
    let odd = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    let child = sleeper()
        .arg0(odd)
        .env("X", odd)
        .env("SteamAppId", "480")
        .spawn();
    let child = Running(child.expect("sleep starts"));
    let seen = see(&child);
    assert_eq!(seen.marks.steam_app.as_deref(), Some("480"));
}

#[test]
fn a_process_that_has_ended_is_gone_also_before_it_is_reaped() {
    let mut child = Command::new("true").spawn().expect("true starts");
    let pid = child.id();
    let deadline = Instant::now() + Duration::from_secs(20);
    while LiveProcesses::default().identity(pid).is_some() {
        assert!(Instant::now() < deadline, "a zombie counts as alive");
        std::thread::yield_now();
    }
    assert!(LiveProcesses::default().snapshot(pid).is_err());
    child.wait().expect("it is our child");
    assert_eq!(LiveProcesses::default().snapshot(pid), Err(Unread::Gone));
    assert_eq!(
        LiveProcesses::default().snapshot(u32::MAX),
        Err(Unread::Gone)
    );
}

#[test]
fn looking_through_all_of_proc_finds_the_game_and_never_fails() {
    let child = Running(
        sleeper()
            .env("SteamAppId", "480")
            .spawn()
            .expect("sleep starts"),
    );
    let options = GameOptions {
        game_pid: Some(child.0.id()),
        ..GameOptions::default()
    };
    let answer = Arc::new(AtomicU32::new(0));
    let start = Instant::now();
    let mut finder =
        GameFinder::new(LiveProcesses::default(), options, answer, start).expect("it is alive");
    while finder.next_deadline().is_some_and(|at| at <= start) {
        let _ = finder.on_deadline(start);
    }
    let counters = finder.counters();
    let took = start.elapsed();
    println!(
        "{counters:?}, {took:?}: {:?} for each process",
        took / u32::try_from(counters.look_cnt).expect("few")
    );
    assert_eq!(finder.current().map(|game| game.pid), Some(child.0.id()));
}

#[test]
fn a_process_that_is_not_there_and_a_thread_are_refused() {
    let start = |pid| {
        let options = GameOptions {
            game_pid: Some(pid),
            ..GameOptions::default()
        };
        GameFinder::new(
            LiveProcesses::default(),
            options,
            Arc::default(),
            Instant::now(),
        )
        .err()
    };
    assert_eq!(
        start(u32::MAX),
        Some(GameError::NoSuchProcess { pid: u32::MAX })
    );
    let own = std::process::id();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let thread = nix::unistd::gettid().as_raw().unsigned_abs();
            assert_eq!(
                start(thread),
                Some(GameError::IsThread {
                    pid: thread,
                    tgid: own
                })
            );
        });
    });
}
