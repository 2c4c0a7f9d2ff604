//! Input events on their way from the kernel's ring buffers to the daemon.
//!
//! ```text
//! up to 16 rings ─► EventRings (one descriptor) ─► EventQueue (bounded) ─► InputConsumer
//! ```
//!
//! [`EventRings`] moves raw records in batches, [`EventQueue`] never grows beyond its bound and
//! counts what it refuses, and [`InputConsumer`] gives typed events and totals. No event says
//! which key it was: the records hold no key code and no value.

mod consumer;
mod pacer;
mod queue;
mod record;
mod ring_fd;
mod ring_table;
mod rings;

pub use consumer::{EventTotals, InputConsumer};
pub use queue::{EVENT_QUEUE_MAX, EventQueue};
pub use record::{DeviceClass, InputEvent, RecordError, parse_record};
pub use ring_table::{CpuNode, RING_CNT, RING_TABLE_LEN, assign_rings};
pub use rings::EventRings;
