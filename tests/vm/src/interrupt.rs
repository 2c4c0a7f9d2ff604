//! SIGINT and SIGTERM as a flag that the wait loops look at, so that a VM is always taken down by
//! the code that started it.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

static ARRIVED: AtomicBool = AtomicBool::new(false);
static INSTALL: Once = Once::new();

/// Starts to watch for the two signals, also where a shell's background job has SIGINT ignored;
/// further calls do nothing.
pub(crate) fn watch() {
    INSTALL.call_once(|| {
        if let Err(error) = ctrlc::set_handler(|| ARRIVED.store(true, Ordering::Relaxed)) {
            eprintln!("vm: an interrupt will leave files behind: {error}");
        }
    });
}

/// Whether one of the signals arrived since [`watch`].
pub(crate) fn arrived() -> bool {
    ARRIVED.load(Ordering::Relaxed)
}
