//! What the kernel says about sched_ext.

use std::fs;

const STATE: &str = "/sys/kernel/sched_ext/state";
const OPS: &str = "/sys/kernel/sched_ext/root/ops";
const SEQUENCE: &str = "/sys/kernel/sched_ext/enable_seq";

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}

/// State of sched_ext ("enabled", "disabled" ...); `None` on a kernel without it.
#[must_use]
pub fn state() -> Option<String> {
    read(STATE)
}

/// Name of the attached scheduler, empty for the kernel's own.
#[must_use]
pub fn name() -> String {
    if state().as_deref() == Some("enabled") {
        read(OPS).unwrap_or_default()
    } else {
        String::new()
    }
}

/// How many times a scheduler was attached since boot.
#[must_use]
pub fn enable_count() -> Option<u64> {
    read(SEQUENCE)?.parse().ok()
}
