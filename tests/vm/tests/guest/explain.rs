//! Goal: a person can ask what a process' threads are held for, and why. Method: the program itself
//! beside a daemon, about the game, about strangers to it, and about nobody.

use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use super::require_vm;
use crate::support::daemon::Daemon;
use crate::support::game::Game;
use crate::support::{built, start};

const PATIENCE: Duration = Duration::from_secs(60);
/// Until a thread that has begun is seen, and before that is forgotten.
const SEEN: Duration = Duration::from_millis(300);

fn explain(pid: u32) -> Output {
    let mut command = Command::new(built("scx_gamer"));
    command
        .arg("--explain")
        .arg(pid.to_string())
        .output()
        .unwrap()
}

pub(crate) fn explained(pid: u32) -> String {
    let output = explain(pid);
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{text}");
    assert_eq!(output.status.code(), Some(0), "{:?}", output.stderr);
    text
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
    let mut reader = Command::new("dd");
    reader.args(["if=/dev/input/event0", "of=/dev/null", "bs=24"]);
    let reader = start(reader.stderr(Stdio::null()));
    let rt = start(Command::new("chrt").args(["-f", "1", "sleep", "1000"]));
    thread::park_timeout(SEEN);
    let text = explained(u32::try_from(reader.pid().as_raw()).unwrap());
    assert!(text.contains("no part of the game"), "{text}");
    let lines = of_thread(&text, "dd");
    let refused = |line: &&str| line.contains("input: ") && line.contains("does not count");
    assert!(lines.iter().any(refused), "{text}");
    assert!(lines[0].contains("for normal"), "{text}");
    let text = explained(u32::try_from(rt.pid().as_raw()).unwrap());
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
