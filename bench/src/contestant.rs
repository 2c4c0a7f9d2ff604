//! Who takes part: the kernel's own scheduler, the oracle, scx_gamer, and others that are installed.

use crate::results::{Entrant, KERNEL, ORACLE};
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use scx_gamer::config::Feature;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Name of our own scheduler.
pub const OURS: &str = "scx_gamer";

/// How the name of our own scheduler without a feature begins.
pub const WITHOUT: &str = "without ";
/// The same with a feature that takes no part by default.
pub const WITH: &str = "with ";

/// What schedules while a contestant plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The kernel's own scheduler.
    Kernel,
    /// The same, with the game's threads at SCHED_FIFO.
    Oracle,
    /// A sched_ext scheduler that this shell command attaches and keeps until SIGINT.
    Scheduler(String),
}

/// One who takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contestant {
    /// Name in results.
    pub name: String,
    /// What `--version` says, empty for the kernel's own scheduler.
    pub version: String,
    /// Which build of its program, empty for the kernel's own scheduler.
    pub build: String,
    /// Its command as results show it: where programs lie on this machine is nobody's business.
    pub shown: String,
    /// How it schedules.
    pub kind: Kind,
}

impl Contestant {
    fn kernel(name: &str, kind: Kind) -> Self {
        Self {
            name: name.to_owned(),
            version: String::new(),
            build: String::new(),
            shown: String::new(),
            kind,
        }
    }

    fn scheduler(name: String, program: &Path, args: &[&str]) -> Result<Self> {
        let file = program.file_name().unwrap_or(program.as_os_str());
        let shown = [file.to_string_lossy().into_owned()]
            .into_iter()
            .chain(args.iter().map(|arg| (*arg).to_owned()));
        let path = program.to_str().with_context(|| {
            format!(
                "{}: a path must be UTF-8 to be in results",
                program.display()
            )
        })?;
        let command = shlex::try_join([path].into_iter().chain(args.iter().copied()))
            .with_context(|| format!("{} cannot be given to a shell", program.display()))?;
        Ok(Self {
            name,
            // One that cannot even tell it will not attach, and that is a row of the results.
            version: version(program).unwrap_or_else(|| "unknown version".to_owned()),
            build: build(program)?,
            shown: shown.collect::<Vec<_>>().join(" "),
            kind: Kind::Scheduler(command),
        })
    }

    /// Its line in the results.
    #[must_use]
    pub fn entrant(&self) -> Entrant {
        Entrant {
            name: self.name.clone(),
            version: self.version.clone(),
            build: self.build.clone(),
            command: self.shown.clone(),
        }
    }
}

/// A program that is built and installed beside this one.
///
/// # Errors
/// When it is not there.
pub fn beside(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()
        .context("cannot find this program's own file")?
        .with_file_name(name);
    ensure!(
        path.is_file(),
        "there is no {}: build or install {name} beside this program",
        path.display()
    );
    Ok(path)
}

/// The kernel's own scheduler, the oracle, scx_gamer, every `scx_*` program in `peers`, and those
/// in `against` (a path, or a name looked up in $PATH).
///
/// # Errors
/// A program that is not there, or that does not tell its version.
pub fn field(peers: Option<&Path>, against: &[PathBuf]) -> Result<Vec<Contestant>> {
    let mut field = vec![
        Contestant::kernel(KERNEL, Kind::Kernel),
        Contestant::kernel(ORACLE, Kind::Oracle),
        Contestant::scheduler(OURS.to_owned(), &beside(OURS)?, &[])?,
    ];
    for program in peers.map_or(Ok(Vec::new()), peers_in)? {
        add(&mut field, &program)?;
    }
    for name in against {
        let path = which::which(name).with_context(|| {
            format!(
                "--against {}: no such program; give a path, or install it",
                name.display()
            )
        })?;
        add(&mut field, &path)?;
    }
    Ok(field)
}

fn add(field: &mut Vec<Contestant>, program: &Path) -> Result<()> {
    let name = program.file_name().unwrap_or(OsStr::new("unnamed"));
    let name = name.to_string_lossy().into_owned();
    ensure!(
        field.iter().all(|other| other.name != name),
        "two contestants are called {name}: leave one out"
    );
    field.push(Contestant::scheduler(name, program, &[])?);
    Ok(())
}

/// scx_gamer as it is, and once more for each feature of its policy without that feature, or with
/// it if it takes no part by default.
///
/// # Errors
/// When scx_gamer is not there.
pub fn ablation() -> Result<Vec<Contestant>> {
    let program = beside(OURS)?;
    let mut field = vec![Contestant::scheduler(OURS.to_owned(), &program, &[])?];
    for feature in Feature::value_variants() {
        let Some(value) = feature.to_possible_value() else {
            continue;
        };
        let name = value.get_name();
        let (prefix, flag) = if feature.is_default() {
            (WITHOUT, "--without")
        } else {
            (WITH, "--with")
        };
        field.push(Contestant::scheduler(
            format!("{prefix}{name}"),
            &program,
            &[flag, name],
        )?);
    }
    Ok(field)
}

/// The `scx_*` programs of a directory, by name. A directory that is not there has none.
fn peers_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", dir.display())),
    };
    let mut programs = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let scheduler = |name: &OsStr| name.to_string_lossy().starts_with("scx_");
        if path.is_file() && path.file_name().is_some_and(scheduler) {
            programs.push(path);
        }
    }
    programs.sort();
    Ok(programs)
}

/// What tells a build of a program from another one of the same version.
///
/// # Errors
/// When the file cannot be looked at.
pub fn build(program: &Path) -> Result<String> {
    let file =
        fs::metadata(program).with_context(|| format!("cannot look at {}", program.display()))?;
    Ok(format!("{} bytes of {}", file.len(), file.mtime()))
}

/// The first line that `PROGRAM --version` prints.
fn version(program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.arg("--version").stdin(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_owned())
}

/// A command with every word's directories left out: they are nobody's business in results.
#[must_use]
pub fn without_directories(command: &str) -> String {
    let words = command.split(' ');
    let names = words.map(|word| word.rsplit('/').next().unwrap_or(word).trim_matches('\''));
    names.collect::<Vec<_>>().join(" ")
}

/// Those of `field` whose names are in `only`, in the order of `field`.
///
/// # Errors
/// A name that nobody has.
pub fn select(field: Vec<Contestant>, only: &[String]) -> Result<Vec<Contestant>> {
    if only.is_empty() {
        return Ok(field);
    }
    for name in only {
        let names: Vec<&str> = field.iter().map(|one| one.name.as_str()).collect();
        ensure!(
            names.contains(&name.as_str()),
            "no contestant {name:?}: there are {}",
            names.join(", ")
        );
    }
    Ok(field
        .into_iter()
        .filter(|one| only.contains(&one.name))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::{Contestant, Kind, peers_in, select, without_directories};
    use std::path::Path;

    fn names(field: &[Contestant]) -> Vec<&str> {
        field.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn a_selection_keeps_the_order_and_refuses_strangers() {
        let field: Vec<_> = ["a", "b", "c"]
            .map(|name| Contestant::kernel(name, Kind::Kernel))
            .to_vec();
        assert_eq!(names(&select(field.clone(), &[]).unwrap()), ["a", "b", "c"]);
        let chosen = select(field.clone(), &["c".into(), "a".into()]).unwrap();
        assert_eq!(names(&chosen), ["a", "c"]);
        let error = select(field, &["d".into()]).unwrap_err().to_string();
        assert!(
            error.contains("\"d\"") && error.contains("a, b, c"),
            "{error}"
        );
    }

    #[test]
    fn a_command_is_shown_without_directories() {
        let command = "exec '/home/me/a b' --against /opt/scx_lavd --rounds 3";
        let shown = without_directories(command);
        assert!(!shown.contains('/') && shown.ends_with("--against scx_lavd --rounds 3"));
    }

    #[test]
    fn no_directory_of_peers_is_no_peers() {
        assert!(
            peers_in(Path::new("/nonexistent/peers"))
                .unwrap()
                .is_empty()
        );
    }
}
