//! Goal: wrong use of `vmrun` and `vmprofile` is refused with its own exit code and one clear line, before
//! anything is booted. Method: run them with the wrong flags.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::process::Command;

/// Exit code and stderr of `vmrun` with these arguments.
fn vmrun(args: &[&str]) -> (Option<i32>, String) {
    refusal_of(env!("CARGO_BIN_EXE_vmrun"), args)
}

fn refusal_of(program: &str, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(program)
        .args(args)
        .env("SCX_GAMER_CACHE", env!("CARGO_TARGET_TMPDIR"))
        .env_remove("KERNEL")
        .output()
        .unwrap();
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn wrong_flags_are_refused_with_code_2() {
    let cases: [(&[&str], &str); 8] = [
        (&[], "Usage"),
        (&["run"], "COMMAND"),
        (&["run", "--nonsense", "--", "true"], "--nonsense"),
        (
            &["run", "--cpus", "3", "--sockets", "2", "--", "true"],
            "3 CPUs cannot be 2 socket(s)",
        ),
        (&["run", "--mem", "1", "--", "true"], "--mem"),
        (&["run", "--clock", "wrong", "--", "true"], "counted"),
        (
            &["run", "--env", "NOVALUE", "--", "true"],
            "give NAME=VALUE",
        ),
        (
            &["run", "--share", "/nowhere", "--", "true"],
            "--share /nowhere",
        ),
    ];
    for (args, part) in cases {
        let (code, text) = vmrun(args);
        assert_eq!(code, Some(2), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    }
}

#[test]
fn missing_kernel_is_refused_with_code_96_and_what_to_give() {
    let (code, text) = vmrun(&["run", "--kernel", "/nowhere/vmlinuz", "--", "true"]);
    assert_eq!(code, Some(96), "{text}");
    assert!(
        text.contains("/nowhere/vmlinuz does not exist; give KERNEL="),
        "{text}"
    );
}

#[test]
fn a_profile_of_nothing_or_nobody_is_refused() {
    let cases: [(&[&str], i32, &str); 4] = [
        (&[], 2, "COMMAND"),
        (&["--millions", "0", "--", "true"], 2, "--millions"),
        (&["--cpus", "0", "--", "true"], 2, "CPU"),
        (
            &["--kernel", "/nowhere/vmlinuz", "--", "true"],
            96,
            "/nowhere/vmlinuz",
        ),
    ];
    for (args, exit, part) in cases {
        let (code, text) = refusal_of(env!("CARGO_BIN_EXE_vmprofile"), args);
        assert_eq!(code, Some(exit), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    }
}
