//! The statistics socket's place in the file system: root's alone, whatever was there before.
//!
//! `scx_stats` creates the socket, but leaves its mode to the umask and trusts the directories.

use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Everybody may pass through; the socket itself is closed to them.
const DIRECTORY_MODE: u32 = 0o755;
const SOCKET_MODE: u32 = 0o660;
/// Write permission of group and others.
const FOREIGN_WRITE: u32 = 0o022;

/// Makes the two directories above `socket` (the rest of the path has to exist) if they are
/// missing, and closes them to writers other than this user.
///
/// # Errors
/// If one of them is a symbolic link, not a directory, or another user's.
pub(super) fn prepare_directories(socket: &Path) -> Result<()> {
    // From the top: what lies in a directory counts only once that is closed.
    let mut directories: Vec<&Path> = socket.ancestors().skip(1).take(2).collect();
    directories.reverse();
    for directory in directories {
        prepare_directory(directory)
            .with_context(|| format!("cannot use the directory {}", directory.display()))?;
    }
    Ok(())
}

fn prepare_directory(directory: &Path) -> Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        bail!("it is not a directory: remove it");
    }
    check_owner(&metadata)?;
    let mode = metadata.permissions().mode();
    if mode & FOREIGN_WRITE != 0 || mode & DIRECTORY_MODE != DIRECTORY_MODE {
        fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE))?;
    }
    Ok(())
}

/// Closes a fresh socket to everybody but its owner and its group.
///
/// # Errors
/// If it is not a socket (a symbolic link is not followed), or another user's.
pub(super) fn secure_socket(socket: &Path) -> Result<()> {
    let secure = || {
        let metadata = fs::symlink_metadata(socket)?;
        if !metadata.file_type().is_socket() {
            bail!("it is not a socket: remove it");
        }
        check_owner(&metadata)?;
        Ok(fs::set_permissions(
            socket,
            Permissions::from_mode(SOCKET_MODE),
        )?)
    };
    secure().with_context(|| format!("cannot secure the socket {}", socket.display()))
}

fn check_owner(metadata: &Metadata) -> Result<()> {
    let own = nix::unistd::geteuid().as_raw();
    if metadata.uid() != own {
        bail!(
            "it belongs to user {} instead of user {own}: remove it",
            metadata.uid()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use tempfile::TempDir;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path)
            .expect("exists")
            .permissions()
            .mode()
            & 0o7777
    }

    #[test]
    fn socket_is_closed_to_others() {
        let dir = TempDir::new().expect("temporary directory");
        let socket = dir.path().join("stats");
        let _listener = UnixListener::bind(&socket).expect("binds");
        fs::set_permissions(&socket, Permissions::from_mode(0o777)).expect("opens it");
        secure_socket(&socket).expect("secures");
        assert_eq!(mode(&socket), 0o660);
    }

    #[test]
    fn neither_link_nor_file_passes_for_the_socket() {
        let dir = TempDir::new().expect("temporary directory");
        let (target, link) = (dir.path().join("target"), dir.path().join("stats"));
        let _listener = UnixListener::bind(&target).expect("binds");
        symlink(&target, &link).expect("links");
        let before = mode(&target);
        assert!(secure_socket(&link).is_err());
        assert_eq!(mode(&target), before, "the link was followed");
        fs::write(dir.path().join("file"), "").expect("writes");
        assert!(secure_socket(&dir.path().join("file")).is_err());
        assert!(secure_socket(&dir.path().join("missing")).is_err());
    }

    #[test]
    fn directories_are_made_and_closed_to_other_writers() {
        let dir = TempDir::new().expect("temporary directory");
        let outer = dir.path().join("scx");
        fs::create_dir(&outer).expect("creates");
        fs::set_permissions(&outer, Permissions::from_mode(0o1777)).expect("opens it");
        prepare_directories(&outer.join("root/stats")).expect("prepares");
        assert_eq!((mode(&outer), mode(&outer.join("root"))), (0o755, 0o755));
    }

    #[test]
    fn linked_directory_is_refused() {
        let dir = TempDir::new().expect("temporary directory");
        let elsewhere = TempDir::new().expect("temporary directory");
        symlink(elsewhere.path(), dir.path().join("scx")).expect("links");
        let error = prepare_directories(&dir.path().join("scx/root/stats")).expect_err("is a link");
        assert!(
            format!("{error:#}").contains("not a directory"),
            "{error:#}"
        );
        assert!(!elsewhere.path().join("root").exists());
    }
}
