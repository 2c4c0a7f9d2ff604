//! Goal: real events get from a real device to the consumer, none lost, none twice, none made up.
//! Method: uinput devices in a VM with four CPUs; run as root with `--ignored --test-threads=1`.

mod rig;

use std::collections::HashSet;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use libbpf_rs::{MapCore, MapFlags};
use rig::{Rig, inject};
use scx_gamer::detect::actor;
use scx_gamer::detect::evidence::{Evidence, EvidenceKind};
use scx_gamer::detect::hook::HookKind;
use scx_gamer::detect::input::{InputDetector, InputOptions, RingLayout};
use scx_gamer::detect::{Detector, DetectorState};
use scx_gamer::events::{DeviceClass, EVENT_QUEUE_MAX, RING_CNT, assign_rings};

const QUIET: Duration = Duration::from_millis(300);
/// A record and the header that the ring gives it.
const RECORD_IN_RING: u32 = 24;

/// A thousand reports at 1 kHz: what BPF counts, what arrives, and what was sent are the same.
fn check_thousand_events(rig: &mut Rig) {
    const CNT: u32 = 1000;
    let mut device = rig::mouse(3);
    let device_id = rig::device_id(&mut device);
    let before_ns = rig::monotonic_ns();
    let injector = std::thread::spawn(move || rig::inject_paced(&mut device, CNT, 1000));
    let events = rig.pump(QUIET, |_| injector.is_finished());
    injector.join().expect("the injector ends");
    let after_ns = rig::monotonic_ns();
    let counted = rig.detector.counters().expect("counters are readable");
    println!(
        "sent {CNT}, counted {}, drained {}, dropped {}, wake-ups {}",
        counted.events(),
        events.len(),
        counted.dropped_cnt,
        rig.wakeup_cnt
    );
    assert_eq!(counted.events(), u64::from(CNT));
    assert_eq!(counted.of_class(DeviceClass::Mouse), u64::from(CNT));
    assert_eq!(counted.dropped_cnt, 0);
    assert_eq!(events.len(), CNT as usize);
    let times: HashSet<u64> = events.iter().map(|event| event.time_ns).collect();
    assert_eq!(times.len(), CNT as usize, "no event came twice");
    assert!(
        times
            .iter()
            .all(|time| (before_ns..after_ns).contains(time))
    );
    assert!(events.iter().all(|event| event.device_id == device_id));
    assert_eq!(rig.consumer.totals().events(), u64::from(CNT));
    assert_eq!(rig.consumer.lost_cnt(), 0);
    let shared = rig::map_named("evidence");
    let value = shared.lookup(&0u32.to_ne_bytes(), MapFlags::ANY);
    let value = value.expect("evidence is readable").expect("it is there");
    let input_ns = u64::from_ne_bytes(*value.first_chunk().expect("it begins with the time"));
    let newest_ns = rig.consumer.totals().last_event_ns;
    assert!(newest_ns - input_ns < 100_000, "the window's time is stale");
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn every_event_is_counted_and_drained_once() {
    check_thousand_events(&mut Rig::with_layout(RingLayout::Many));
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn single_ring_loses_nothing_either() {
    let mut rig = Rig::with_layout(RingLayout::Single);
    assert_eq!(rig.detector.rings().len(), 1);
    check_thousand_events(&mut rig);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn kprobe_sees_the_same_events() {
    let mut rig = Rig::new(&InputOptions {
        hooks: &[HookKind::Kprobe],
        ..InputOptions::default()
    });
    let hook = "kprobe/input_event".to_owned();
    assert_eq!(rig.detector.state(), DetectorState::Active { hook });
    check_thousand_events(&mut rig);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn each_cpu_writes_its_own_ring() {
    const CNT: u32 = 200;
    let mut rig = Rig::with_layout(RingLayout::Many);
    let cpus = rig::cpus();
    assert!(cpus.len() >= 4, "this test needs four CPUs");
    let injectors: Vec<_> = cpus
        .iter()
        .map(|place| {
            let (cpu, mut device) = (place.cpu, rig::mouse(3));
            std::thread::spawn(move || {
                rig::pin_to(cpu);
                rig::inject_paced(&mut device, CNT, 500);
            })
        })
        .collect();
    let events = rig.pump(QUIET, |_| injectors.iter().all(|one| one.is_finished()));
    let record_cnts = rig.rings.record_cnts();
    println!("records in each ring: {record_cnts:?}");
    assert_eq!(events.len(), CNT as usize * cpus.len());
    let table = assign_rings(&cpus);
    let mut expected = vec![0u64; RING_CNT];
    for event in &events {
        expected[usize::from(table[usize::from(event.cpu)])] += 1;
    }
    assert_eq!(record_cnts, expected);
    assert!(record_cnts.iter().filter(|cnt| **cnt > 0).count() >= 4);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn full_ring_drops_are_counted_and_nothing_else_breaks() {
    let mut rig = Rig::with_layout(RingLayout::Many);
    let capacity = rig.detector.rings()[0].max_entries() / RECORD_IN_RING;
    assert!((capacity as usize) < EVENT_QUEUE_MAX);
    let sent = capacity + 500;
    let mut device = rig::mouse(3);
    let injector = std::thread::spawn(move || {
        rig::pin_to(0);
        inject(&mut device, sent);
        device
    });
    let mut device = injector.join().expect("the injector ends");
    let counted = rig.detector.counters().expect("counters are readable");
    let drained = rig.pump_quiet().len();
    println!(
        "sent {sent}, dropped {}, drained {drained}",
        counted.dropped_cnt
    );
    assert_eq!(counted.events(), u64::from(sent));
    assert_eq!(drained as u64 + counted.dropped_cnt, u64::from(sent));
    assert!(counted.dropped_cnt >= 500);
    inject(&mut device, 100);
    assert_eq!(rig.pump_quiet().len(), 100, "the ring works again");
    let after = rig.detector.counters().expect("counters are readable");
    assert_eq!(after.dropped_cnt, counted.dropped_cnt);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn device_class_follows_what_the_device_can_report() {
    let mut rig = Rig::with_layout(RingLayout::Many);
    let send = |rig: &mut Rig, mut device: evdev::uinput::VirtualDevice, event| {
        let id = rig::device_id(&mut device);
        device.emit(&[event]).expect("uinput takes events");
        let events = rig.pump_quiet();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].device_id, id);
        events[0].device_class
    };
    let key = |code: evdev::KeyCode| evdev::InputEvent::new(1, code.code(), 1);
    let (power, letter) = (evdev::KeyCode::KEY_POWER, evdev::KeyCode::KEY_A);
    let south = evdev::KeyCode::BTN_SOUTH;
    for (device, event, class) in [
        (rig::mouse(3), rig::nth_event(0), DeviceClass::Mouse),
        (rig::mouse(20), rig::nth_event(1), DeviceClass::Mouse),
        (rig::keyboard(), key(letter), DeviceClass::Keyboard),
        (rig::gamepad(), key(south), DeviceClass::Gamepad),
        (rig::power_button(), key(power), DeviceClass::Other),
    ] {
        assert_eq!(send(&mut rig, device, event), class);
        let counted = rig.detector.counters().expect("counters are readable");
        assert!(counted.of_class(class) > 0);
    }
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn reader_of_a_device_is_marked_and_no_one_else() {
    let evidence = Evidence::create().expect("the evidence maps are created");
    let readers = actor::detect(&evidence, EvidenceKind::Input);
    println!("{}", readers.state());
    let mut device = rig::mouse(3);
    let node = rig::event_node(&mut device);
    let mut child = Command::new("cat")
        .arg(&node)
        .stdout(Stdio::piped())
        .spawn()
        .expect("cat starts");
    let mut output = child.stdout.take().expect("its output is a pipe");
    let mut bytes = [0; 24];
    // Until cat has opened the node its events go nowhere.
    let injector = std::thread::spawn(move || rig::inject_paced(&mut device, 500, 100));
    output.read_exact(&mut bytes).expect("cat reads an event");
    let now_ns = rig::monotonic_ns();
    let seen = evidence.of_thread(child.id()).expect("it can be read");
    let other = evidence
        .of_thread(std::process::id())
        .expect("it can be read");
    let shared = rig::map_named("evidence").lookup(&0u32.to_ne_bytes(), MapFlags::ANY);
    child.kill().expect("cat ends");
    child.wait().expect("cat is gone");
    injector.join().expect("the injector ends");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].kind, EvidenceKind::Input);
    assert!(
        (seen[0].since_ns..=now_ns).contains(&seen[0].last_ns),
        "{seen:?}"
    );
    assert_eq!(other, [], "this process reads no device");
    let shared = shared.expect("evidence is readable").expect("it is there");
    let at = std::mem::offset_of!(scx_gamer::intf::evidence, actor_cnt);
    assert_eq!(
        shared[at..at + 8],
        1u64.to_ne_bytes(),
        "one reader, seen once"
    );
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn missing_hook_is_unavailable_with_its_reason() {
    let evidence = Evidence::create().expect("the evidence maps are created");
    let options = InputOptions {
        function: "no_such_function",
        ..InputOptions::default()
    };
    let missing = InputDetector::load(&evidence, &rig::cpus(), &options).expect_err("no hook");
    println!("{missing}");
    assert!(missing.to_string().contains("no_such_function"));
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn reader_hook_comes_and_goes_with_its_module() {
    let evidence = Evidence::create().expect("the evidence maps are created");
    assert!(
        rig::run("rmmod", &["evdev"]),
        "evdev is a module that nobody uses"
    );
    let mut readers = actor::detect(&evidence, EvidenceKind::Input);
    let state = readers.state().to_string();
    println!("{state}");
    assert!(!state.contains("evdev_read"), "{state}");
    let input = InputDetector::load(&evidence, &rig::cpus(), &InputOptions::default());
    assert!(input.is_ok(), "input events do not need evdev");
    assert!(
        rig::run("modprobe", &["evdev"]),
        "evdev can be loaded again"
    );
    readers.hook_missing(&evidence);
    let state = readers.state().to_string();
    assert!(
        state.starts_with("active") && state.contains("/evdev_read"),
        "{state}"
    );
    assert!(!rig::run("rmmod", &["evdev"]), "the hook holds the module");
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn cost_of_the_hooks_is_reported() {
    const STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";
    const CNT: u32 = 20_000;
    std::fs::write(STATS, "1").expect("the kernel has BPF statistics");
    for (hook, program) in [
        (HookKind::Fentry, "input_event_fentry"),
        (HookKind::Kprobe, "input_event_kprobe"),
    ] {
        let mut rig = Rig::new(&InputOptions {
            hooks: &[hook],
            ..InputOptions::default()
        });
        let mut device = rig::mouse(3);
        let injector = std::thread::spawn(move || inject(&mut device, CNT));
        rig.pump(QUIET, |_| injector.is_finished());
        let info = rig::program_named(program).expect("the program is loaded");
        println!(
            "{hook}: {} ns per event with its EV_SYN; {} calls, {} missed",
            info.run_time_ns / u64::from(CNT),
            info.run_cnt,
            info.recursion_misses
        );
        assert!(info.run_cnt >= u64::from(CNT));
    }
    std::fs::write(STATS, "0").expect("statistics can be turned off");
}
