//! A private apt: own source list, own state, own cache. The archive's address comes from this
//! machine's apt configuration, and apt checks every signature and checksum. Nothing that belongs
//! to the machine's apt is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};

use crate::failure::{Failure, Result};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Whether this machine has apt's download tool.
pub(crate) fn apt_is_here() -> bool {
    Path::new("/usr/bin/apt-get").exists()
}

/// An apt that knows only some Debian suites and only directories of its own.
pub(crate) struct PrivateApt {
    dir: tempfile::TempDir,
    config: PathBuf,
}

impl PrivateApt {
    /// Start of the names of the private directories.
    pub(crate) const DIR_PREFIX: &str = ".fetch-";

    /// Makes one in a directory below `cache` and reads the package lists of `suites`.
    ///
    /// # Errors
    /// No Debian archive is configured here, or it cannot be reached.
    pub(crate) fn new(cache: &Path, suites: &[&str]) -> Result<Self> {
        let archive = debian_archive(Path::new("/etc/apt")).ok_or_else(|| {
            Failure::Missing("this machine's apt knows no Debian archive to fetch from".into())
        })?;
        let dir = tempfile::Builder::new()
            .prefix(Self::DIR_PREFIX)
            .tempdir_in(cache)
            .map_err(|error| Failure::at(cache, error))?;
        let make = || -> anyhow::Result<PathBuf> {
            let root = dir.path();
            fs::create_dir_all(root.join("lists/partial"))?;
            fs::create_dir_all(root.join("cache/archives/partial"))?;
            // What is installed here is no candidate.
            fs::write(root.join("status"), "")?;
            let signed = if Path::new(KEYRING).exists() {
                format!("[signed-by={KEYRING}] ")
            } else {
                String::new()
            };
            let sources: String = suites
                .iter()
                .map(|suite| format!("deb {signed}{archive} {suite} main\n"))
                .collect();
            fs::write(root.join("sources.list"), sources)?;
            let config = root.join("apt.conf");
            fs::write(&config, apt_config(root))?;
            Ok(config)
        };
        let config = make().with_context(|| format!("private apt in {}", dir.path().display()))?;
        let apt = Self { dir, config };
        eprintln!("vm: reading the archive's package lists");
        apt.run("apt-get", &["update", "-qq"])?;
        Ok(apt)
    }

    /// Directory for what is being made of the packages; goes with this value.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What one of apt's tools printed.
    pub(crate) fn run(&self, tool: &str, args: &[&str]) -> Result<String> {
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

    /// Downloads one package, with `options` for apt-get, and unpacks it into `to`.
    pub(crate) fn unpack(&self, package: &str, options: &[&str], to: &Path) -> Result<()> {
        eprintln!("vm: downloading {package}");
        let args = [options, &["download", "-qq", package]].concat();
        self.run("apt-get", &args)?;
        let archive = downloaded(self.dir(), package)?;
        tool(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(to))?;
        fs::remove_file(&archive).map_err(|error| Failure::at(&archive, error))
    }
}

/// Runs a tool, with what it said as the error.
pub(crate) fn tool(command: &mut Command) -> Result<()> {
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
         Dir::State::status \"{root}/status\";\n\
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
    use std::fs;

    use super::{apt_config, debian_archive};

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
    fn private_apt_writes_only_below_its_own_directory() {
        let config = apt_config(std::path::Path::new("/private"));
        for key in ["Dir::State::Lists", "Dir::Cache", "Dir::Etc::SourceList"] {
            assert!(config.contains(&format!("{key} \"/private/")), "{key}");
        }
        assert!(config.contains("#clear APT::Update::Post-Invoke;"));
    }
}
