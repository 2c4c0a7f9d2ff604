//! A sched_ext scheduler without a single program, attached for as long as this process lives. It
//! tells what the kernel's framework costs, apart from the scheduler inside it.

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, ObjectBuilder};
use nix::sys::signal::{SigSet, Signal};

/// libbpf reads the object as ELF structures.
#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/bare.bpf.o")));

/// Attaches it until SIGINT or SIGTERM; then the kernel's own scheduler is back.
///
/// # Errors
/// Without root, without sched_ext, or beside another such scheduler.
pub fn main() -> Result<u8> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGINT);
    stop.add(Signal::SIGTERM);
    stop.thread_block().context("cannot block signals")?;
    // What members of the table this kernel lacks is no news here.
    libbpf_rs::set_print(None);
    let mut object = ObjectBuilder::default()
        .open_memory(&OBJECT.0)
        .context("cannot open the bare scheduler")?
        .load()
        .context("the kernel refuses the bare scheduler (root and sched_ext are needed)")?;
    let mut map = object
        .maps_mut()
        .find(|map| map.name() == "bare")
        .context("BUG: the bare scheduler has no table")?;
    let _link = map
        .attach_struct_ops()
        .context("cannot attach the bare scheduler; is another one attached?")?;
    stop.wait().context("cannot wait for a signal")?;
    Ok(0)
}
