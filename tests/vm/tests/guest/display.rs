//! Goal: each display's flips are counted and timed, whoever makes them in whichever way, and the
//! interrupts of its card name CPUs and nobody who was only interrupted. Method: this test flips
//! pages and loads the GPU itself, on the guest's real devices.

use std::collections::BTreeSet;
use std::fs;
use std::process::id;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gamesim::display::Display;
use gamesim::gpu::Gpu;
use gamesim::work::burn;
use nix::unistd::gettid;
use scx_gamer::detect::actor;
use scx_gamer::detect::evidence::{Evidence, EvidenceKind};
use scx_gamer::detect::flip;
use scx_gamer::detect::gpu_irq::GpuIrqDetector;
use scx_gamer::detect::hook::HookKind;
use scx_gamer::detect::{Detector, DetectorState};

use super::require_vm;
use super::roles::threads;
use crate::support::wait_for;

const PATIENCE: Duration = Duration::from_secs(60);
const FRAME: Duration = Duration::from_micros(16_667);

fn this_thread() -> u32 {
    gettid().as_raw().cast_unsigned()
}

fn assert_active(detector: &dyn Detector) {
    println!("{}: {}", detector.name(), detector.state());
    assert!(matches!(detector.state(), DetectorState::Active { .. }));
}

/// Whether the kernel holds each flip back until the display is ready for it: virtio_gpu has a
/// timer for that from 7.x on, before that its flips are done at once.
fn flips_wait() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    !release.starts_with("6.")
}

/// Flips at 60 Hz by this side's clock if the display does not pace flips itself.
struct Flipper {
    display: Display,
    frame: u64,
    due: Instant,
}

impl Flipper {
    fn start(atomic: bool) -> Self {
        let mut display = Display::open(60).unwrap();
        if atomic {
            display.flip_atomically().unwrap();
        }
        Self {
            display,
            frame: 0,
            due: Instant::now(),
        }
    }

    fn flip(&mut self) {
        while Instant::now() < self.due {
            thread::park_timeout(self.due.saturating_duration_since(Instant::now()));
        }
        self.frame += 1;
        self.due += FRAME;
        self.display.flip().unwrap();
        if flips_wait() {
            self.due = Instant::now();
        }
    }

    /// Flips so often; when each flip was, by the kernel.
    fn flip_times(&mut self, cnt: usize, evidence: &Evidence) -> Vec<u64> {
        let flip = |_| {
            self.flip();
            the_display(evidence).last_flip_ns
        };
        (0..cnt).map(flip).collect()
    }

    /// Shows nothing for so many frames.
    fn skip(&mut self, frames: u32) {
        self.due += FRAME * frames;
    }
}

fn the_display(evidence: &Evidence) -> flip::Display {
    let displays = evidence.displays().unwrap();
    assert_eq!(displays.len(), 1, "{displays:?}");
    displays[0]
}

fn assert_flips_are_known(atomic: bool) {
    let evidence = Evidence::create().unwrap();
    let actor = actor::detect(&evidence, EvidenceKind::Display);
    let flips = flip::detect(&evidence, HookKind::BY_COST);
    assert_active(&actor);
    assert_active(&flips);
    let mut flipper = Flipper::start(atomic);
    for _ in 0..30 {
        flipper.flip();
    }
    let seen = evidence.of_thread(this_thread()).unwrap();
    let kinds: Vec<_> = seen.iter().map(|seen| seen.kind).collect();
    assert_eq!(kinds, [EvidenceKind::Display]);
    assert!(seen[0].event_cnt >= 30, "{seen:?}");

    let first = the_display(&evidence);
    println!("{first}: {first:?}");
    assert_eq!(first.owner_tgid, id());
    // Setting the mode is a flip to some drivers.
    assert!((30..=32).contains(&first.flip_cnt), "{first:?}");

    let pause = (0..TRIES).find_map(|_| Pause::make(&mut flipper, &evidence));
    let Pause {
        before,
        after,
        frames,
    } = pause.expect("flips are even at last");
    println!("{before:?}, then none for {frames} frames: {after:?}");
    let hz = 1e9 / before.interval_ns as f64;
    assert!((50.0..90.0).contains(&hz), "{hz} Hz: {before:?}");
    if flips_wait() {
        let mode_hz = 1e9 / f64::from(before.refresh_ns);
        assert!((mode_hz / hz - 1.0).abs() < 0.1, "{mode_hz} Hz, not {hz}");
    }
    assert!(frames >= 3);
    assert_eq!(after.missed_cnt - before.missed_cnt, frames - 1);
    let moved = after.interval_ns.abs_diff(before.interval_ns);
    assert!(moved < before.interval_ns / 10);
}

/// So often a pause is made until the flips around it are even. Whoever else runs may delay one, and of uneven
/// flips none is missed.
const TRIES: u32 = 20;
/// Even flips before a pause: enough for the detector to be sure of their rate.
const EVEN: usize = 16;

/// The display before and after some frames without a flip.
struct Pause {
    before: flip::Display,
    after: flip::Display,
    /// What passed between the flips before and after, in intervals.
    frames: u64,
}

impl Pause {
    /// `None`: the flips were uneven, or the pause too long to count.
    fn make(flipper: &mut Flipper, evidence: &Evidence) -> Option<Self> {
        let times = flipper.flip_times(EVEN + 1, evidence);
        let before = the_display(evidence);
        flipper.skip(3);
        let pause_ns = flipper.flip_times(1, evidence)[0] - times[EVEN];
        flipper.flip();
        let after = the_display(evidence);
        let interval_ns = before.interval_ns;
        let frames = (pause_ns + interval_ns / 2) / interval_ns;
        let gaps = times.windows(2).map(|pair| (pair[1] - pair[0], 1));
        let mut gaps = gaps.chain([(pause_ns, frames)]);
        let is_even =
            |(gap_ns, cnt): (u64, u64)| gap_ns.abs_diff(cnt * interval_ns) < interval_ns / 10;
        (gaps.all(is_even) && frames < 8).then_some(Self {
            before,
            after,
            frames,
        })
    }
}

#[test]
#[ignore = "runs inside the VM"]
fn legacy_flips_are_known_timed_and_missed() {
    require_vm();
    assert_flips_are_known(false);
}

#[test]
#[ignore = "runs inside the VM"]
fn atomic_flips_are_known_timed_and_missed() {
    require_vm();
    assert_flips_are_known(true);
}

/// Runs `work` beside one busy thread for each of two CPUs; the ids of these.
fn beside_hogs(work: impl FnOnce(&[u32])) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let (ids, took) = std::sync::mpsc::channel();
        for _ in 0..2 {
            let (ids, stop) = (ids.clone(), &stop);
            scope.spawn(move || {
                ids.send(this_thread()).unwrap();
                while !stop.load(Ordering::Relaxed) {
                    burn(1_000);
                }
            });
        }
        let hogs: Vec<u32> = took.iter().take(2).collect();
        work(&hogs);
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
#[ignore = "runs inside the VM"]
fn interrupts_of_the_gpu_name_cpus_and_their_own_threads() {
    require_vm();
    let evidence = Evidence::create().unwrap();
    let detector = GpuIrqDetector::load(&evidence);
    assert_active(&detector);
    let (gpu, how) = Gpu::open().unwrap();
    println!("{how}");
    let total = || evidence.gpu_irq_cnts(2).unwrap().iter().sum::<u64>();
    let before = total();
    beside_hogs(|hogs| {
        // One interrupt may stand for several submissions.
        let served = wait_for(PATIENCE, || {
            gpu.submit().unwrap();
            total() >= before + 20
        });
        assert!(served, "{} after {before}", total());
        for hog in hogs {
            assert_eq!(evidence.of_thread(*hog).unwrap(), []);
        }
    });
    println!("interrupts by CPU: {:?}", evidence.gpu_irq_cnts(2).unwrap());
    let of_thread = |tid| evidence.of_thread(tid).unwrap_or_default();
    let all = threads().into_iter();
    let marked = all.filter(|(tid, _)| !of_thread(*tid).is_empty());
    let marked: BTreeSet<String> = marked.map(|(_, name)| name).collect();
    println!("marked: {marked:?}");
    let command_line = fs::read_to_string("/proc/cmdline").unwrap();
    assert_eq!(!marked.is_empty(), command_line.contains("threadirqs"));
    assert!(marked.iter().all(|name| name.starts_with("irq/")));
}
