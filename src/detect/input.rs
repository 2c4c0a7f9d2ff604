//! Input detector: real input events.
//!
//! [`InputDetector`] hooks the kernel's input core; it opens the input window and feeds the rings
//! which [`crate::events`] reads. An event that interrupts the hook itself on the same CPU is
//! passed over by the kernel and not counted here (`recursion_misses` of the program).

use std::fmt;
use std::mem::{MaybeUninit, offset_of, size_of};

use anyhow::{Context, Result, ensure};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle};

use super::DetectorState;
use super::cost::{Cost, Meter};
use super::evidence::Evidence;
use super::hook::{HookKind, Unavailable};
use crate::events::{CpuNode, DeviceClass, RING_CNT, RING_TABLE_LEN, assign_rings};
use crate::intf;
use crate::skel::detect_input::{DetectInputSkelBuilder, OpenDetectInputSkel};

const SINGLE_RING: &str = "input_events_ringbuf";
const RING_PREFIX: &str = "input_events_ringbuf_";
const RING_OUTER: &str = "input_rings";

/// Which rings the events are written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingLayout {
    /// 16 rings, chosen by CPU.
    Many,
    /// One for all CPUs, where the 16 cannot be created.
    Single,
}

impl fmt::Display for RingLayout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Many => write!(f, "{RING_CNT} rings"),
            Self::Single => f.write_str("one ring"),
        }
    }
}

/// What to try, best first. The default tries everything.
#[derive(Clone, Copy, Debug)]
pub struct InputOptions<'a> {
    /// The kernel function through which drivers report events.
    pub function: &'a str,
    /// Ways to hook it.
    pub hooks: &'a [HookKind],
    /// Rings to write to.
    pub layouts: &'a [RingLayout],
    /// How long an event of a device of each class (`DEVICE_*`) makes the game urgent, in ns; 0: not.
    pub windows_ns: [u64; DeviceClass::ALL.len()],
}

impl Default for InputOptions<'_> {
    fn default() -> Self {
        Self {
            function: "input_event",
            hooks: HookKind::BY_COST,
            layouts: &[RingLayout::Many, RingLayout::Single],
            windows_ns: [0; DeviceClass::ALL.len()],
        }
    }
}

/// What the BPF side has counted since the load, over all CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputTotals {
    event_cnt: [u64; DeviceClass::ALL.len()],
    /// Events whose record found its ring full.
    pub dropped_cnt: u64,
}

impl InputTotals {
    /// Totals of `event_cnt` events by `DEVICE_*`, of which `dropped_cnt` found their ring full.
    #[must_use]
    pub fn new(event_cnt: [u64; DeviceClass::ALL.len()], dropped_cnt: u64) -> Self {
        Self {
            event_cnt,
            dropped_cnt,
        }
    }

    /// Events of one class.
    #[must_use]
    pub fn of_class(&self, class: DeviceClass) -> u64 {
        self.event_cnt[class.index()]
    }

    /// Events of each class, by `DEVICE_*`.
    #[must_use]
    pub fn by_class(&self) -> [u64; DeviceClass::ALL.len()] {
        self.event_cnt
    }

    /// Events of all classes, with those whose record was dropped.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.event_cnt.iter().sum()
    }

    fn add_cpu(&mut self, counters: &[u8]) -> Result<()> {
        ensure!(
            counters.len() >= size_of::<intf::input_counters>(),
            "the input counters of a CPU have only {} bytes: this is a bug, please report it",
            counters.len()
        );
        for (idx, total) in self.event_cnt.iter_mut().enumerate() {
            let offset = offset_of!(intf::input_counters, event_cnt) + idx * size_of::<u64>();
            *total += read_u64(counters, offset);
        }
        self.dropped_cnt += read_u64(counters, offset_of!(intf::input_counters, dropped_cnt));
        Ok(())
    }
}

fn read_u64(bytes: &[u8], offset: usize) -> u64 {
    let word = bytes[offset..].first_chunk();
    u64::from_ne_bytes(*word.expect("BUG: the caller checks the length"))
}

/// The hook on the input core. Detaches on drop.
#[derive(Debug)]
pub struct InputDetector {
    hook: String,
    layout: RingLayout,
    rings: Vec<MapHandle>,
    counters: MapHandle,
    meter: Meter,
    _link: Link,
}

impl InputDetector {
    /// Loads and attaches the detector. `cpus` lists every possible CPU with its node.
    ///
    /// # Errors
    /// If the kernel accepts none of the ways in `options`.
    pub fn load(
        evidence: &Evidence,
        cpus: &[CpuNode],
        options: &InputOptions<'_>,
    ) -> Result<Self, Unavailable> {
        let table = assign_rings(cpus);
        let mut failures: Vec<String> = Vec::new();
        for &hook in options.hooks {
            for &layout in options.layouts {
                match Self::try_load(evidence, &table, options, hook, layout) {
                    Ok(detector) => {
                        if !failures.is_empty() {
                            log::info!(
                                "input events come by {}, {layout}, since other ways failed: {}",
                                detector.hook,
                                failures.join("; ")
                            );
                        }
                        return Ok(detector);
                    }
                    Err(error) => {
                        let failure = format!("{hook}: {error:#}");
                        if failures.last() != Some(&failure) {
                            failures.push(failure);
                        }
                    }
                }
            }
        }
        Err(Unavailable {
            reason: format!(
                "cannot hook the kernel function {}; it takes root's rights and a kernel with BTF \
                 and CONFIG_FUNCTION_TRACER or CONFIG_KPROBES ({})",
                options.function,
                failures.join("; ")
            ),
        })
    }

    fn try_load(
        evidence: &Evidence,
        table: &[u8; RING_TABLE_LEN],
        options: &InputOptions<'_>,
        hook: HookKind,
        layout: RingLayout,
    ) -> Result<Self> {
        let function = options.function;
        let mut storage = MaybeUninit::uninit();
        let mut open = DetectInputSkelBuilder::default()
            .open(&mut storage)
            .context("cannot open the input detector")?;
        evidence.lend(open.open_object_mut())?;
        let progs = &mut open.progs;
        hook.prepare(
            &mut progs.input_event_fentry,
            &mut progs.input_event_kprobe,
            Some("input"),
            function,
        )?;
        configure(&mut open, table, options, layout)?;
        let skel = open.load().context("cannot load the input detector")?;
        let progs = &skel.progs;
        let link = hook.attach(
            &progs.input_event_fentry,
            &progs.input_event_kprobe,
            function,
        )?;
        let names: Vec<String> = match layout {
            RingLayout::Many => (0..RING_CNT).map(|i| format!("{RING_PREFIX}{i}")).collect(),
            RingLayout::Single => vec![SINGLE_RING.to_owned()],
        };
        let rings = names
            .iter()
            .map(|name| find_map(skel.object(), name))
            .collect::<Result<_>>()?;
        Ok(Self {
            hook: format!("{hook}/{function}"),
            layout,
            rings,
            counters: MapHandle::try_from(&skel.maps.input_counters)?,
            meter: Meter::of(skel.object())?,
            _link: link,
        })
    }

    /// The hook in use.
    #[must_use]
    pub fn state(&self) -> DetectorState {
        DetectorState::Active {
            hook: self.hook.clone(),
        }
    }

    /// What it has cost so far.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.meter.cost()
    }

    /// The rings in use.
    #[must_use]
    pub fn layout(&self) -> RingLayout {
        self.layout
    }

    /// The ring buffers, in the order of their numbers, for [`crate::events::EventRings`].
    #[must_use]
    pub fn rings(&self) -> &[MapHandle] {
        &self.rings
    }

    /// Sums the counters of all CPUs.
    ///
    /// # Errors
    /// If the map cannot be read.
    pub fn counters(&self) -> Result<InputTotals> {
        let per_cpu = self
            .counters
            .lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY)
            .context("cannot read the input counters")?
            .context("the input counters are missing")?;
        let mut totals = InputTotals::default();
        for counters in &per_cpu {
            totals.add_cpu(counters)?;
        }
        Ok(totals)
    }
}

fn configure(
    open: &mut OpenDetectInputSkel<'_>,
    table: &[u8; RING_TABLE_LEN],
    options: &InputOptions<'_>,
    layout: RingLayout,
) -> Result<()> {
    let rodata = open
        .maps
        .rodata_data
        .as_deref_mut()
        .context("the input detector has no settings: this is a bug, please report it")?;
    rodata.window_ns_of_class = options.windows_ns;
    rodata.ring_of_cpu = *table;
    rodata.single_ring = layout == RingLayout::Single;
    for mut map in open.open_object_mut().maps_mut() {
        let name = map.name().to_string_lossy().into_owned();
        let of_many = name.starts_with(RING_PREFIX) || name == RING_OUTER;
        let unused = match layout {
            RingLayout::Many => name == SINGLE_RING,
            RingLayout::Single => of_many,
        };
        if unused {
            map.set_autocreate(false)
                .with_context(|| format!("cannot leave out the map {name}"))?;
        }
    }
    Ok(())
}

fn find_map(object: &libbpf_rs::Object, name: &str) -> Result<MapHandle> {
    let map = object
        .maps()
        .find(|map| map.name() == name)
        .with_context(|| format!("there is no map {name}: this is a bug, please report it"))?;
    Ok(MapHandle::try_from(&map)?)
}
