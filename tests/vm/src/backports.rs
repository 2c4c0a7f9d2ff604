//! Fetches QEMU from a Debian release's backports into the cache, by the private apt. Its libraries
//! are not fetched: those of the installed, older QEMU serve it, which is checked.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::anyhow;

use crate::apt::PrivateApt;
use crate::cache::FetchLock;
use crate::emulator::{Emulator, TRUSTED_MAJOR, newest_in};
use crate::failure::{Failure, Result};

/// The emulator, its loadable devices, its data, and its firmware.
const PACKAGES: [&str; 4] = [
    "qemu-system-x86",
    "qemu-system-common",
    "qemu-system-data",
    "seabios",
];

/// The code name of the Debian release that an os-release file names.
pub(crate) fn debian_suite(os_release: &str) -> Option<String> {
    let field = |name: &str| {
        let mut lines = os_release.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim_matches('"').to_owned())
    };
    if field("ID")? != "debian" {
        return None;
    }
    let plain =
        |name: &String| !name.is_empty() && name.chars().all(|c: char| c.is_ascii_alphanumeric());
    field("VERSION_CODENAME").filter(plain)
}

/// Whether the unpacked `emulator` can run here: new enough, and all libraries of it and of its
/// display devices are installed.
pub(crate) fn usable(emulator: &Emulator) -> std::result::Result<(), String> {
    let (_, modules) = emulator.env().unwrap_or_default();
    let mut files = vec![emulator.program().to_owned()];
    files.extend(
        ["hw-display-virtio-gpu.so", "hw-display-virtio-gpu-pci.so"].map(|name| modules.join(name)),
    );
    let output = Command::new("ldd").args(&files).output();
    let output = output.map_err(|error| format!("ldd: {error}"))?;
    let output = String::from_utf8_lossy(&output.stdout);
    let lost = missing_libraries(&output);
    if !lost.is_empty() {
        let lost = lost.join(" ");
        return Err(format!("it needs libraries that are not here: {lost}"));
    }
    match emulator.major()? {
        major if major >= TRUSTED_MAJOR => Ok(()),
        major => Err(format!(
            "its version is {major}, older than {TRUSTED_MAJOR}"
        )),
    }
}

/// Libraries that ldd did not find, each once.
fn missing_libraries(ldd: &str) -> Vec<&str> {
    let lines = ldd.lines().filter(|line| line.ends_with("=> not found"));
    let mut names: Vec<&str> = lines
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Puts QEMU from the backports of `suite` into `cache`, complete or not at all.
pub(crate) fn fetch(cache: &Path, suite: &str) -> Result<Emulator> {
    let _lock = FetchLock::take(cache, "QEMU")?;
    // Whoever held the lock before may have brought it.
    if let Some(emulator) = newest_in(cache).filter(|emulator| usable(emulator).is_ok()) {
        return Ok(emulator);
    }
    eprintln!("vm: the installed QEMU is older than {TRUSTED_MAJOR}; fetching a newer one");
    let backports = format!("{suite}-backports");
    let apt = PrivateApt::new(cache, &[suite, &backports])?;
    let target = ["-t", backports.as_str()];
    let root = apt.dir().join("unpacked");
    for package in PACKAGES {
        apt.unpack(package, &target, &root)?;
    }
    let emulator = Emulator::unpacked(&root);
    usable(&emulator).map_err(|why| Failure::Missing(format!("QEMU from {backports}: {why}")))?;
    let shown = apt.run(
        "apt-cache",
        &["-t", &backports, "show", "--no-all-versions", PACKAGES[0]],
    )?;
    let version = package_version(&shown)
        .ok_or_else(|| anyhow!("apt names no version of {}", PACKAGES[0]))?;
    let done = cache.join(version);
    fs::rename(&root, &done).map_err(|error| Failure::at(&done, error))?;
    eprintln!("vm: QEMU {version} is in {}", cache.display());
    Ok(Emulator::unpacked(&done))
}

/// A package's version without its epoch, as a directory can be named.
fn package_version(shown: &str) -> Option<&str> {
    let version = shown
        .lines()
        .find_map(|line| line.strip_prefix("Version: "))?;
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let plain = |c: char| c.is_ascii_alphanumeric() || ".+-~".contains(c);
    let fine = version.starts_with(|c: char| c.is_ascii_digit()) && version.chars().all(plain);
    fine.then_some(version)
}

#[cfg(test)]
mod tests {
    use super::{debian_suite, missing_libraries, package_version};

    #[test]
    fn only_debian_itself_names_a_suite() {
        let debian = "NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=bookworm\nID=debian\n";
        assert_eq!(debian_suite(debian).unwrap(), "bookworm");
        let quoted = "ID=\"debian\"\nVERSION_CODENAME=\"trixie\"\n";
        assert_eq!(debian_suite(quoted).unwrap(), "trixie");
        for other in [
            "",
            "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n",
            "ID=debian\n",
            "ID=debian\nVERSION_CODENAME=../x\n",
        ] {
            assert_eq!(debian_suite(other), None, "{other:?}");
        }
    }

    #[test]
    fn each_missing_library_is_named_once() {
        let ldd = "/q:\n\tliburing.so.2 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x1)\n\
                   /m.so:\n\tliburing.so.2 => not found\n\tlibaio.so.1 => not found\n";
        assert_eq!(missing_libraries(ldd), ["libaio.so.1", "liburing.so.2"]);
        assert!(missing_libraries("\tstatically linked\n").is_empty());
    }

    #[test]
    fn version_becomes_a_plain_directory_name() {
        let shown = "Package: x\nVersion: 1:10.0.2+ds-2+deb13u1~bpo12+1\nX: y\n";
        assert_eq!(
            package_version(shown).unwrap(),
            "10.0.2+ds-2+deb13u1~bpo12+1"
        );
        assert_eq!(package_version("Version: ../x\n"), None);
        assert_eq!(package_version(""), None);
    }
}
