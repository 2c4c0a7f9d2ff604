//! Downloads a stock Debian kernel with a private apt: own source list, own state, own cache. The
//! archive's address comes from this machine's apt configuration, and apt checks every signature
//! and checksum. Nothing that belongs to the machine's apt is written.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};

use crate::failure::{Failure, Result};
use crate::kernel::{has_sched_ext, newest, newest_cached};

/// Suites that hold kernels with sched_ext, oldest first.
const SUITES: [&str; 4] = ["trixie", "trixie-backports", "sid", "experimental"];
/// A kernel's package names before the release: one package up to 6.18, three from 7.x on
/// (`linux-binary`: image, `linux-modules`, `linux-base`: configuration).
const PACKAGES: [&str; 4] = ["linux-image", "linux-binary", "linux-modules", "linux-base"];
/// End of the releases for this processor, as the archive names them.
const FLAVOUR: &str = "-amd64";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Whether this machine has apt's download tool.
pub(crate) fn apt_is_here() -> bool {
    Path::new("/usr/bin/apt-get").exists()
}

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
    let lock_path = cache.join(".lock");
    let lock = File::create(&lock_path).map_err(|error| Failure::at(&lock_path, error))?;
    if lock.try_lock().is_err() {
        eprintln!("vm: another process is fetching a kernel; waiting for it");
        lock.lock()
            .map_err(|error| Failure::at(&lock_path, error))?;
    }
    // Whoever held the lock before may have brought it.
    if let (false, Some(release)) = (update, newest_cached(cache, word)) {
        return Ok(release);
    }
    let apt = PrivateApt::new(cache)?;
    eprintln!("vm: reading the archive's package lists");
    apt.run("apt-get", &["update", "-qq"])?;
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
        apt.install_kernel(&release, &names, cache)?;
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

/// An apt that knows only the Debian suites above and only directories of its own.
struct PrivateApt {
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl PrivateApt {
    fn new(cache: &Path) -> Result<Self> {
        let archive = debian_archive(Path::new("/etc/apt")).ok_or_else(|| {
            Failure::Missing(
                "this machine's apt knows no Debian archive to fetch a kernel from; give KERNEL=PATH \
                 or KERNEL=running"
                    .into(),
            )
        })?;
        let dir = tempfile::Builder::new()
            .prefix(".fetch-")
            .tempdir_in(cache)
            .map_err(|error| Failure::at(cache, error))?;
        let make = || -> anyhow::Result<PathBuf> {
            let root = dir.path();
            fs::create_dir_all(root.join("lists/partial"))?;
            fs::create_dir_all(root.join("cache/archives/partial"))?;
            let signed = if Path::new(KEYRING).exists() {
                format!("[signed-by={KEYRING}] ")
            } else {
                String::new()
            };
            let sources: String = SUITES
                .iter()
                .map(|suite| format!("deb {signed}{archive} {suite} main\n"))
                .collect();
            fs::write(root.join("sources.list"), sources)?;
            let config = root.join("apt.conf");
            fs::write(&config, apt_config(root))?;
            Ok(config)
        };
        let config = make().with_context(|| format!("private apt in {}", dir.path().display()))?;
        Ok(Self { dir, config })
    }

    fn run(&self, tool: &str, args: &[&str]) -> Result<String> {
        let output = Command::new(tool)
            .arg("-c")
            .arg(&self.config)
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .output()
            .with_context(|| tool.to_owned())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(anyhow!("{tool} {}: {text}", args.join(" ")).into())
    }

    /// Downloads, unpacks and indexes `release`; it appears in `cache` complete or not at all.
    fn install_kernel(&self, release: &str, names: &BTreeSet<&str>, cache: &Path) -> Result<()> {
        let root = self.dir.path();
        let unpacked = root.join("unpacked");
        for package in PACKAGES.map(|kind| format!("{kind}-{release}")) {
            if !names.contains(package.as_str()) {
                continue;
            }
            eprintln!("vm: downloading {package}");
            self.run("apt-get", &["download", "-qq", &package])?;
            let archive = downloaded(root, &package)?;
            tool(
                Command::new("dpkg-deb")
                    .arg("-x")
                    .arg(&archive)
                    .arg(&unpacked),
            )?;
            fs::remove_file(&archive).map_err(|error| Failure::at(&archive, error))?;
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
}

/// Runs a tool, with what it said as the error.
fn tool(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("{name} (is it installed?)"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(anyhow!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

/// The package file that apt put into `dir`; its name carries a version that we do not know.
fn downloaded(dir: &Path, package: &str) -> Result<PathBuf> {
    let start = format!("{package}_");
    let mut entries = fs::read_dir(dir)
        .map_err(|error| Failure::at(dir, error))?
        .flatten();
    let found = entries.find(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with(&start) && name.ends_with(".deb")
    });
    found
        .map(|entry| entry.path())
        .ok_or_else(|| anyhow!("apt left no file for {package}").into())
}

/// Read after the machine's own configuration, so that proxies stay and its hooks do not run.
fn apt_config(root: &Path) -> String {
    let root = root.display();
    format!(
        "Dir::Etc::SourceList \"{root}/sources.list\";\n\
         Dir::Etc::SourceParts \"/dev/null\";\n\
         Dir::Etc::Preferences \"/dev/null\";\n\
         Dir::Etc::PreferencesParts \"/dev/null\";\n\
         Dir::State::Lists \"{root}/lists\";\n\
         Dir::Cache \"{root}/cache\";\n\
         APT::Architecture \"amd64\";\n\
         APT::Architectures {{ \"amd64\"; }};\n\
         APT::Sandbox::User \"root\";\n\
         Acquire::Languages \"none\";\n\
         Acquire::Retries \"3\";\n\
         #clear APT::Update::Pre-Invoke;\n\
         #clear APT::Update::Post-Invoke;\n\
         #clear APT::Update::Post-Invoke-Success;\n"
    )
}

/// Address of the Debian archive that the configuration below `etc_apt` uses.
fn debian_archive(etc_apt: &Path) -> Option<String> {
    let parts = fs::read_dir(etc_apt.join("sources.list.d"))
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<PathBuf> = parts.map(|entry| entry.path()).collect();
    files.sort();
    files.insert(0, etc_apt.join("sources.list"));
    files.iter().find_map(|file| {
        let text = fs::read_to_string(file).ok()?;
        match file.extension()?.to_str()? {
            "sources" => archive_in_stanzas(&text),
            "list" => archive_in_lines(&text),
            _ => None,
        }
    })
}

/// deb822 style: `URIs:` fields.
fn archive_in_stanzas(text: &str) -> Option<String> {
    let fields = text.lines().filter_map(|line| line.strip_prefix("URIs:"));
    fields
        .flat_map(str::split_whitespace)
        .find(|uri| is_archive(uri))
        .map(str::to_owned)
}

/// One-line style: `deb [options] URI suite component...`.
fn archive_in_lines(text: &str) -> Option<String> {
    let entries = text.lines().filter(|line| line.starts_with("deb "));
    entries
        .flat_map(str::split_whitespace)
        .find(|word| is_archive(word))
        .map(str::to_owned)
}

/// The main archive ends in `/debian`; the security archive and other vendors' do not.
fn is_archive(word: &str) -> bool {
    word.contains(':') && word.trim_end_matches('/').ends_with("/debian")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::{apt_config, debian_archive, releases};

    #[test]
    fn archive_address_is_found_in_both_styles_and_never_the_security_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(debian_archive(dir.path()), None);
        let parts = dir.path().join("sources.list.d");
        fs::create_dir(&parts).unwrap();
        fs::write(
            parts.join("a.list.disabled"),
            "deb http://no.example/debian x main\n",
        )
        .unwrap();
        fs::write(
            parts.join("b.sources"),
            "Types: deb\nURIs: http://s.example/debian-security\n\nTypes: deb\nURIs: http://m.example/debian/\n",
        )
        .unwrap();
        assert_eq!(
            debian_archive(dir.path()).unwrap(),
            "http://m.example/debian/"
        );
        let line = "# deb http://no.example/debian x\ndeb [arch=amd64 signed-by=/k] http://l.example/debian x main\n";
        fs::write(dir.path().join("sources.list"), line).unwrap();
        assert_eq!(
            debian_archive(dir.path()).unwrap(),
            "http://l.example/debian"
        );
    }

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

    #[test]
    fn private_apt_writes_only_below_its_own_directory() {
        let config = apt_config(std::path::Path::new("/private"));
        for key in ["Dir::State::Lists", "Dir::Cache", "Dir::Etc::SourceList"] {
            assert!(config.contains(&format!("{key} \"/private/")), "{key}");
        }
        assert!(config.contains("#clear APT::Update::Post-Invoke;"));
    }
}
