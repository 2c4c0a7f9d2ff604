//! Tests on real sched_ext kernels. This one program is both sides: its host tests boot the VM and
//! run the same program inside, where the ignored tests of `guest/` are the ones that run.
//!
//! One guest test by hand, after `make build` and `cargo test --no-run`:
//! `make vm CMD='target/debug/deps/vm-... --ignored --nocapture NAME'`.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod guest;
mod support;
mod unit;

use std::env;
use std::fmt::Write as _;
use std::io::{Write, stderr};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use vmtest::failure::Failure;
use vmtest::guest::{GuestCommand, Vm};
use vmtest::kernel::Kernel;
use vmtest::machine::{Clock, Machine, Shape};
use vmtest::qmp::Input;

/// Guest tests that need something from outside (events, a machine of a certain shape, a certain
/// kernel); each has its own host test.
const OUTSIDE: &str = "guest::outside::";
const TOPOLOGY: &str = "guest::topology::";
/// Needs no shape, and does more on one where idle CPUs differ.
const INTERRUPTS: &str = "guest::interrupts::";
/// Needs a CPU that the kernel may run without a tick.
const TICKS: &str = "guest::ticks::";
const MALFORMED_BTF: &str = "guest::malformed_btf::";
/// A kernel on which no scheduler loads.
const MALFORMED_BTF_KERNEL: &str = "7.2.12+deb13-amd64";
/// Host time for the tests of one boot.
const LIMIT: Duration = Duration::from_secs(3000);

#[test]
fn on_6_18() {
    all_guest_tests("6.18");
}

#[test]
fn on_newest_7() {
    all_guest_tests("7");
}

#[test]
fn other_packages_and_smt_on_6_18() {
    package_tests("6.18");
}

#[test]
fn other_packages_and_smt_on_newest_7() {
    package_tests("7");
}

/// The longest but the first two: tests begin by name, and one that begins last is waited for alone.
#[test]
fn sixteen_cpus_of_two_nodes_on_6_18() {
    // Two caches on each.
    let shape = Shape::new(Some(16), 4, None, 2, 2);
    topology_test("6.18 2 nodes 16 CPUs", 4, shape);
}

#[test]
fn two_caches_on_6_18() {
    topology_test("6.18 2 LLCs", 2, Shape::new(Some(4), 2, None, 1, 1));
}

/// Goal: the profile names what each callback executes. Method: ten million instructions of a guest in which
/// two programs fill and empty a pipe in turn: a program that begins takes two million by itself.
#[test]
fn instructions_of_each_callback_are_counted_on_6_18() {
    let turns = format!(
        "'{}' & yes | cat > /dev/null",
        support::built("scx_gamer").display()
    );
    let output = Command::new(env!("CARGO_BIN_EXE_vmprofile"))
        .args(["--kernel=6.18", "--millions=10", "--", "sh", "-c", &turns])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{said}");
    for part in [
        "gamer_running ",
        "gamer_stopping ",
        " bpf_task_storage_get\n",
        " a switch, ",
    ] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
}

#[test]
fn malformed_btf_is_named_on_a_kernel_that_has_it() {
    // Archives drop old builds, and this one was never good for anything else.
    if let Err(failure) = Kernel::ensure(MALFORMED_BTF_KERNEL) {
        eprintln!("not tested, there is no such kernel any more: {failure}");
        return;
    }
    let command = this_program(&[MALFORMED_BTF]);
    passes(
        MALFORMED_BTF_KERNEL,
        "malformed BTF",
        Shape::flat(2),
        &command,
    );
}

#[test]
fn kernel_without_sched_ext_is_named() {
    if Path::new("/sys/kernel/sched_ext").exists() {
        eprintln!("skipped: this machine's own kernel has sched_ext");
        return;
    }
    let output = Command::new(support::built("scx_gamer")).output().unwrap();
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    for part in ["no sched_ext", "CONFIG_SCHED_CLASS_EXT=y"] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn input_injected_from_outside_arrives_once_each() {
    let command = this_program(&[OUTSIDE]);
    let mut show = show_as("qmp");
    let mut vm = boot("6.18", &Machine::default(), &command);
    vm.wait_for(guest::outside::READY, &mut show).unwrap();
    let mut qmp = vm.qmp().unwrap();
    for _ in 0..guest::outside::MOVES {
        qmp.send_input(&[Input::Move { x: 3, y: 0 }]).unwrap();
    }
    qmp.send_input(&[Input::Key("a", true)]).unwrap();
    qmp.send_input(&[Input::Key("a", false)]).unwrap();
    qmp.send_input(&[Input::Button("left", true)]).unwrap();
    qmp.send_input(&[Input::Button("left", false)]).unwrap();
    let outcome = vm.finish(&mut show).unwrap();
    assert_eq!(outcome.code, 0, "the guest saw other events than were sent");
}

#[test]
fn systemd_boots_and_passes_the_exit_code() {
    let machine = Machine {
        systemd: true,
        ..Machine::default()
    };
    let script = "cat /proc/1/comm; systemd-detect-virt --container; exit 5";
    let command = GuestCommand::new(["sh", "-c", script]);
    let outcome = boot("6.18", &machine, &command)
        .finish(&mut show_as("systemd"))
        .unwrap();
    assert_eq!(
        (outcome.output.as_str(), outcome.code),
        ("systemd\nnone\n", 5)
    );
}

#[test]
fn a_cpu_without_a_tick_is_kept_so_and_shared_on_6_18() {
    let append = format!("nohz_full={}", guest::ticks::CPU);
    passes_with("6.18", "nohz_full", &append, TICKS);
}

#[test]
fn threads_of_gpu_interrupts_are_known_where_there_are_any() {
    passes_with("7", "threadirqs", "threadirqs", "interrupts_of_the_gpu");
}

#[test]
fn limit_ends_the_vm_and_says_so() {
    let machine = Machine {
        limit: Duration::from_secs(2),
        ..Machine::default()
    };
    let vm = boot("6.18", &machine, &GuestCommand::new(["sleep", "1000"]));
    match vm.finish(&mut |_| ()) {
        Err(failure @ Failure::TimedOut { .. }) => assert_eq!(failure.exit_code(), 124),
        other => panic!("expected the limit, got {other:?}"),
    }
}

/// Runs every ignored test of this program that needs nothing from outside in one boot, and
/// compares what the verifier counted.
fn all_guest_tests(kernel: &str) {
    let skipped = [OUTSIDE, TOPOLOGY, TICKS, MALFORMED_BTF];
    let command = this_program(&skipped.map(|name| ["--skip", name]).concat());
    let output = passes(kernel, kernel, Shape::flat(2), &command);
    support::verifier_counts::check(kernel, &output);
}

/// Runs the tests of the other packages that need a guest (with four CPUs), then this one's for a
/// machine of that shape.
fn package_tests(kernel: &str) {
    let mut script = String::from("set -e\n");
    for name in ["guest_input", "guest_game", "guest_waittrace"] {
        let program = support::built_test(name);
        let _ = writeln!(
            script,
            "'{}' --ignored --test-threads=1 --nocapture",
            program.display()
        );
    }
    script += &format!(
        "exec '{}' --ignored --test-threads=1 --nocapture {TOPOLOGY} {INTERRUPTS}",
        env::current_exe().unwrap().display()
    );
    let command = GuestCommand::new(["sh", "-c", &script]);
    let command = command.env(guest::topology::LLCS, "1").unwrap();
    passes(
        kernel,
        &format!("{kernel} 4 CPUs"),
        Shape::new(Some(4), 1, None, 2, 1),
        &command,
    );
}

fn topology_test(name: &str, llcs: u32, shape: vmtest::failure::Result<Shape>) {
    let command = this_program(&[TOPOLOGY, INTERRUPTS]);
    let llcs = llcs.to_string();
    let command = command.env(guest::topology::LLCS, &llcs).unwrap();
    passes("6.18", name, shape, &command);
}

/// Runs these guest tests on a kernel that was booted with these arguments.
fn passes_with(kernel: &str, name: &str, append: &str, tests: &str) {
    let machine = Machine {
        clock: Clock::Counted,
        append: append.to_owned(),
        limit: LIMIT,
        ..Machine::default()
    };
    let outcome = boot(kernel, &machine, &this_program(&[tests]))
        .finish(&mut show_as(name))
        .unwrap();
    assert_eq!(outcome.code, 0);
}

/// Boots in counted time, so that a bound in the guest's clock means the same on a busy host; fails
/// if the command does; its output.
fn passes(
    kernel: &str,
    name: &str,
    shape: vmtest::failure::Result<Shape>,
    command: &GuestCommand,
) -> String {
    let machine = Machine {
        clock: Clock::Counted,
        shape: shape.unwrap(),
        limit: LIMIT,
        // A kernel that warns or hangs says so, and ends the test.
        append: "loglevel=5 hung_task_panic=1".to_owned(),
        ..Machine::default()
    };
    let outcome = boot(kernel, &machine, command)
        .finish(&mut show_as(name))
        .unwrap();
    assert_eq!(
        outcome.code, 0,
        "guest tests failed on {name}; their output is above"
    );
    outcome.output
}

fn this_program(more: &[&str]) -> GuestCommand {
    let program = env::current_exe().unwrap().display().to_string();
    let args = ["--ignored", "--test-threads=1", "--nocapture"];
    GuestCommand::new([program.as_str()].iter().chain(&args).chain(more).copied())
}

fn boot(kernel: &str, machine: &Machine, command: &GuestCommand) -> Vm {
    let kernel = Kernel::ensure(kernel).unwrap_or_else(|failure| panic!("{failure}"));
    Vm::boot(&kernel, machine, command).unwrap_or_else(|failure| panic!("{failure}"))
}

/// Shows guest output at once (not captured by the test runner), each line marked with its VM and
/// the host's seconds since the boot.
fn show_as(name: &str) -> impl FnMut(&[u8]) {
    let name = name.to_owned();
    let mut line = Vec::new();
    let begin = Instant::now();
    move |chunk| {
        for byte in chunk {
            line.push(*byte);
            if *byte == b'\n' {
                let text = String::from_utf8_lossy(&line);
                let _ = write!(stderr(), "[{name} {:3}s] {text}", begin.elapsed().as_secs());
                line.clear();
            }
        }
    }
}
