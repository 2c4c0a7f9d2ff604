//! How many loops of work this machine does in a microsecond, measured once per boot.

use crate::clock::now_ns;
use crate::work::burn;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;

const BATCHES: u32 = 20;
const BATCH_LOOPS: u64 = 1_000_000;
const NAME: &str = "gamesim.calibration.json";

#[derive(Debug, Serialize, Deserialize)]
struct Calibration {
    boot_id: String,
    loops_per_us: u64,
}

/// `gamesim calibrate`.
///
/// # Errors
/// When the result cannot be kept.
pub fn main() -> Result<u8> {
    let loops_per_us = measure();
    let path = save(loops_per_us)?;
    println!(
        "{loops_per_us} loops/us, kept in {} until the next boot",
        path.display()
    );
    Ok(0)
}

/// The speed to use: the given one, else this boot's, else measured now and kept.
/// The text says when it could not be kept.
#[must_use]
pub fn obtain(given: Option<u64>) -> (u64, Option<String>) {
    if let Some(value) = given.or_else(load) {
        return (value, None);
    }
    let measured = measure();
    let note = save(measured)
        .err()
        .map(|error| format!("calibration not kept: {error:#}"));
    (measured, note)
}

/// The best of several batches: whatever disturbs a batch only makes it slower.
fn measure() -> u64 {
    let mut best_ns = u64::MAX;
    for _ in 0..BATCHES {
        let start = now_ns();
        burn(BATCH_LOOPS);
        best_ns = best_ns.min(now_ns() - start);
    }
    (BATCH_LOOPS * 1000 / best_ns.max(1)).max(1)
}

fn path() -> Result<PathBuf> {
    let root = nix::unistd::geteuid().is_root();
    let dir = match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => PathBuf::from(dir),
        None if root => PathBuf::from("/run"),
        None => anyhow::bail!("XDG_RUNTIME_DIR is not set"),
    };
    Ok(dir.join(NAME))
}

fn boot_id() -> Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

/// This boot's value, if there is one in a file that nobody else could have written.
fn load() -> Option<u64> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path().ok()?)
        .ok()?;
    let meta = file.metadata().ok()?;
    let ours = meta.uid() == nix::unistd::geteuid().as_raw();
    if !meta.is_file() || !ours || meta.mode() & 0o022 != 0 {
        return None;
    }
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    let calibration: Calibration = serde_json::from_str(&text).ok()?;
    let current = boot_id().ok()? == calibration.boot_id;
    (current && calibration.loops_per_us > 0).then_some(calibration.loops_per_us)
}

/// Writes a new private file and moves it into place.
fn save(loops_per_us: u64) -> Result<PathBuf> {
    let path = path()?;
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let text = serde_json::to_string(&Calibration {
        boot_id: boot_id()?,
        loops_per_us,
    })?;
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&temporary)
        .with_context(|| format!("cannot create {}", temporary.display()))?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| std::fs::rename(&temporary, &path));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&temporary);
        return Err(error).with_context(|| format!("cannot write {}", path.display()));
    }
    Ok(path)
}
