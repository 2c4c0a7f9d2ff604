//! The arena in the VM: the quick form works, Ctrl-C in the middle leaves the kernel's scheduler
//! and results that can be gone on with, a peer that fails is a row. Nothing here asserts a speed.

use arena::results::{Results, Status};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use vmtest::guest::{GuestCommand, Vm};
use vmtest::kernel::Kernel;
use vmtest::machine::{Clock, Machine};

#[test]
fn the_quick_form_measures_all_it_names() {
    let dir = tempfile::tempdir().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_vmbench"))
        .args(["quick", "--out"])
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let dir = dir.path().join("quick");
    let results = Results::load(&dir).unwrap().expect("results");
    assert_eq!(results.status, Status::Complete);
    assert_eq!(results.cells.len(), results.plan.cells());
    for cell in &results.cells {
        let played = cell.played.as_ref().expect("a cell without a result");
        assert_eq!(cell.error, None);
        assert!(played.run.frames.count > 0 && played.run.input.to_flip.samples > 0);
        assert!(played.run.parts.all_real, "{:?}", played.run.notes);
        assert!(played.waits.as_ref().expect("no waits").switches > 0);
        let cost = &played.cost;
        assert!(cost.seconds > 0.5 && cost.switches.unwrap() > 0, "{cost:?}");
        assert_eq!(cost.programs.is_empty(), cell.contestant == "kernel");
        assert!(dir.join(&played.raw).is_file());
    }
    for report in ["report.html", "report.md"] {
        assert!(dir.parent().unwrap().join(report).is_file(), "no {report}");
    }
}

/// Interrupts the benchmark while scx_gamer schedules, and lets it go on after that.
const COMINGS_AND_GOINGS: &str = r#"
bench="$0 --out /mnt/share --only kernel,scx_gamer --rounds 1 --seconds 4 --scenario quiet"
$bench & pid=$!
until [ "$(cat /sys/kernel/sched_ext/state)" = enabled ]; do sleep 0.1; done
sleep 2
kill -INT $pid
wait $pid
echo "interrupted: $? $(cat /sys/kernel/sched_ext/state)"
pgrep gamesim && echo "left behind"
cp /mnt/share/results.json /mnt/share/partial.json
$bench
echo "resumed: $? $(cat /sys/kernel/sched_ext/state)"

# Two others: one that never attaches, and one that dies soon after.
cd /mnt/share
for peer in scx_never scx_dies; do
	printf '#!/bin/sh\n[ "$1" = --version ] && echo %s 1 && exit\n' $peer >$peer
	chmod 755 $peer
done
echo 'echo no such luck; exit 1' >>scx_never
# A scheduler without hooks attaches and ends at once.
echo "exec timeout --signal=KILL 3 $0 bare" >>scx_dies
$0 --out /mnt/share/peers --peers /mnt/share --only kernel,scx_never,scx_dies \
	--rounds 1 --seconds 4 --scenario quiet
echo "with peers: $? $(cat /sys/kernel/sched_ext/state)"

# One feature of an ablation is chosen by its name, as others are.
$0 --out /mnt/share/ablation --ablation --only nobody 2>&1
echo "nobody: $?"

# The scheduler without a program.
$0 bare & pid=$!
until [ "$(cat /sys/kernel/sched_ext/state)" = enabled ]; do sleep 0.1; done
echo "attached: $(cat /sys/kernel/sched_ext/root/ops)"
kill -INT $pid
wait $pid
echo "bare: $? $(cat /sys/kernel/sched_ext/state)"
"#;

#[test]
fn schedulers_come_and_go_and_what_was_measured_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let kernel = Kernel::ensure("6.18").unwrap();
    let machine = Machine {
        clock: Clock::Counted,
        share: Some(dir.path().canonicalize().unwrap()),
        limit: Duration::from_secs(1200),
        ..Machine::default()
    };
    let bench = env!("CARGO_BIN_EXE_scx_gamer-bench");
    // As vmbench does it: the share belongs to whoever runs the test.
    let uid = nix::unistd::geteuid().to_string();
    let command = GuestCommand::new(["sh", "-c", COMINGS_AND_GOINGS, bench])
        .env("SUDO_UID", &uid)
        .unwrap();
    let outcome = Vm::boot(&kernel, &machine, &command)
        .unwrap()
        .finish(&mut |_| ())
        .unwrap();
    let output = &outcome.output;
    assert!(output.contains("interrupted: 130 disabled"), "{output}");
    assert!(output.contains("resumed: 0 disabled"), "{output}");
    assert!(!output.contains("left behind"), "{output}");
    assert!(output.contains("with peers: 0 disabled"), "{output}");
    assert!(output.contains("scx_gamer, without boost"), "{output}");
    assert!(output.contains("nobody: 1"), "{output}");
    assert!(output.contains("attached: bare"), "{output}");
    assert!(output.contains("bare: 0 disabled"), "{output}");
    let read = |name: &str| {
        Results::from_json(&std::fs::read_to_string(dir.path().join(name)).unwrap()).unwrap()
    };
    let partial = read("partial.json");
    assert_eq!(partial.status, Status::Partial);
    assert_eq!(partial.cells.len(), 1, "the cell that was played is kept");
    let whole = read("results.json");
    assert_eq!((whole.status, whole.cells.len()), (Status::Complete, 2));

    let peers = read("peers/results.json");
    assert_eq!(peers.status, Status::Complete);
    let error = |name: &str| {
        let cell = peers.cells.iter().find(|cell| cell.contestant == name);
        cell.expect("a cell").error.clone().unwrap_or_default()
    };
    assert_eq!(error("kernel"), "");
    assert!(
        error("scx_never").ends_with("it said: no such luck"),
        "{}",
        error("scx_never")
    );
    assert!(
        error("scx_dies").contains("ended during the run"),
        "{}",
        error("scx_dies")
    );
}

#[test]
fn without_sched_ext_or_root_the_benchmark_says_what_is_missing() {
    if Path::new("/sys/kernel/sched_ext").exists() {
        return;
    }
    let output = Command::new(env!("CARGO_BIN_EXE_scx_gamer-bench"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        text.contains("sched_ext") || text.contains("sudo"),
        "{text}"
    );
}

#[test]
fn bad_arguments_are_named_and_exit_with_2() {
    for (args, part) in [
        (["--scenario", "pigs"], "quiet, hogs"),
        (["--rounds", "0"], "1..=1000"),
        (["--seconds", "0"], "between 0.5 and 3600"),
        (["--ablation", "--oracle"], "cannot be used with"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_scx_gamer-bench"))
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(part), "{text}");
    }
}
