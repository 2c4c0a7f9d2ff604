//! Host CPUs divided among the VMs of this user: a slot for each, held by a lock on a file of the
//! cache, so that it is free again however its holder ends. VMs that would disturb each other run
//! one after another instead, whichever processes and threads start them.

use std::fs::File;
use std::path::Path;
use std::thread::{self, available_parallelism};
use std::time::Duration;

use crate::failure::{Failure, Result};
use crate::qemu::Accel;
use crate::{cache, interrupt};

/// How often a waiting VM looks for free slots.
const LOOK: Duration = Duration::from_millis(100);

/// Slots of one VM, until it is dropped.
pub(crate) struct Slots {
    _held: Vec<File>,
}

impl Slots {
    /// Waits for as many slots as a guest of `cpus` CPUs keeps host threads busy.
    ///
    /// # Errors
    /// The cache cannot be written, or a signal arrived.
    pub(crate) fn take(accel: Accel, cpus: u32) -> Result<Self> {
        let all = available_parallelism().map_or(1, usize::from);
        Self::take_from(&cache::dir("slots")?, all, wanted(accel, cpus, all))
    }

    fn take_from(dir: &Path, all: usize, wanted: usize) -> Result<Self> {
        let open = |name: String| {
            let path = dir.join(name);
            File::create(&path).map_err(|error| Failure::at(&path, error))
        };
        // Only one gathers at a time: two that each hold a part would wait for ever.
        let gather = open("gather".into())?;
        let mut said = false;
        let mut wait = || {
            if !said {
                eprintln!("vm: waiting until other VMs leave {wanted} of {all} host CPU(s) free");
                said = true;
            }
            thread::park_timeout(LOOK);
            if interrupt::arrived() {
                return Err(Failure::Interrupted);
            }
            Ok(())
        };
        while gather.try_lock().is_err() {
            wait()?;
        }
        let mut free: Vec<File> = (0..all)
            .map(|n| open(n.to_string()))
            .collect::<Result<_>>()?;
        let mut held = Vec::with_capacity(wanted);
        while held.len() < wanted {
            match free.iter().position(|file| file.try_lock().is_ok()) {
                Some(place) => held.push(free.swap_remove(place)),
                None => wait()?,
            }
        }
        Ok(Self { _held: held })
    }
}

/// Counted time runs in one host thread, whatever the number of CPUs; otherwise each has its own.
fn wanted(accel: Accel, cpus: u32, all: usize) -> usize {
    match accel {
        Accel::Counted => 1,
        Accel::Kvm | Accel::Parallel => usize::try_from(cpus).unwrap_or(all).min(all),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::{Slots, wanted};
    use crate::qemu::Accel;

    #[test]
    fn counted_time_needs_one_slot_and_no_vm_more_than_there_are() {
        assert_eq!(wanted(Accel::Counted, 64, 2), 1);
        assert_eq!(wanted(Accel::Parallel, 2, 8), 2);
        assert_eq!(wanted(Accel::Parallel, 64, 2), 2);
        assert_eq!(wanted(Accel::Kvm, 4, 2), 2);
    }

    #[test]
    fn slots_in_use_never_exceed_the_pool_and_everyone_gets_theirs() {
        const ALL: usize = 3;
        let dir = tempfile::tempdir().unwrap();
        let used = AtomicUsize::new(0);
        thread::scope(|scope| {
            for wanted in [1, 2, 3, 1, 3, 2] {
                let (dir, used) = (dir.path(), &used);
                scope.spawn(move || {
                    let slots = Slots::take_from(dir, ALL, wanted).unwrap();
                    let before = used.fetch_add(wanted, Ordering::SeqCst);
                    assert!(before + wanted <= ALL, "{before} and {wanted}");
                    thread::yield_now();
                    used.fetch_sub(wanted, Ordering::SeqCst);
                    drop(slots);
                });
            }
        });
    }
}
