//! The manager of all rings.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use libbpf_rs::{MapCore, MapHandle, RingBuffer, RingBufferBuilder};

use super::pacer::Pacer;
use super::queue::{EVENT_QUEUE_MAX, EventQueue};
use super::record::parse_record;
use super::ring_fd::ring_fd;

/// All rings behind one descriptor; moves their records into the queue.
#[derive(Debug)]
pub struct EventRings {
    // Before the ring buffer, whose descriptor it watches.
    pacer: Pacer,
    ring_buffer: RingBuffer<'static>,
    record_cnts: Arc<[AtomicU64]>,
}

impl EventRings {
    /// Maps `rings` and feeds `queue` from them.
    ///
    /// # Errors
    /// If there is no ring, or the kernel refuses to map or to watch one.
    pub fn new(rings: &[MapHandle], queue: &Arc<EventQueue>) -> Result<Self> {
        ensure!(!rings.is_empty(), "there is no input ring to read");
        let record_cnts: Arc<[AtomicU64]> = rings.iter().map(|_| AtomicU64::new(0)).collect();
        let mut builder = RingBufferBuilder::new();
        for (idx, ring) in rings.iter().enumerate() {
            let queue = Arc::clone(queue);
            let record_cnts = Arc::clone(&record_cnts);
            builder
                .add(ring, move |bytes| {
                    record_cnts[idx].fetch_add(1, Ordering::Relaxed);
                    match parse_record(bytes) {
                        Ok(event) => queue.push(event),
                        Err(_) => queue.count_malformed(),
                    }
                    0
                })
                .with_context(|| format!("cannot use the map {}", ring.name().display()))?;
        }
        let ring_buffer = builder.build().context("cannot map the input rings")?;
        let pacer = Pacer::new(ring_fd(&ring_buffer))?;
        Ok(Self {
            pacer,
            ring_buffer,
            record_cnts,
        })
    }

    /// Readable (level-triggered) when [`Self::drain`] is due: at once for an event after a
    /// pause, then at most every 10 ms.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.pacer.fd()
    }

    /// Moves what is in the rings into the queue, without waiting, and returns the number of
    /// records. What is more than a full queue stays for the next call, which is due at once.
    ///
    /// # Errors
    /// If the rings cannot be read or watched.
    pub fn drain(&self) -> Result<usize> {
        let moved = self.ring_buffer.consume_raw_n(EVENT_QUEUE_MAX);
        let moved = usize::try_from(moved)
            .map_err(|_| io::Error::from_raw_os_error(moved.saturating_neg()))
            .context("cannot read the input rings")?;
        let source = ring_fd(&self.ring_buffer);
        if moved == 0 || moved >= EVENT_QUEUE_MAX {
            self.pacer.watch_rings(source)?;
        } else {
            self.pacer.watch_timer(source)?;
        }
        Ok(moved)
    }

    /// Records read from each ring since the start, by the ring's index.
    #[must_use]
    pub fn record_cnts(&self) -> Vec<u64> {
        self.record_cnts
            .iter()
            .map(|cnt| cnt.load(Ordering::Relaxed))
            .collect()
    }
}
