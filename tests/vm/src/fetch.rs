//! Downloads a stock Debian kernel into the cache, by the private apt.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::apt::{PrivateApt, apt_is_here, tool};
use crate::cache::FetchLock;
use crate::failure::{Failure, Result};
use crate::kernel::{has_sched_ext, newest, newest_cached};

/// Suites that hold kernels with sched_ext, oldest first.
const SUITES: [&str; 4] = ["trixie", "trixie-backports", "sid", "experimental"];
/// A kernel's package names before the release: one package up to 6.18, three from 7.x on
/// (`linux-binary`: image, `linux-modules`, `linux-base`: configuration).
const PACKAGES: [&str; 4] = ["linux-image", "linux-binary", "linux-modules", "linux-base"];
/// End of the releases for this processor, as the archive names them.
const FLAVOUR: &str = "-amd64";

/// Puts the newest kernel that `word` means into `cache` and returns its release. Safe beside other
/// callers: one fetches, the others wait and find it there. With `update` the archive is asked even
/// if the cache has one that fits.
///
/// # Errors
/// No Debian archive is configured, it has no such kernel, or a download fails.
pub(crate) fn fetch(cache: &Path, word: &str, update: bool) -> Result<String> {
    if !apt_is_here() {
        return Err(Failure::Missing(format!(
            "no apt to fetch kernel {word} with; give KERNEL=PATH or KERNEL=running"
        )));
    }
    let _lock = FetchLock::take(cache, "a kernel")?;
    // Whoever held the lock before may have brought it.
    if let (false, Some(release)) = (update, newest_cached(cache, word)) {
        return Ok(release);
    }
    let apt = PrivateApt::new(cache, &SUITES)?;
    let names = apt.run("apt-cache", &["pkgnames", "linux-"])?;
    let names: BTreeSet<&str> = names.lines().collect();
    let releases = releases(&names);
    let release = newest(&releases, word).ok_or_else(|| {
        let few = releases
            .iter()
            .rev()
            .take(12)
            .cloned()
            .collect::<Vec<_>>()
            .join(" ");
        Failure::Missing(format!("the archive has no kernel {word}; it has: {few}"))
    })?;
    if !cache.join(&release).is_dir() {
        install(&apt, &release, &names, cache)?;
    }
    Ok(release)
}

/// Stock releases among package names, without their flavours for clouds, real time or debugging.
fn releases(names: &BTreeSet<&str>) -> Vec<String> {
    let of_image = |name: &&str| {
        let release = name
            .strip_prefix("linux-image-")
            .or(name.strip_prefix("linux-binary-"))?;
        let version = release.strip_suffix(FLAVOUR)?;
        let stock = version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains('-');
        stock.then(|| release.to_owned())
    };
    let unique: BTreeSet<String> = names.iter().filter_map(of_image).collect();
    unique.into_iter().collect()
}

/// Downloads, unpacks and indexes `release`; it appears in `cache` complete or not at all.
fn install(apt: &PrivateApt, release: &str, names: &BTreeSet<&str>, cache: &Path) -> Result<()> {
    let root = apt.dir();
    let unpacked = root.join("unpacked");
    for package in PACKAGES.map(|kind| format!("{kind}-{release}")) {
        if !names.contains(package.as_str()) {
            continue;
        }
        apt.unpack(&package, &[], &unpacked)?;
    }
    let stage = root.join("stage");
    let tree = stage.join("lib/modules").join(release);
    let lay_out = || -> anyhow::Result<()> {
        fs::create_dir_all(stage.join("lib/modules"))?;
        let modules =
            ["usr/lib/modules", "lib/modules"].map(|dir| unpacked.join(dir).join(release));
        let modules = modules
            .iter()
            .find(|dir| dir.is_dir())
            .context("no modules in the packages")?;
        fs::rename(modules, &tree)?;
        for (file, name) in [
            ("vmlinuz", "vmlinuz"),
            ("config", "config"),
            ("System.map", "System.map"),
        ] {
            let from = unpacked.join("boot").join(format!("{file}-{release}"));
            if from.exists() {
                fs::rename(from, tree.join(name))?;
            }
        }
        let config =
            fs::read_to_string(tree.join("config")).context("no config in the packages")?;
        anyhow::ensure!(tree.join("vmlinuz").is_file(), "no image in the packages");
        anyhow::ensure!(
            has_sched_ext(&config),
            "{release} is built without sched_ext"
        );
        Ok(())
    };
    lay_out().with_context(|| format!("kernel {release}"))?;
    tool(Command::new("depmod").arg("-b").arg(&stage).arg(release))?;
    let done = cache.join(release);
    fs::rename(&tree, &done).map_err(|error| Failure::at(&done, error))?;
    eprintln!("vm: kernel {release} is in {}", cache.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::releases;

    #[test]
    fn only_stock_releases_count() {
        let names = BTreeSet::from([
            "linux-image-6.18.15+deb13-amd64",
            "linux-image-6.18.15+deb13-cloud-amd64",
            "linux-image-6.18.15+deb13-amd64-dbg",
            "linux-image-6.18.15+deb13-rt-amd64",
            "linux-image-amd64",
            "linux-binary-7.3.4+deb13-amd64",
            "linux-headers-7.3.5+deb13-amd64",
        ]);
        assert_eq!(
            releases(&names),
            ["6.18.15+deb13-amd64", "7.3.4+deb13-amd64"]
        );
    }
}
