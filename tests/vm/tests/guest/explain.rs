//! Goal: a person can ask what a process' threads are held for, and why. Method: the program itself
//! beside a daemon, about the game, about strangers to it, and about nobody.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::require_vm;
use crate::support::daemon::Daemon;
use crate::support::game::{Game, inject, mouse, node_of};
use crate::support::{Running, built, start, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

fn explain(pid: u32) -> Output {
    let mut command = Command::new(built("scx_gamer"));
    command
        .arg("--explain")
        .arg(pid.to_string())
        .output()
        .unwrap()
}

fn explained(pid: u32) -> String {
    let output = explain(pid);
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{text}");
    assert_eq!(output.status.code(), Some(0), "{:?}", output.stderr);
    text
}

fn pid_of(process: &Running) -> u32 {
    u32::try_from(process.pid().as_raw()).unwrap()
}

/// The lines about the thread of this name.
fn of_thread<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let is_it = |line: &&str| line.split_whitespace().nth(1) == Some(name);
    let mut lines = text.lines().skip_while(|line| !is_it(line));
    let head = lines.next().unwrap_or_default();
    let more = lines.take_while(|line| indent(line) > 10);
    [head].into_iter().chain(more).collect()
}

#[test]
#[ignore = "runs inside the VM"]
fn threads_are_explained_with_their_roles_and_evidence() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    let _game = Game::start(600, &["--steam-app-id=42", "--warmup=1"]);
    let plays = daemon.wait_for_metrics(PATIENCE, |now| {
        let roles = ["input", "gpu", "game"];
        now.game_pid != 0 && roles.iter().all(|role| now.roles[*role].stints > 100)
    });
    assert!(plays.is_some(), "{}", daemon.log());
    let game = daemon.metrics().game_pid;
    let text = explained(game);
    let head = format!("(pid {game}): the game");
    assert!(text.lines().next().unwrap().ends_with(&head), "{text}");
    for (name, boost, evidence, hook) in [
        (
            "render",
            "boost 6 for gpu, game",
            "gpu: since",
            "hook virtio_gpu_",
        ),
        (
            "input",
            "boost 7 for input, game",
            "input: since",
            "hook evdev_read",
        ),
    ] {
        let lines = of_thread(&text, name);
        assert!(lines[0].contains(boost), "{name}: {lines:?}");
        let tells = |line: &&str| line.contains(evidence) && line.contains(hook);
        assert!(lines[1..].iter().any(tells), "{lines:?}");
    }
    assert!(!text.contains("does not count"), "{text}");
    let costs = text.lines().last().unwrap();
    assert!(
        costs.starts_with("detectors: ") && costs.contains("gpu "),
        "{costs}"
    );

    // Somebody else who reads input, and somebody who is not ours.
    let mut mouse = mouse();
    let reads = format!("if={}", node_of(&mut mouse).display());
    let mut reader = Command::new("dd");
    reader.args([&reads, "of=/dev/null", "bs=24"]);
    let reader = start(reader.stderr(Stdio::null()));
    let mut text = String::new();
    let known = wait_for(PATIENCE, || {
        // A read that waits is forgotten after a while: so there is always a new one.
        inject(&mut mouse, 2, None);
        text = explained(pid_of(&reader));
        text.contains("input: ")
    });
    assert!(known && text.contains("no part of the game"), "{text}");
    let lines = of_thread(&text, "dd");
    let refused = |line: &&str| line.contains("input: ") && line.contains("does not count");
    assert!(lines.iter().any(refused), "{text}");
    assert!(lines[0].contains("for normal"), "{text}");
    let rt = start(Command::new("chrt").args(["-f", "1", "sleep", "1000"]));
    let comm = format!("/proc/{}/comm", rt.pid());
    let is_asleep = || fs::read_to_string(&comm).unwrap() == "sleep\n";
    assert!(wait_for(PATIENCE, is_asleep), "chrt starts a program");
    let text = explained(pid_of(&rt));
    assert!(
        of_thread(&text, "sleep")[0].contains("RT, not ours"),
        "{text}"
    );
    daemon.assert_in_charge();
}

#[test]
#[ignore = "runs inside the VM"]
fn a_process_that_is_not_there_is_an_error_in_one_line() {
    require_vm();
    let mut daemon = Daemon::start(&[]);
    let output = explain(4_194_304);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.contains("there is no process 4194304"), "{message}");
    assert!(output.stdout.is_empty());
    daemon.assert_in_charge();
}
