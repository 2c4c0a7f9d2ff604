//! What can be known to be wrong before anything is loaded.

use std::path::Path;

use nix::unistd::Uid;

use crate::error::Error;

/// Where the kernel tells about sched_ext.
pub const SCHED_EXT_DIR: &str = "/sys/kernel/sched_ext";

/// Looks for what is in the way; what has to be mended first is reported first.
///
/// # Errors
/// What is in the way, with its exit code.
pub fn check() -> Result<(), Error> {
    check_kernel(Path::new(SCHED_EXT_DIR))?;
    if !Uid::effective().is_root() {
        return Err(Error::NotPermitted);
    }
    check_vacant()
}

/// Looks for another scheduler.
///
/// # Errors
/// [`Error::Occupied`] with its name.
pub fn check_vacant() -> Result<(), Error> {
    check_vacant_in(Path::new(SCHED_EXT_DIR))
}

fn check_kernel(sched_ext: &Path) -> Result<(), Error> {
    if sched_ext.join("state").exists() {
        Ok(())
    } else {
        Err(Error::NoSchedExt)
    }
}

fn check_vacant_in(sched_ext: &Path) -> Result<(), Error> {
    let read = |name: &str| std::fs::read_to_string(sched_ext.join(name)).unwrap_or_default();
    if read("state").trim() == "disabled" {
        return Ok(());
    }
    let ops = read("root/ops");
    let name = match ops.trim() {
        "" => "on its way in or out".to_owned(),
        name => name.to_owned(),
    };
    Err(Error::Occupied { name })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ExitCode;

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
        let error = check_vacant_in(dir.path()).expect_err("occupied");
        assert!(error.to_string().contains("scx_lavd_1.0"));
        assert_eq!(error.exit_code(), ExitCode::Occupied);
    }

    #[test]
    fn a_scheduler_that_is_being_disabled_is_in_the_way_too() {
        let dir = sched_ext(&[("state", "disabling\n")]);
        assert!(check_vacant_in(dir.path()).is_err());
    }

    #[test]
    fn a_disabled_state_is_vacant() {
        let dir = sched_ext(&[("state", "disabled\n")]);
        assert!(check_vacant_in(dir.path()).is_ok());
    }
}
