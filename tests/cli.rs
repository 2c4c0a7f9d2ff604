//! Goal: every wrong use ends with one clear message and the documented exit code, and right use
//! with the right one. Method: runs the real binary; nothing here gets as far as the kernel.

use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use clap::ValueEnum;
use scx_gamer::config::Feature;

fn scx_gamer(args: &[&str]) -> Output {
    let binary = env!("CARGO_BIN_EXE_scx_gamer");
    Command::new(binary)
        .args(args)
        .env_remove("JOURNAL_STREAM")
        .output()
        .expect("runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn assert_usage_error(args: &[&str], parts: &[&str]) {
    let output = scx_gamer(args);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
    for part in parts {
        assert!(
            message.contains(part),
            "{args:?}: no {part:?} in: {message}"
        );
    }
    assert!(!message.contains("panicked"), "{message}");
}

#[test]
fn help_names_every_option_with_its_default() {
    for flag in ["--help", "-h"] {
        let output = scx_gamer(&[flag]);
        assert_eq!(output.status.code(), Some(0));
        let help = stdout(&output);
        for option in [
            "--slice-us <US>",
            "--slice-min-us <US>",
            "--boost-input <BOOST>",
            "--boost-gpu <BOOST>",
            "--boost-compositor <BOOST>",
            "--boost-gpu-irq <BOOST>",
            "--boost-audio <BOOST>",
            "--boost-network <BOOST>",
            "--boost-storage <BOOST>",
            "--boost-game <BOOST>",
            "--input-window-us <US>",
            "--busy-threshold <PCT>",
            "--boosted-max-pct <PCT>",
            "--power-save",
            "--wait-bound-ms <MS>",
            "--game-pid <PID>",
            "--stats <SEC>",
            "--monitor <SEC>",
            "--help-stats",
            "--verbose",
            "--version",
            "--exit-dump-len <BYTES>",
            "--with <FEATURE>",
            "--without <FEATURE>",
            "--kconfig <KCONFIG>",
        ] {
            assert!(help.contains(option), "{flag} lacks {option}:\n{help}");
        }
        // A line may end inside.
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for default in [3000, 500, 7, 6, 5, 4, 3, 10000, 85, 300, 0] {
            assert!(
                words.contains(&format!("[default: {default}]")),
                "{flag}: no {default}"
            );
        }
    }
}

#[test]
fn version_is_the_package_version() {
    let output = scx_gamer(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        stdout(&output),
        format!("scx_gamer {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn value_out_of_range_names_flag_and_range() {
    for (flag, range, values) in [
        ("--slice-us", "100..=100000", ["99", "100001"]),
        ("--slice-min-us", "100..=100000", ["99", "100001"]),
        ("--boost-input", "0..=7", ["8", "256"]),
        ("--boost-audio", "0..=7", ["8", "256"]),
        ("--boost-game", "0..=7", ["8", "256"]),
        ("--input-window-us", "0..=100000", ["100001", "99999999999"]),
        ("--busy-threshold", "1..=100", ["0", "101"]),
        ("--boosted-max-pct", "1..=100", ["0", "101"]),
        ("--wait-bound-ms", "20..=2000", ["19", "2001"]),
        ("--game-pid", "1..=4194304", ["0", "4194305"]),
        ("--exit-dump-len", "0..=1048576", ["1048577", "4294967296"]),
        ("--stats", "0.1..=3600", ["0", "3601"]),
        ("--monitor", "0.1..=3600", ["NaN", "inf"]),
        ("--explain", "1..=4194304", ["0", "4194305"]),
    ] {
        for value in values {
            assert_usage_error(&[flag, value], &[flag, range, value]);
        }
    }
}

#[test]
fn malformed_value_or_unknown_flag_is_named() {
    assert_usage_error(&["--slice-us", "3ms"], &["--slice-us", "3ms"]);
    assert_usage_error(&["--boost-input=-1"], &["--boost-input"]);
    assert_usage_error(&["--stats"], &["--stats <SEC>"]);
    assert_usage_error(&["--turbo"], &["--turbo"]);
    assert_usage_error(&["game"], &["game"]);
}

#[test]
fn features_to_switch_off_are_listed_and_others_refused() {
    let names: Vec<String> = Feature::value_variants()
        .iter()
        .map(Feature::to_string)
        .collect();
    for wrong in ["turbo", "boost,turbo", "boost,", ""] {
        let mut parts = vec!["--without <FEATURE>"];
        parts.extend(names.iter().map(String::as_str));
        assert_usage_error(&["--without", wrong], &parts);
    }
    let help = stdout(&scx_gamer(&["--help"]));
    for name in names {
        let described = |line: &str| line.trim_start().starts_with(&format!("- {name}:"));
        assert!(help.lines().any(described), "no {name} in:\n{help}");
    }
}

#[test]
fn options_that_contradict_each_other_are_named() {
    let slices = ["--slice-us", "1000", "--slice-min-us", "1001"];
    assert_usage_error(&slices, &["--slice-min-us", "--slice-us", "at most 1000"]);
    let bound = ["--slice-us", "30000", "--wait-bound-ms", "20"];
    assert_usage_error(&bound, &["--slice-us", "--wait-bound-ms", "at most 20000"]);
    let features = ["--with", "preempt", "--without", "boost,preempt"];
    assert_usage_error(
        &features,
        &["--with preempt", "--without preempt", "leave one out"],
    );
    let client = ["--monitor", "1", "--slice-us", "1000"];
    assert_usage_error(&client, &["--monitor"]);
    let missing = ["--kconfig", "/nonexistent/config"];
    assert_usage_error(&missing, &["--kconfig /nonexistent/config"]);
}

#[test]
fn help_stats_lists_all_metrics() {
    let output = scx_gamer(&["--help-stats"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut expected = Vec::new();
    scx_gamer::stats::write_help(&mut expected).expect("writes");
    assert_eq!(output.stdout, expected);
    for name in [
        "wait_p99_us",
        "dispatch_steal",
        "cpu_pct",
        "load_pct",
        "drained",
        "mean_ns",
    ] {
        assert!(stdout(&output).contains(name), "no {name}");
    }
}

#[test]
fn clients_without_a_daemon_say_so() {
    if Path::new(scx_gamer::stats::SOCKET_PATH).exists() {
        eprintln!("skipped: a scheduler's statistics socket exists on this machine");
        return;
    }
    for client in ["--monitor", "--explain"] {
        let output = scx_gamer(&[client, "1"]);
        assert_eq!(output.status.code(), Some(1));
        let message = stderr(&output);
        assert_eq!(message.lines().count(), 1, "{message}");
        assert!(message.contains("no running scx_gamer found"), "{message}");
        assert!(message.contains("start one first"), "{message}");
        assert_eq!(stdout(&output), "");
    }
}

#[test]
fn lines_for_the_journal_carry_their_priority_and_no_time() {
    let mut log = tempfile::tempfile().expect("temporary file");
    let metadata = log.metadata().expect("has metadata");
    let status = Command::new(env!("CARGO_BIN_EXE_scx_gamer"))
        .args(["--slice-us", "100"])
        .env(
            "JOURNAL_STREAM",
            format!("{}:{}", metadata.dev(), metadata.ino()),
        )
        .stderr(log.try_clone().expect("can be shared"))
        .status()
        .expect("runs");
    assert_eq!(status.code(), Some(2));
    let mut text = String::new();
    log.rewind().expect("rewinds");
    log.read_to_string(&mut text).expect("is text");
    assert!(text.starts_with("<3>--slice-min-us 500 is above"), "{text}");
}

/// A copy of the program in a directory of its own, called with `args`.
fn alone(dir: &Path, args: &[&str]) -> Output {
    let program = dir.join("scx_gamer");
    if !program.exists() {
        std::fs::hard_link(env!("CARGO_BIN_EXE_scx_gamer"), &program)
            .or_else(|_| std::fs::copy(env!("CARGO_BIN_EXE_scx_gamer"), &program).map(drop))
            .expect("a second name");
    }
    Command::new(program).args(args).output().expect("runs")
}

#[test]
fn the_benchmark_beside_the_program_gets_its_options_and_its_exit_code_is_ours() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let missing = alone(dir.path(), &["bench", "--rounds", "1"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("install it beside scx_gamer"));

    let script = dir.path().join("scx_gamer-bench");
    std::fs::write(&script, "#!/bin/sh\necho \"got: $*\"; exit 130\n").expect("writes");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let output = alone(dir.path(), &["bench", "--rounds", "1", "--help"]);
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(stdout(&output), "got: --rounds 1 --help\n");
}
