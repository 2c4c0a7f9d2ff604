//! Where fetched things live, outside the source tree, and the lock of whoever brings one.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::apt::PrivateApt;
use crate::failure::{Failure, Result};

/// `$SCX_GAMER_CACHE/<name>`, by default below the user's cache directory; made if need be.
///
/// # Errors
/// There is no home directory, or the cache cannot be written.
pub fn dir(name: &str) -> Result<PathBuf> {
    let set = |name: &str| {
        env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let base = set("SCX_GAMER_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("scx_gamer")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/scx_gamer")));
    let base = base.ok_or_else(|| {
        Failure::Missing("no HOME; set SCX_GAMER_CACHE to a directory for what is fetched".into())
    })?;
    let dir = base.join(name);
    fs::create_dir_all(&dir).map_err(|error| Failure::at(&dir, error))?;
    dir.canonicalize().map_err(|error| Failure::at(&dir, error))
}

/// The right to fetch into one directory of the cache, until it is dropped or its process ends.
pub(crate) struct FetchLock {
    _file: File,
}

impl FetchLock {
    /// Waits for the lock of `dir`, then removes what a killed holder left there.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub(crate) fn take(dir: &Path, what: &str) -> Result<Self> {
        let path = dir.join(".lock");
        let file = File::create(&path).map_err(|error| Failure::at(&path, error))?;
        if file.try_lock().is_err() {
            eprintln!("vm: another process is fetching {what}; waiting for it");
            file.lock().map_err(|error| Failure::at(&path, error))?;
        }
        // Only a holder of this lock makes such directories.
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with(PrivateApt::DIR_PREFIX) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::FetchLock;

    #[test]
    fn what_a_killed_fetch_left_is_swept_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".fetch-dead/lists", "6.18.15+deb13-amd64", "fetch-mine"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let _lock = FetchLock::take(dir.path(), "a test").unwrap();
        assert!(!dir.path().join(".fetch-dead").exists());
        assert!(dir.path().join("6.18.15+deb13-amd64").exists());
        assert!(dir.path().join("fetch-mine").exists());
    }
}
