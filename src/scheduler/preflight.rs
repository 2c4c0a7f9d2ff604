//! What can be known to be wrong before anything is loaded.

use std::path::Path;

use nix::unistd::Uid;
use scx_utils::compat;
use thiserror::Error;

/// Why the scheduler cannot run here and now.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Obstacle {
    /// The kernel was built without `sched_ext`.
    #[error(
        "this kernel ({release}) has no sched_ext: boot a kernel from 6.12 on that is built with CONFIG_SCHED_CLASS_EXT=y"
    )]
    NoSchedExt {
        /// `uname -r`.
        release: String,
    },
    /// Not started by root.
    #[error("loading a scheduler needs root: run it with sudo or as a systemd service")]
    NotRoot,
    /// Another scheduler is there.
    #[error(
        "another sched_ext scheduler is attached ({name}): stop it first (for a service: systemctl stop scx_loader scx)"
    )]
    Occupied {
        /// Its name.
        name: String,
    },
    /// The kernel's type information contradicts its own functions.
    #[error(
        "this kernel's type information (BTF) is malformed: {kfuncs} carry an argument that programs must not pass. It was built with pahole older than 1.26; boot another kernel build"
    )]
    MalformedBtf {
        /// The functions concerned.
        kfuncs: String,
    },
}

/// Where the kernel tells about sched_ext.
pub const SCHED_EXT_DIR: &str = "/sys/kernel/sched_ext";

/// Looks for obstacles, the one to be mended first coming first.
///
/// # Errors
/// The obstacle.
pub fn check() -> Result<(), Obstacle> {
    check_kernel(Path::new(SCHED_EXT_DIR))?;
    if !Uid::effective().is_root() {
        return Err(Obstacle::NotRoot);
    }
    check_vacant(Path::new(SCHED_EXT_DIR))
}

fn check_kernel(sched_ext: &Path) -> Result<(), Obstacle> {
    if sched_ext.join("state").exists() {
        return Ok(());
    }
    let release = nix::sys::utsname::uname()
        .map(|uname| uname.release().to_string_lossy().into_owned())
        .unwrap_or_else(|_| "unknown".to_owned());
    Err(Obstacle::NoSchedExt { release })
}

fn check_vacant(sched_ext: &Path) -> Result<(), Obstacle> {
    let read = |name: &str| std::fs::read_to_string(sched_ext.join(name)).unwrap_or_default();
    if read("state").trim() == "disabled" {
        return Ok(());
    }
    let ops = read("root/ops");
    let name = match ops.trim() {
        "" => "on its way in or out".to_owned(),
        name => name.to_owned(),
    };
    Err(Obstacle::Occupied { name })
}

/// The kfuncs with malformed prototypes, as an obstacle, if there are any. Reads the whole BTF, so
/// it is asked only after a load has failed.
#[must_use]
pub fn malformed_kfuncs() -> Option<Obstacle> {
    let kfuncs = compat::malformed_scx_kfuncs();
    (!kfuncs.is_empty()).then(|| Obstacle::MalformedBtf {
        kfuncs: kfuncs.join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sched_ext(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("temporary directory");
        for (name, content) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().expect("has a parent")).expect("mkdir");
            std::fs::write(path, content).expect("write");
        }
        dir
    }

    #[test]
    fn a_kernel_without_sched_ext_is_named_with_what_to_do() {
        let empty = sched_ext(&[]);
        let error = check_kernel(empty.path())
            .expect_err("nothing there")
            .to_string();
        assert!(error.contains("has no sched_ext") && error.contains("CONFIG_SCHED_CLASS_EXT"));
    }

    #[test]
    fn an_attached_scheduler_is_named() {
        let dir = sched_ext(&[("state", "enabled\n"), ("root/ops", "scx_lavd_1.0\n")]);
        let error = check_vacant(dir.path()).expect_err("occupied");
        assert_eq!(
            error,
            Obstacle::Occupied {
                name: "scx_lavd_1.0".to_owned()
            }
        );
    }

    #[test]
    fn a_scheduler_that_is_being_disabled_is_in_the_way_too() {
        let dir = sched_ext(&[("state", "disabling\n")]);
        assert!(check_vacant(dir.path()).is_err());
    }

    #[test]
    fn a_disabled_state_is_vacant() {
        let dir = sched_ext(&[("state", "disabled\n")]);
        assert_eq!(check_vacant(dir.path()), Ok(()));
    }
}
