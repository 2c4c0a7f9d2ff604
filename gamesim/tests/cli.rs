//! Goal: the command line keeps its promises to people and scripts.
//! Method: the built binary, unprivileged parts only; no figure is asserted.

use gamesim::report::{RUN_SCHEMA, RunReport};
use std::path::Path;
use std::process::{Command, Output};

fn gamesim(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gamesim"))
        .args(args)
        .output()
        .expect("the binary starts")
}

/// A short play with a timer in every device's place.
const TIMERS: [&str; 9] = [
    "run",
    "--seconds=0.5",
    "--warmup=0.1",
    "--display=timer",
    "--input=timer",
    "--gpu=none",
    "--audio=timer",
    "--loops-per-us=50",
    "--json=-",
];

fn play(more: &[&str]) -> RunReport {
    let output = gamesim(&[&TIMERS[..], more].concat());
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).expect("a report")
}

/// Plays for longer and longer until the report is `as_wanted`: how soon a busy machine lets who is at nice 19
/// begin is nobody's promise. The last report.
fn play_until(as_wanted: impl Fn(&RunReport) -> bool, more: &[&str]) -> RunReport {
    let mut report = play(more);
    for seconds in [2, 8, 32] {
        if as_wanted(&report) {
            break;
        }
        let seconds = format!("--seconds={seconds}");
        report = play(&[&[seconds.as_str()], more].concat());
    }
    report
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn bad_arguments_are_named_and_exit_with_2() {
    for (args, word) in [
        (&["run", "--load", "pigs=3"][..], "pigs"),
        (&["run", "--load", "hogs=0"], "hogs"),
        (&["run", "--load", "hogs=2,fifo=200"], "fifo"),
        (&["run", "--load", "hogs=2:nice5"], "nice5"),
        (&["run", "--seconds=-1"], "seconds"),
        (&["run", "--seconds", "nan"], "seconds"),
        (&["run", "--workers", "9999"], "workers"),
        (&["run", "--input-hz", "0"], "input-hz"),
        (&["run", "--display=none"], "display"),
        (&["run", "--input-path=x11"], "x11"),
        (&["compare"], "--with"),
        (&["play"], "play"),
    ] {
        let output = gamesim(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            text(&output.stderr).contains(word),
            "{args:?}: {}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_helper_started_by_hand_says_that_it_is_none_of_your_business() {
    for args in [
        &["inject", "--input-hz", "1000"][..],
        &["game", "--loops-per-us", "50"],
    ] {
        let output = gamesim(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let errors = text(&output.stderr);
        assert!(errors.contains("a part of `gamesim run`"), "{errors}");
    }
}

#[test]
fn a_run_on_timers_works_unprivileged_and_marks_its_result() {
    let report = play(&[]);
    assert_eq!(report.schema, RUN_SCHEMA);
    assert!(report.frames.count > 0 && report.input.read > 0);
    assert!(report.audio.is_some_and(|audio| audio.periods > 0));
    let parts = &report.parts;
    assert_eq!(
        [&parts.display, &parts.input, &parts.gpu, &parts.audio].map(String::as_str),
        ["timer", "timer", "none", "timer"]
    );
    assert!(!parts.all_real);
    assert_eq!(
        report.work.game,
        report.frames.count * report.work.per_frame
    );
}

#[test]
fn input_that_the_compositor_forwards_reaches_the_screen() {
    let report = play(&["--input-path=wayland"]);
    assert!(report.frames.count > 0 && report.input.read > 0);
    assert!(report.input.to_flip.samples > 0);
    assert_eq!(report.parts.input, "timer");
    let note = "input comes from the compositor";
    assert!(
        report.notes.iter().any(|text| text.contains(note)),
        "{:?}",
        report.notes
    );
}

#[test]
fn paced_frames_follow_the_timer_and_loads_report_their_work() {
    let report = play(&[
        "--mode=paced",
        "--load=hogs=1:nice19,compile=1",
        "--load=affinity=1:idle",
    ]);
    assert!(report.frames.count > 0);
    let specs: Vec<_> = report
        .background
        .iter()
        .map(|load| load.spec.as_str())
        .collect();
    assert_eq!(specs, ["hogs=1:nice19", "compile=1", "affinity=1:idle"]);
    assert_eq!(
        report.work.background,
        report.background.iter().map(|load| load.loops).sum::<u64>()
    );
}

#[test]
fn chat_stream_and_shaders_do_their_work_beside_and_inside_the_game() {
    // In the order given, although shaders run inside the game and the others beside it.
    let all_work = |report: &RunReport| {
        let mut loads = report.background.iter();
        loads.all(|load| load.loops > 0 && load.jobs > 0)
    };
    let report = play_until(all_work, &["--load=chat=7:nice19,shaders=2,stream=2"]);
    let [chat, shaders, stream] = &report.background[..] else {
        panic!("{:?}", report.background);
    };
    assert_eq!(
        [&chat.spec, &shaders.spec, &stream.spec].map(String::as_str),
        ["chat=7:nice19", "shaders=2", "stream=2"]
    );
    for load in [chat, shaders, stream] {
        assert!(load.loops > 0 && load.jobs > 0, "{load:?}");
    }
    assert!(
        stream.deadlines > 0 && stream.missed <= stream.deadlines,
        "{stream:?}"
    );
    assert_eq!((chat.deadlines, shaders.deadlines), (0, 0));
}

#[test]
fn the_measured_window_is_announced_before_the_table() {
    // All timers, but without the JSON on stdout, which would leave a reader with two documents.
    let with_table = &TIMERS[..TIMERS.len() - 1];
    let before_ns = gamesim::clock::now_ns();
    let output = gamesim(&[with_table, &["--announce"]].concat());
    let printed = text(&output.stdout);
    let (first, table) = printed.split_once('\n').expect("lines");
    let window: gamesim::helper::Window = serde_json::from_str(first).expect("a window");
    assert!((window.seconds() - 0.5).abs() < 1e-6, "{window:?}");
    assert!(window.from_ns > before_ns && window.until_ns <= gamesim::clock::now_ns());
    assert!(table.contains("frames"), "{table}");
    let refused = gamesim(&[&TIMERS[..], &["--announce"]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty() && text(&refused.stderr).contains("--json"));
}

#[test]
fn raw_samples_match_the_report() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = dir.join("raw.csv");
    let report = play(&["--raw", path.to_str().unwrap()]);
    let raw = std::fs::read_to_string(&path).unwrap();
    let count = |name: &str| raw.lines().filter(|line| line.starts_with(name)).count() as u64;
    assert_eq!(count("frame_interval,"), report.frames.interval.samples);
    assert_eq!(count("frame_at,"), report.frames.count);
    assert_eq!(count("input_to_flip,"), report.input.to_flip.samples);
    assert_eq!(
        count("audio_lateness,"),
        report.audio.unwrap().lateness.samples
    );
}

#[test]
fn a_report_survives_its_own_json() {
    let report = play(&["--audio=none"]);
    assert_eq!(report.audio, None);
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<RunReport>(&text).unwrap(), report);
}

#[test]
fn comparing_without_sched_ext_says_so() {
    if Path::new("/sys/kernel/sched_ext").exists() {
        return;
    }
    let output = gamesim(&["compare", "--with", "true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("sched_ext"),
        "{}",
        text(&output.stderr)
    );
}

/// Environments of the processes whose command line contains `mark`. One that becomes another
/// program while it is looked at has no environment for a moment: only a command line that is
/// the same afterwards tells whose environment was read.
fn environments(mark: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let read = |name| {
            let bytes = std::fs::read(entry.path().join(name)).unwrap_or_default();
            text(&bytes).replace('\0', " ")
        };
        let command = read("cmdline");
        if command.contains(mark) {
            let environment = read("environ");
            if read("cmdline") == command {
                found.push((command, environment));
            }
        }
    }
    found
}

#[test]
fn only_the_game_itself_carries_steams_variables_and_sigint_leaves_nothing() {
    use nix::sys::signal::{Signal, kill};
    // A length that no other test uses tells this run's processes from all others.
    let mut child = Command::new(env!("CARGO_BIN_EXE_gamesim"))
        .args([
            "run",
            "--seconds=4321",
            "--loops-per-us=4321",
            "--load=hogs=1:idle",
        ])
        .args([
            "--display=timer",
            "--input=timer",
            "--gpu=none",
            "--audio=timer",
        ])
        .arg("--steam-app-id=4321")
        .spawn()
        .unwrap();
    let marked = || {
        // In this order: where there is a helper, the game has long been what it will be.
        let helpers = environments("--spec=hogs=1:idle --loops-per-us=4321");
        (environments("--seconds=4321"), helpers)
    };
    let mut seen = marked();
    while seen.1.is_empty() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
        seen = marked();
    }
    kill(
        nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap()),
        Signal::SIGINT,
    )
    .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let (game, run): (Vec<_>, Vec<_>) =
        seen.0.iter().partition(|(line, _)| line.contains(" game "));
    assert!(!game.is_empty() && game.iter().all(|(_, env)| env.contains("SteamAppId=4321")));
    assert!(run.iter().all(|(_, env)| !env.contains("SteamAppId")));
    assert!(!seen.1.is_empty() && seen.1.iter().all(|(_, env)| !env.contains("SteamAppId")));
    let left = marked();
    assert!(left.0.is_empty() && left.1.is_empty(), "{left:?}");
}

#[test]
fn loads_end_with_the_game_however_it_ends() {
    use nix::sys::signal::{Signal, kill};
    use std::io::{BufRead, BufReader};
    for (signal, speed) in [
        (Signal::SIGTERM, "--loops-per-us=4322"),
        (Signal::SIGKILL, "--loops-per-us=4323"),
    ] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_gamesim"))
            .args(["run", "--announce", "--seconds=4324", speed])
            .args(["--display=timer", "--input=none", "--gpu=none"])
            .arg("--audio=none")
            .arg("--load=chat=10:idle,stream=1:idle,shaders=1")
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        for load in ["chat=10:idle", "stream=1:idle"] {
            let helpers = environments(&format!("--spec={load} {speed}"));
            assert_eq!(helpers.len(), 1, "{load}: {line}");
        }
        let pid = i32::try_from(child.id()).unwrap();
        kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
        child.wait().unwrap();
        // After SIGKILL the helpers hear of it from the kernel, a little later.
        let start = std::time::Instant::now();
        while !environments(speed).is_empty() && start.elapsed() < gamesim::helper::PATIENCE {
            std::thread::yield_now();
        }
        assert_eq!(environments(speed), [], "{signal}");
    }
}
