//! Tests that run inside the VM, all in one boot, one after the other, as root. Each is
//! `#[ignore = "runs inside the VM"]` and begins with [`require_vm`]. A new file needs its `mod`
//! line here and nothing else.

mod audio;
mod background;
mod bad_input;
mod cost;
mod display;
mod doctor;
mod environment;
mod explain;
mod interrupts;
mod life;
mod load;
pub(crate) mod malformed_btf;
mod modules;
mod network;
pub(crate) mod outside;
mod peer;
mod pipewire;
mod relay;
mod roles;
mod signals;
mod storage;
mod storms;
mod sync;
pub(crate) mod ticks;
pub(crate) mod topology;
pub(crate) mod verifier;
mod weston;
mod yields;

use std::path::Path;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// No test takes this long by the guest's clock, in which waiting for nothing is soon over.
const LONGEST: Duration = Duration::from_secs(600);
/// How many tests have begun.
static BEGUN: AtomicU64 = AtomicU64::new(0);

/// Ends a test that someone started on the host: it would act on the host's own kernel. From here on it
/// has [`LONGEST`].
pub(crate) fn require_vm() {
    assert!(
        Path::new("/run/scx_gamer_vm").exists(),
        "this test runs inside the VM; its host side is on_6_18 and on_newest_7 (make test)"
    );
    let this = BEGUN.fetch_add(1, Ordering::Relaxed) + 1;
    thread::spawn(move || end_if_it_hangs(this));
}

/// Shows who waits for what, and ends the program, which would never end otherwise.
fn end_if_it_hangs(test: u64) {
    let begin = Instant::now();
    while let Some(left) = LONGEST.checked_sub(begin.elapsed()) {
        thread::park_timeout(left);
    }
    if BEGUN.load(Ordering::Relaxed) == test {
        println!("\nthis test hangs; the threads:");
        let columns = "pid,tid,ppid,cls,stat,time,wchan:32,comm,args";
        let _ = Command::new("ps").args(["-eLo", columns]).status();
        process::exit(1);
    }
}
