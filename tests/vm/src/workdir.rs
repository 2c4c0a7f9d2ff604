//! The private directory of a running VM. Its owner holds a lock in it; a directory whose lock is
//! free belongs to a process that was killed, and the next start removes it.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::Context;
use tempfile::TempDir;

use crate::failure::Result;

const PREFIX: &str = "scx_gamer_vm.";
/// Locked for as long as the owner lives.
const OWNER: &str = "owner";

/// A directory that goes with this value.
pub(crate) struct WorkDir {
    dir: TempDir,
    _owner: File,
}

impl WorkDir {
    /// Sweeps what killed owners left, then makes a new one.
    ///
    /// # Errors
    /// The directory for temporary files cannot be written.
    pub(crate) fn new() -> Result<Self> {
        Self::below(&std::env::temp_dir())
    }

    fn below(parent: &Path) -> Result<Self> {
        for left in sweep(parent) {
            eprintln!("vm: removed {left}, left by a run that was killed");
        }
        let make = || {
            let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            // Under its final name it is locked from the first moment.
            let new = dir.path().join("owner.new");
            let owner = File::create_new(&new)?;
            owner.lock()?;
            fs::rename(&new, dir.path().join(OWNER))?;
            io::Result::Ok(Self { dir, _owner: owner })
        };
        Ok(make().context("private directory of the VM")?)
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// Removes the directories below `parent` whose owners are dead; returns their names.
fn sweep(parent: &Path) -> Vec<String> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        // Of the entry itself: a symbolic link is no directory of ours.
        entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
    });
    let swept = ours.filter(|entry| {
        let dir = entry.path();
        // Without an owner's file it is not (yet) known whose it is.
        let Ok(owner) = File::open(dir.join(OWNER)) else {
            return false;
        };
        owner.try_lock().is_ok() && fs::remove_dir_all(&dir).is_ok()
    });
    swept
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::{OWNER, WorkDir, sweep};

    #[test]
    fn only_directories_of_dead_owners_are_swept() {
        let parent = tempfile::tempdir().unwrap();
        let at = |name: &str| parent.path().join(name);
        for (name, owned) in [
            ("scx_gamer_vm.dead", true),
            ("scx_gamer_vm.unknown", false),
            ("other.dead", true),
            ("target", true),
        ] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("initrd"), "x").unwrap();
            if owned {
                fs::write(at(name).join(OWNER), "").unwrap();
            }
        }
        symlink(at("target"), at("scx_gamer_vm.link")).unwrap();
        let live = WorkDir::below(parent.path()).unwrap();
        assert!(!at("scx_gamer_vm.dead").exists());
        assert_eq!(sweep(parent.path()), Vec::<String>::new());
        assert!(live.path().join(OWNER).exists());
        for name in [
            "scx_gamer_vm.unknown/initrd",
            "other.dead/initrd",
            "target/initrd",
            "scx_gamer_vm.link",
        ] {
            assert!(at(name).exists(), "{name}");
        }
    }

    #[test]
    fn an_owner_removes_its_own_directory() {
        let parent = tempfile::tempdir().unwrap();
        let dir = WorkDir::below(parent.path()).unwrap();
        let path = dir.path().to_owned();
        assert!(path.is_dir());
        drop(dir);
        assert!(!path.exists());
    }
}
