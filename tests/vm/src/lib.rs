//! The VM harness: boots a stock sched_ext kernel under QEMU, with this machine's own root file
//! system below it, runs one command there and returns its output and exit code.
//!
//! ```no_run
//! use vmtest::{guest::{GuestCommand, Vm}, kernel::Kernel, machine::Machine};
//!
//! let kernel = Kernel::ensure("6.18")?;
//! let command = GuestCommand::new(["uname", "-r"]);
//! let outcome = Vm::boot(&kernel, &Machine::default(), &command)?.finish(&mut |_| ())?;
//! assert_eq!(outcome.code, 0);
//! # Ok::<(), vmtest::failure::Failure>(())
//! ```
//!
//! Nothing on this machine changes: the guest sees the root file system read-only with a tmpfs on
//! top, kernels and QEMU live in a cache outside the source tree, and the private directory of a running VM
//! is removed however the run ends.

mod apt;
mod backports;
pub mod cache;
pub mod command;
pub mod emulator;
pub mod failure;
pub mod fetch;
pub mod guest;
pub mod image;
mod interrupt;
pub mod kernel;
pub mod machine;
pub mod modules;
mod process;
pub mod profile;
pub mod qemu;
pub mod qmp;
mod slots;
mod workdir;
