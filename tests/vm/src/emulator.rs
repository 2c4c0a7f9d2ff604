//! Which QEMU to run. Before version 9, counted time starves a CPU for seconds that does device
//! I/O while another has frequent timers, so a newer one from the distribution's backports is put
//! into the cache where the installed one is older.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use crate::apt::apt_is_here;
use crate::backports::{debian_suite, fetch, usable};
use crate::cache;
use crate::failure::{Failure, Result};
use crate::kernel::compare;

const PROGRAM: &str = "qemu-system-x86_64";
/// First major version whose counted time treats all CPUs alike.
pub(crate) const TRUSTED_MAJOR: u32 = 9;
/// Where an unpacked QEMU has its data and firmware.
const DATA_DIRS: [&str; 2] = ["usr/share/qemu", "usr/share/seabios"];
const MODULE_DIR: &str = "usr/lib/x86_64-linux-gnu/qemu";

/// A QEMU and where its parts are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Emulator {
    program: PathBuf,
    /// Root of an unpacked one; `None` for one that finds its parts by itself.
    unpacked: Option<PathBuf>,
}

impl Emulator {
    /// The one to use: `$QEMU`, an installed one of version 9 or later, the cached one, one fetched
    /// now, and with a warning an older installed one. Found once per process.
    ///
    /// # Errors
    /// There is none; the text says what to install.
    pub fn find() -> Result<Self> {
        static FOUND: Mutex<Option<Emulator>> = Mutex::new(None);
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(emulator) = found.as_ref() {
            return Ok(emulator.clone());
        }
        let named = std::env::var_os("QEMU").filter(|name| !name.is_empty());
        let named = named.map(PathBuf::from);
        if let Some(program) = &named {
            let runs = Emulator::at(program).major();
            runs.map_err(|why| Failure::Missing(format!("QEMU={}: {why}", program.display())))?;
        }
        let emulator = choose(named, &mut Machine)?;
        Ok(found.insert(emulator).clone())
    }

    /// A program that finds its data and devices by itself.
    pub(crate) fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            unpacked: None,
        }
    }

    pub(crate) fn unpacked(root: &Path) -> Self {
        Self {
            program: root.join("usr/bin").join(PROGRAM),
            unpacked: Some(root.to_owned()),
        }
    }

    /// The program to start.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// Arguments that must come before all others.
    pub(crate) fn args(&self) -> Vec<String> {
        let Some(root) = &self.unpacked else {
            return Vec::new();
        };
        let dirs = DATA_DIRS.map(|dir| ["-L".to_owned(), root.join(dir).display().to_string()]);
        dirs.concat()
    }

    /// A variable that must be in its environment.
    pub(crate) fn env(&self) -> Option<(&'static str, PathBuf)> {
        let root = self.unpacked.as_ref()?;
        Some(("QEMU_MODULE_DIR", root.join(MODULE_DIR)))
    }

    /// Its major version, or why it does not run.
    pub(crate) fn major(&self) -> std::result::Result<u32, String> {
        let output = Command::new(&self.program)
            .arg("--version")
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        // A library that is not here makes the loader say so.
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        parse_major(&text).ok_or(complaint)
    }
}

/// Major version in what `--version` prints.
fn parse_major(text: &str) -> Option<u32> {
    let version = text.strip_prefix("QEMU emulator version ")?;
    version.split(['.', ' ', '\n']).next()?.parse().ok()
}

/// What [`choose`] asks, so that its order can be tested without any QEMU.
trait Sources {
    /// Major version of the installed one, if there is one.
    fn installed(&mut self) -> Option<u32>;
    /// A complete one in the cache that runs here.
    fn cached(&mut self) -> Option<Emulator>;
    /// Brings one into the cache.
    fn fetch(&mut self) -> Result<Emulator>;
}

fn choose(named: Option<PathBuf>, sources: &mut impl Sources) -> Result<Emulator> {
    if let Some(program) = named {
        return Ok(Emulator::at(program));
    }
    let installed = sources.installed();
    if installed.is_some_and(|major| major >= TRUSTED_MAJOR) {
        return Ok(Emulator::at(PROGRAM));
    }
    if let Some(cached) = sources.cached() {
        return Ok(cached);
    }
    let Some(major) = installed else {
        return Err(Failure::Missing(format!(
            "no {PROGRAM} here; install qemu-system-x86 (or run: make deps)"
        )));
    };
    sources.fetch().or_else(|failure| {
        eprintln!(
            "vm: warning: counted time is not trustworthy with the installed QEMU {major}, and no newer \
             one could be had: {failure}"
        );
        Ok(Emulator::at(PROGRAM))
    })
}

/// This machine.
struct Machine;

impl Sources for Machine {
    fn installed(&mut self) -> Option<u32> {
        Emulator::at(PROGRAM).major().ok()
    }

    fn cached(&mut self) -> Option<Emulator> {
        let emulator = newest_in(&cache::dir("qemu").ok()?)?;
        match usable(&emulator) {
            Ok(()) => Some(emulator),
            Err(why) => {
                eprintln!("vm: the cached QEMU does not run here: {why}");
                None
            }
        }
    }

    fn fetch(&mut self) -> Result<Emulator> {
        let os = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let suite = debian_suite(&os).filter(|_| apt_is_here());
        let suite = suite.ok_or_else(|| {
            Failure::Missing("this is not Debian with apt; install QEMU 9 or later".into())
        })?;
        fetch(&cache::dir("qemu")?, &suite)
    }
}

/// The newest in the cache. A directory there has its final name only when it is complete.
pub(crate) fn newest_in(cache: &Path) -> Option<Emulator> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let mut versions: Vec<String> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with(|c: char| c.is_ascii_digit()))
        .collect();
    versions.sort_by(|a, b| compare(a, b));
    Some(Emulator::unpacked(&cache.join(versions.last()?)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::{Emulator, PROGRAM, Sources, choose, newest_in, parse_major};
    use crate::failure::{Failure, Result};

    /// What a pretended machine has; `asked` records which sources were looked at.
    #[derive(Default)]
    struct Pretended {
        installed: Option<u32>,
        cached: bool,
        archive: bool,
        asked: Vec<&'static str>,
    }

    impl Sources for Pretended {
        fn installed(&mut self) -> Option<u32> {
            self.asked.push("installed");
            self.installed
        }

        fn cached(&mut self) -> Option<Emulator> {
            self.asked.push("cached");
            self.cached.then(|| Emulator::at("cached"))
        }

        fn fetch(&mut self) -> Result<Emulator> {
            self.asked.push("fetch");
            if self.archive {
                return Ok(Emulator::at("fetched"));
            }
            Err(Failure::Missing("no archive".into()))
        }
    }

    fn chosen(mut machine: Pretended) -> (PathBuf, Vec<&'static str>) {
        let emulator = choose(None, &mut machine).unwrap();
        (emulator.program().to_owned(), machine.asked)
    }

    #[test]
    fn a_named_emulator_is_taken_without_a_look_at_others() {
        let mut machine = Pretended::default();
        let emulator = choose(Some("/my/qemu".into()), &mut machine).unwrap();
        assert_eq!(emulator, Emulator::at("/my/qemu"));
        assert!(machine.asked.is_empty());
    }

    #[test]
    fn order_is_new_installed_then_cached_then_fetched_then_old_installed() {
        let machine = |installed, cached, archive| Pretended {
            installed,
            cached,
            archive,
            ..Pretended::default()
        };
        let name = |machine| chosen(machine).0;
        assert_eq!(
            chosen(machine(Some(9), true, true)),
            (PROGRAM.into(), vec!["installed"])
        );
        assert_eq!(name(machine(Some(10), true, true)), Path::new(PROGRAM));
        assert_eq!(
            chosen(machine(Some(8), true, true)),
            ("cached".into(), vec!["installed", "cached"])
        );
        assert_eq!(name(machine(None, true, false)), Path::new("cached"));
        assert_eq!(name(machine(Some(7), false, true)), Path::new("fetched"));
        assert_eq!(name(machine(Some(7), false, false)), Path::new(PROGRAM));
    }

    #[test]
    fn no_emulator_at_all_says_what_to_install() {
        let failure = choose(None, &mut Pretended::default()).unwrap_err();
        assert_eq!(failure.exit_code(), 96);
        assert!(failure.to_string().contains("install qemu-system-x86"));
    }

    #[test]
    fn major_version_is_read_from_what_distributions_print() {
        for (text, major) in [
            (
                "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright",
                Some(7),
            ),
            (
                "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2~bpo12+1)\n",
                Some(10),
            ),
            ("QEMU emulator version 9.2.3 (qemu-9.2.3-1.fc42)\n", Some(9)),
            ("QEMU emulator version 11\n", Some(11)),
            ("qemu-img version 7.2.22\n", None),
            ("", None),
        ] {
            assert_eq!(parse_major(text), major, "{text}");
        }
    }

    #[test]
    fn newest_complete_version_is_taken_and_its_parts_are_named() {
        let cache = tempfile::tempdir().unwrap();
        assert_eq!(newest_in(cache.path()), None);
        for name in ["9.2.0+ds-1", "10.0.2+ds-2~bpo12+1", ".fetch-1"] {
            fs::create_dir(cache.path().join(name)).unwrap();
        }
        let emulator = newest_in(cache.path()).unwrap();
        let root = cache.path().join("10.0.2+ds-2~bpo12+1");
        assert_eq!(emulator.program(), root.join("usr/bin").join(PROGRAM));
        let args = emulator.args().join(" ");
        assert!(args.contains(&format!("-L {}/usr/share/seabios", root.display())));
        assert!(emulator.env().unwrap().1.starts_with(&root));
        assert_eq!(Emulator::at("q").env(), None);
        assert!(Emulator::at("q").args().is_empty());
    }
}
