//! Tests on real sched_ext kernels. This one program is both sides: its host tests boot the VM and
//! run the same program inside, where the ignored tests of `guest/` are the ones that run.
//!
//! One guest test by hand, after `make build` and `cargo test --no-run`:
//! `make vm CMD='target/debug/deps/vm-... --ignored --nocapture NAME'`.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod guest;
mod support;

use std::env;
use std::io::{Write, stderr};
use std::time::Duration;

use vmtest::failure::Failure;
use vmtest::guest::{GuestCommand, Vm};
use vmtest::kernel::Kernel;
use vmtest::machine::{Clock, Machine};
use vmtest::qmp::Input;

/// Guest tests that need someone outside; each has its own host test.
const OUTSIDE: &str = "guest::outside::";

#[test]
fn on_6_18() {
    all_guest_tests("6.18");
}

#[test]
fn on_newest_7() {
    all_guest_tests("7");
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

/// Runs every ignored test of this program in one boot. Counted time, so that a bound in the
/// guest's clock means the same on a busy host.
fn all_guest_tests(kernel: &str) {
    let machine = Machine {
        clock: Clock::Counted,
        limit: Duration::from_secs(1800),
        ..Machine::default()
    };
    let command = this_program(&["--skip", OUTSIDE]);
    let outcome = boot(kernel, &machine, &command)
        .finish(&mut show_as(kernel))
        .unwrap();
    assert_eq!(
        outcome.code, 0,
        "guest tests failed on {kernel}; their output is above"
    );
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

/// Shows guest output at once (not captured by the test runner), each line marked with its VM.
fn show_as(name: &str) -> impl FnMut(&[u8]) {
    let name = name.to_owned();
    let mut line = Vec::new();
    move |chunk| {
        for byte in chunk {
            line.push(*byte);
            if *byte == b'\n' {
                let _ = write!(stderr(), "[{name}] {}", String::from_utf8_lossy(&line));
                line.clear();
            }
        }
    }
}
