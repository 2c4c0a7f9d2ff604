//! The initramfs: busybox, the modules that the guest needs, and the scripts that lead from there
//! to the command. Written as a plain `newc` cpio archive.

use std::fs;
use std::path::Path;

use crate::command::GuestCommand;
use crate::failure::{Failure, Result};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::modules::{ModuleTree, read_module};

/// What the harness itself needs: the root file system and the two channels.
const HARNESS_MODULES: [&str; 5] = [
    "virtio_pci",
    "virtio_console",
    "9pnet_virtio",
    "9p",
    "overlay",
];
const BUSYBOX: [&str; 3] = [
    "/bin/busybox",
    "/usr/bin/busybox",
    "/usr/bin/busybox-static",
];

/// The initramfs for one run. `nonce` marks this run's result.
///
/// # Errors
/// No static busybox here, or a module or file cannot be had.
pub(crate) fn build(
    kernel: &Kernel,
    machine: &Machine,
    command: &GuestCommand,
    nonce: &str,
) -> Result<Vec<u8>> {
    let mut archive = Cpio::default();
    for dir in ["bin", "vm", "vm/modules", "dev"] {
        archive.directory(dir);
    }
    archive.file("bin/busybox", 0o755, &busybox()?);
    archive.file("init", 0o755, include_bytes!("guest_scripts/init.sh"));
    archive.file("vm/run.sh", 0o644, include_bytes!("guest_scripts/run.sh"));
    archive.file(
        "vm/vmrun.service",
        0o644,
        include_bytes!("guest_scripts/vmrun.service"),
    );
    archive.file(
        "vm/settings",
        0o644,
        settings(kernel, machine, nonce).as_bytes(),
    );
    archive.file("vm/command", 0o644, command.script().as_bytes());
    let config = fs::read(&kernel.config).map_err(|error| Failure::at(&kernel.config, error))?;
    archive.file("vm/config", 0o644, &config);

    let tree = ModuleTree::read(&kernel.modules)?;
    let more = machine.modules.iter().map(String::as_str);
    let wanted = HARNESS_MODULES
        .into_iter()
        .chain(Machine::MODULES)
        .chain(more);
    for (place, file) in tree.load_order(wanted)?.iter().enumerate() {
        // The number keeps the load order in the shell's sorted listing.
        archive.file(
            &format!("vm/modules/{place:03}.ko"),
            0o644,
            &read_module(file)?,
        );
    }
    Ok(archive.finish())
}

fn settings(kernel: &Kernel, machine: &Machine, nonce: &str) -> String {
    let flag = |on: bool| if on { "1" } else { "" };
    format!(
        "RELEASE={}\nNONCE={nonce}\nSYSTEMD={}\nSHARE={}\n",
        kernel.release,
        flag(machine.systemd),
        flag(machine.share.is_some())
    )
}

/// A busybox that needs no library: the initramfs has none.
fn busybox() -> Result<Vec<u8>> {
    let images = BUSYBOX
        .iter()
        .filter_map(|path| fs::read(Path::new(path)).ok());
    images
        .into_iter()
        .find(|image| is_static(image))
        .ok_or_else(|| {
            Failure::Missing(
                "no static busybox here; install busybox-static (or run: make deps)".into(),
            )
        })
}

/// A static program names no dynamic loader.
fn is_static(image: &[u8]) -> bool {
    image.starts_with(b"\x7fELF")
        && !image
            .windows(10)
            .take(4096)
            .any(|part| part == b"/ld-linux-")
}

/// Writer of the `newc` format that the kernel unpacks.
#[derive(Default)]
struct Cpio {
    bytes: Vec<u8>,
    inode: u32,
}

impl Cpio {
    fn directory(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn file(&mut self, name: &str, permissions: u32, content: &[u8]) {
        self.entry(name, 0o100_000 | permissions, content);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.inode += 1;
        // Magic; then inode, mode, uid, gid, links, mtime, size, two device pairs, name length
        // with its NUL, and a checksum that this variant leaves zero.
        let header = format!(
            "070701{:08x}{mode:08x}{:08x}{:08x}{:08x}{:08x}{:08x}{}{:08x}{:08x}",
            self.inode,
            0,
            0,
            1,
            0,
            content.len(),
            "0".repeat(32),
            name.len() + 1,
            0
        );
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(content);
        self.pad();
    }

    fn pad(&mut self) {
        let aligned = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(aligned, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Cpio, is_static};

    #[test]
    fn archive_entries_are_aligned_and_end_with_the_trailer() {
        let mut archive = Cpio::default();
        archive.directory("bin");
        archive.file("bin/x", 0o755, b"12345");
        let bytes = archive.finish();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let heads: Vec<usize> = text.match_indices("070701").map(|(at, _)| at).collect();
        assert_eq!(heads.len(), 3);
        assert!(heads.iter().all(|at| at % 4 == 0));
        assert_eq!(
            &text[heads[1] + 54..heads[1] + 62],
            "00000005",
            "file size field"
        );
        assert!(text.contains("TRAILER!!!"));
    }

    #[test]
    fn a_program_with_a_loader_is_not_static() {
        assert!(is_static(b"\x7fELF rest of it"));
        assert!(!is_static(b"\x7fELF /lib64/ld-linux-x86-64.so.2"));
        assert!(!is_static(b"#!/bin/sh"));
    }
}
