//! How long runnable tasks wait for a CPU, measured the same way under every scheduler.
//!
//! [`Tracer::start`] attaches to the scheduler core's tracepoints, [`Tracer::report`] reads what
//! was seen so far, including the waits that have not ended yet, and [`Tracer::reset`] begins
//! anew. Needs root and a kernel with BTF; it needs no `sched_ext`.

mod intf;
pub mod report;
mod totals;
mod tracer;

pub use report::{ClassReport, TaskWait, WaitReport};
pub use tracer::{StartError, Tracer};
