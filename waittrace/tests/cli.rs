//! What the program says to bad input; needs no privilege.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// A user without any privilege, so that the tests say the same to root.
const NOBODY: u32 = 65534;

fn waittrace(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_waittrace"));
    command.args(args);
    if nix::unistd::geteuid().is_root() {
        command.uid(NOBODY);
    }
    let output = command.output().expect("the program was built");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn without_root_it_says_so_and_runs_nothing() {
    let (code, stderr) = waittrace(&["--", "touch", "/proc/self/never"]);
    assert_eq!(code, Some(125));
    assert_eq!(
        stderr,
        "waittrace: tracing the scheduler needs root: run it with sudo\n"
    );
}

#[test]
fn a_wrong_command_line_is_code_2_and_names_the_option() {
    for (args, word) in [
        (&["--seconds", "0"][..], "--seconds"),
        (&["--json"], "--seconds"),
        (&["--bogus", "--", "ls"], "--bogus"),
    ] {
        let (code, stderr) = waittrace(args);
        assert_eq!(code, Some(2), "{args:?}");
        assert!(stderr.contains(word), "{args:?}: {stderr}");
    }
}

#[test]
fn a_report_file_that_cannot_be_written_is_named_before_anything_runs() {
    let (code, stderr) = waittrace(&["--out", "/nonexistent/report", "--seconds", "1"]);
    assert_eq!(code, Some(125));
    assert!(stderr.contains("/nonexistent/report"), "{stderr}");
}
