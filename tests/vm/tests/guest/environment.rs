//! Goal: the guest is what every other test relies on. Method: look at its files and devices.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::process::Command;

use super::require_vm;
use crate::support::{built, start};

#[test]
#[ignore = "runs inside the VM"]
fn kernel_has_sched_ext() {
    require_vm();
    let state = fs::read_to_string("/sys/kernel/sched_ext/state").unwrap();
    assert_eq!(state.trim(), "disabled");
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    println!("kernel {}", release.trim());
    let config = fs::read_to_string(format!("/boot/config-{}", release.trim())).unwrap();
    assert!(config.contains("CONFIG_SCHED_CLASS_EXT=y"));
    assert!(fs::metadata("/sys/kernel/btf/vmlinux").is_ok());
}

#[test]
#[ignore = "runs inside the VM"]
fn uinput_and_drm_nodes_exist() {
    require_vm();
    for node in [
        "/dev/uinput",
        "/dev/dri/card0",
        "/dev/dri/renderD128",
        "/dev/snd/pcmC0D0p",
    ] {
        let kind = fs::metadata(node)
            .unwrap_or_else(|error| panic!("{node}: {error}"))
            .file_type();
        assert!(kind.is_char_device(), "{node}");
    }
}

#[test]
#[ignore = "runs inside the VM"]
fn topology_is_printed() {
    require_vm();
    let output = Command::new("lscpu").arg("--extended").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap();
    assert_eq!(online.trim(), "0-1");
}

#[test]
#[ignore = "runs inside the VM"]
fn programs_of_this_build_start_here() {
    require_vm();
    for name in ["scx_gamer", "gamesim", "waittrace"] {
        drop(start(Command::new(built(name)).arg("--version")));
    }
}
