//! The life of the tracer: loaded and attached by [`Tracer::start`], gone when dropped.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail};
use libbpf_rs::{Iter, Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::geteuid;

use crate::intf::{cpu_waits, read, wait_control, wait_record};
use crate::report::WaitReport;
use crate::totals::Totals;

const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";
/// How often a copy is taken again whose record was being written meanwhile; new longest waits
/// are rare, so twice is already unlikely.
const COPY_TRIES: usize = 100;
const KEY: [u8; 4] = [0; 4];

/// libbpf reads the object as ELF structures.
#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(
    env!("OUT_DIR"),
    "/waittrace.bpf.o"
)));

/// Why the tracer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Not root.
    #[error("tracing the scheduler needs root: run it with sudo")]
    NotRoot,
    /// The kernel does not describe its types.
    #[error("this kernel has no BTF ({BTF_PATH} is missing): it needs CONFIG_DEBUG_INFO_BTF=y")]
    NoBtf,
    /// The kernel refused a program or a hook.
    #[error("cannot load the wait tracer into the kernel: {0:#}")]
    Load(anyhow::Error),
}

/// An attached wait tracer.
pub struct Tracer {
    // Dropped in this order: programs are detached before their object goes.
    _hooks: Vec<Link>,
    open_walk: Link,
    _object: Object,
    cpu_waits: MapHandle,
    control: MapHandle,
    since_ns: u64,
    before: Totals,
}

impl Tracer {
    /// Loads the tracer and attaches it. Waits of tasks that are runnable already begin now.
    ///
    /// # Errors
    ///
    /// See [`StartError`].
    pub fn start() -> Result<Self, StartError> {
        if !geteuid().is_root() {
            return Err(StartError::NotRoot);
        }
        if !Path::new(BTF_PATH).exists() {
            return Err(StartError::NoBtf);
        }
        Self::load().map_err(StartError::Load)
    }

    fn load() -> Result<Self> {
        let object = ObjectBuilder::default().open_memory(&OBJECT.0)?.load()?;
        let map = |name: &str| -> Result<MapHandle> {
            let map = object.maps().find(|map| map.name() == name);
            Ok(MapHandle::try_from(
                &map.with_context(|| format!("map {name} is missing"))?,
            )?)
        };
        let (cpu_waits, control) = (map("cpu_waits")?, map("control")?);
        let mut hooks = Vec::new();
        let mut walks = Vec::new();
        for program in object.progs_mut() {
            let name = program.name().to_string_lossy().into_owned();
            let link = program
                .attach()
                .with_context(|| format!("cannot attach {name}"))?;
            match name.as_str() {
                "load_waits" | "open_waits" => walks.push((name, link)),
                _ => hooks.push(link),
            }
        }
        walks.sort_by(|a, b| a.0.cmp(&b.0));
        let (Some((_, open_walk)), Some((_, load_walk))) = (walks.pop(), walks.pop()) else {
            bail!("a walk over the tasks is missing");
        };
        let mut tracer = Self {
            _hooks: hooks,
            open_walk,
            _object: object,
            cpu_waits,
            control,
            since_ns: 0,
            before: Totals::default(),
        };
        tracer.reset()?;
        walk(&load_walk)?;
        Ok(tracer)
    }

    /// Begins anew: what was counted is forgotten, and waits that are open now begin now.
    ///
    /// # Errors
    ///
    /// If the kernel refuses access to the tracer's maps.
    pub fn reset(&mut self) -> Result<()> {
        self.since_ns = monotonic_ns()?;
        let control = wait_control {
            since_ns: self.since_ns,
        };
        self.control
            .update(&KEY, &control.since_ns.to_ne_bytes(), MapFlags::ANY)
            .context("cannot reset the wait tracer")?;
        self.before = Totals::of_cpus(&self.read_cpus()?, self.since_ns);
        Ok(())
    }

    /// What was seen since the start or the last reset; the tracer runs on.
    ///
    /// # Errors
    ///
    /// If the kernel refuses access to the tracer's maps or to the walk over the tasks.
    pub fn report(&self) -> Result<WaitReport> {
        // Open waits first: one that ends in between is then seen twice, not missed.
        let open: Vec<wait_record> = walk(&self.open_walk)?
            .chunks_exact(size_of::<wait_record>())
            .filter_map(read)
            .collect();
        let totals = Totals::of_cpus(&self.read_cpus()?, self.since_ns);
        let duration_ns = monotonic_ns()?.saturating_sub(self.since_ns);
        Ok(WaitReport::new(
            &totals.since(&self.before),
            &open,
            duration_ns,
        ))
    }

    fn read_cpus(&self) -> Result<Vec<cpu_waits>> {
        for _ in 0..COPY_TRIES {
            let values = self
                .cpu_waits
                .lookup_percpu(&KEY, MapFlags::ANY)
                .context("cannot read the wait tracer's counts")?
                .context("the wait tracer's counts are missing")?;
            let cpus: Vec<cpu_waits> = values.iter().filter_map(|bytes| read(bytes)).collect();
            anyhow::ensure!(
                cpus.len() == values.len(),
                "the wait tracer's counts are cut short"
            );
            let whole = |cpu: &cpu_waits| {
                cpu.classes
                    .iter()
                    .all(|class| class.longest.seq_head == class.longest.seq_tail)
            };
            if cpus.iter().all(whole) {
                return Ok(cpus);
            }
        }
        bail!("the wait tracer's counts change too fast to be read")
    }
}

/// Runs a program over all tasks and returns what it wrote.
fn walk(link: &Link) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Iter::new(link)
        .and_then(|mut iter| Ok(iter.read_to_end(&mut bytes)?))
        .context("cannot walk over the tasks")?;
    Ok(bytes)
}

/// The clock of `bpf_ktime_get_ns`.
fn monotonic_ns() -> Result<u64> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context("cannot read the clock")?;
    let (sec, nsec) = (u64::try_from(now.tv_sec())?, u64::try_from(now.tv_nsec())?);
    Ok(sec * 1_000_000_000 + nsec)
}
