//! SIGINT, SIGTERM and SIGHUP as a descriptor to wait for.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use anyhow::{Context, Result};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Becomes readable, and stays so, once a signal asks the daemon to stop.
pub(super) struct StopSignal(Arc<EventFd>);

impl StopSignal {
    pub(super) fn install() -> Result<Self> {
        let event = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
            .context("cannot create an eventfd")?;
        let event = Arc::new(event);
        let ring = Arc::clone(&event);
        ctrlc::set_handler(move || {
            // Full means that it is readable already.
            let _ = ring.write(1);
        })
        .context("cannot catch signals")?;
        Ok(Self(event))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
