//! Virtual devices and the whole path from the hook to the consumer, for the tests beside it.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evdev::uinput::VirtualDevice;
use evdev::{
    AbsInfo, AbsoluteAxisCode, AttributeSet, EventType, InputEvent as RawEvent, KeyCode, MiscCode,
    RelativeAxisCode, UinputAbsSetup,
};
use libbpf_rs::MapHandle;
use libbpf_rs::query::{MapInfoIter, ProgInfoIter, ProgramInfo};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::time::clock_gettime;
use nix::unistd::Pid;
use scx_gamer::detect::evidence::Evidence;
use scx_gamer::detect::input::{InputDetector, InputOptions, RingLayout};
use scx_gamer::events::{CpuNode, EventQueue, EventRings, InputConsumer, InputEvent};

/// A bound that only a broken path reaches.
const PUMP_BOUND: Duration = Duration::from_secs(20);

pub(crate) struct Rig {
    pub(crate) detector: InputDetector,
    pub(crate) rings: EventRings,
    pub(crate) consumer: InputConsumer,
    pub(crate) wakeup_cnt: u32,
}

impl Rig {
    pub(crate) fn new(options: &InputOptions<'_>) -> Self {
        let evidence = Evidence::create().expect("the evidence maps are created");
        let detector =
            InputDetector::load(&evidence, &cpus(), options).expect("the detector loads");
        let queue = Arc::new(EventQueue::default());
        let rings = EventRings::new(detector.rings(), &queue).expect("the rings are mapped");
        println!("{}, {}", detector.state(), detector.layout());
        Self {
            detector,
            rings,
            consumer: InputConsumer::new(queue),
            wakeup_cnt: 0,
        }
    }

    pub(crate) fn with_layout(layout: RingLayout) -> Self {
        Self::new(&InputOptions {
            layouts: &[layout],
            ..InputOptions::default()
        })
    }

    /// Serves the rings as the daemon does: sleeps on the descriptor, drains when it is readable.
    /// Ends when nothing is due for as long as `quiet` and `done` says so.
    pub(crate) fn pump(
        &mut self,
        quiet: Duration,
        done: impl Fn(usize) -> bool,
    ) -> Vec<InputEvent> {
        let mut events = Vec::new();
        let start = Instant::now();
        let timeout = u16::try_from(quiet.as_millis()).expect("a short pause");
        loop {
            let mut fds = [PollFd::new(self.rings.fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, timeout).expect("poll works");
            if ready == 0 && done(events.len()) {
                return events;
            }
            if ready > 0 {
                self.wakeup_cnt += 1;
                self.rings.drain().expect("the rings drain");
                self.consumer.consume(|event| events.push(*event));
            }
            assert!(
                start.elapsed() < PUMP_BOUND,
                "only {} events have come",
                events.len()
            );
        }
    }

    pub(crate) fn pump_quiet(&mut self) -> Vec<InputEvent> {
        self.pump(Duration::from_millis(200), |_| true)
    }
}

/// The guest's CPUs as one node.
pub(crate) fn cpus() -> Vec<CpuNode> {
    let cnt = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (0..u32::try_from(cnt).expect("few CPUs"))
        .map(|cpu| CpuNode { cpu, node: 0 })
        .collect()
}

fn keys(codes: &[KeyCode]) -> AttributeSet<KeyCode> {
    codes.iter().copied().collect()
}

/// A mouse with this many buttons, which also sends scan codes (`EV_MSC`).
pub(crate) fn mouse(button_cnt: u16) -> VirtualDevice {
    let buttons: Vec<KeyCode> = (0..button_cnt)
        .map(|n| KeyCode::new(KeyCode::BTN_LEFT.code() + n))
        .collect();
    let axes: AttributeSet<RelativeAxisCode> = [
        RelativeAxisCode::REL_X,
        RelativeAxisCode::REL_Y,
        RelativeAxisCode::REL_WHEEL,
    ]
    .into_iter()
    .collect();
    let scan_codes: AttributeSet<MiscCode> = [MiscCode::MSC_SCAN].into_iter().collect();
    VirtualDevice::builder()
        .and_then(|device| device.name("guest mouse").with_keys(&keys(&buttons)))
        .and_then(|device| device.with_relative_axes(&axes))
        .and_then(|device| device.with_msc(&scan_codes))
        .and_then(|device| device.build())
        .expect("uinput makes a mouse")
}

pub(crate) fn keyboard() -> VirtualDevice {
    let all: Vec<KeyCode> = (KeyCode::KEY_ESC.code()..=KeyCode::KEY_COMPOSE.code())
        .map(KeyCode::new)
        .collect();
    VirtualDevice::builder()
        .and_then(|device| device.name("guest keyboard").with_keys(&keys(&all)))
        .and_then(|device| device.build())
        .expect("uinput makes a keyboard")
}

pub(crate) fn gamepad() -> VirtualDevice {
    let buttons = keys(&[KeyCode::BTN_SOUTH, KeyCode::BTN_EAST, KeyCode::BTN_START]);
    let stick = UinputAbsSetup::new(
        AbsoluteAxisCode::ABS_X,
        AbsInfo::new(0, -32768, 32767, 0, 0, 0),
    );
    VirtualDevice::builder()
        .and_then(|device| device.name("guest gamepad").with_keys(&buttons))
        .and_then(|device| device.with_absolute_axis(&stick))
        .and_then(|device| device.build())
        .expect("uinput makes a gamepad")
}

pub(crate) fn power_button() -> VirtualDevice {
    VirtualDevice::builder()
        .and_then(|device| {
            device
                .name("guest button")
                .with_keys(&keys(&[KeyCode::KEY_POWER]))
        })
        .and_then(|device| device.build())
        .expect("uinput makes a button")
}

/// The N of the device's `inputN`.
pub(crate) fn device_id(device: &mut VirtualDevice) -> u32 {
    let path = device.get_syspath().expect("the device is in sysfs");
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_prefix("input")?.parse().ok())
        .expect("the device is named inputN")
}

/// The device's node, made by devtmpfs.
pub(crate) fn event_node(device: &mut VirtualDevice) -> std::path::PathBuf {
    let sysfs = device.get_syspath().expect("the device is in sysfs");
    std::fs::read_dir(sysfs)
        .expect("the device's folder can be read")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .find(|name| name.starts_with("event"))
        .map(|name| Path::new("/dev/input").join(name))
        .expect("evdev has taken the device")
}

/// The n-th event of a row in which motion and button change places.
pub(crate) fn nth_event(n: u32) -> RawEvent {
    match n % 4 {
        1 => RawEvent::new(EventType::KEY.0, KeyCode::BTN_LEFT.code(), 1),
        3 => RawEvent::new(EventType::KEY.0, KeyCode::BTN_LEFT.code(), 0),
        _ => RawEvent::new(EventType::RELATIVE.0, RelativeAxisCode::REL_X.0, 1),
    }
}

/// Sends `cnt` events, each in a report of its own, as fast as they go.
pub(crate) fn inject(device: &mut VirtualDevice, cnt: u32) {
    for n in 0..cnt {
        device.emit(&[nth_event(n)]).expect("uinput takes events");
    }
}

/// Sends `cnt` reports at `rate` per second: one event, one scan code, and the `EV_SYN` that ends
/// the report.
pub(crate) fn inject_paced(device: &mut VirtualDevice, cnt: u32, rate: u32) {
    let scan_code = RawEvent::new(EventType::MISC.0, MiscCode::MSC_SCAN.0, 1);
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty()).expect("a timer");
    let interval = Duration::from_secs(1) / rate;
    timer
        .set(
            Expiration::Interval(interval.into()),
            TimerSetTimeFlags::empty(),
        )
        .expect("the timer starts");
    for n in 0..cnt {
        timer.wait().expect("the timer ticks");
        device
            .emit(&[scan_code, nth_event(n)])
            .expect("uinput takes events");
    }
}

pub(crate) fn pin_to(cpu: u32) {
    let mut set = CpuSet::new();
    set.set(cpu as usize).expect("the CPU id is in range");
    sched_setaffinity(Pid::from_raw(0), &set).expect("the CPU exists");
}

pub(crate) fn monotonic_ns() -> u64 {
    let now = Duration::from(clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("a clock"));
    u64::try_from(now.as_nanos()).expect("an uptime fits")
}

/// The newest map with this name.
pub(crate) fn map_named(name: &str) -> MapHandle {
    let id = MapInfoIter::default()
        .filter(|info| info.name == name)
        .map(|info| info.id)
        .max()
        .expect("the map exists");
    MapHandle::from_map_id(id).expect("the map can be opened")
}

/// The newest program with this name, which the kernel cuts after 15 bytes.
pub(crate) fn program_named(name: &str) -> Option<ProgramInfo> {
    ProgInfoIter::default()
        .filter(|info| info.name == name[..name.len().min(15)])
        .max_by_key(|info| info.id)
}

/// Runs a command and says whether it succeeded.
pub(crate) fn run(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).status();
    status.is_ok_and(|status| status.success())
}
