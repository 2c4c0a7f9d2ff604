//! The daemon: one event loop around the scheduler.
//!
//! It waits, in one epoll set, for input events, process events, new modules, statistics clients,
//! signals and the scheduler's end. Detectors and shared maps live as long as the daemon; the scheduler is
//! attached anew when the kernel asks for it, as after a CPU came or went.

mod explain;
mod hooks;
mod sensors;
mod statistics;
mod stop;
mod uevents;

use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use log::{debug, info, warn};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use scx_utils::Topology;

use self::sensors::Sensors;
use self::statistics::Statistics;
use self::stop::StopSignal;
use crate::config::{Config, Feature};
use crate::detect::evidence::Evidence;
use crate::privileges;
use crate::real_time;
use crate::scheduler::{Attached, Opened, preflight};
use crate::topology::Layout;

/// The daemon's own nice value. When a CPU has come or gone, the kernel's scheduler runs the game
/// until ours is attached anew, and at nice 0 the daemon waits its turn among the whole load for
/// that: in the guest, one CPU left with a game and four hogs on it, more than 5 s on 6.18 and 3.0 s
/// on 7.3; with this value 1.3 s and 0.7 s.
const NICE: i32 = -10;

/// What the event loop waits for.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
enum Source {
    Stop,
    Exit,
    Input,
    Processes,
    Clients,
    Uevents,
}

/// Runs the scheduler until it is told to stop.
///
/// # Errors
/// If the scheduler cannot run here ([`crate::error::Error`]), or was ended by an error.
pub fn run(config: &Config) -> Result<()> {
    quieten_libbpf();
    preflight::check()?;
    warn_of_missing_parts(config);
    come_first();
    if let Err(error) = real_time::permit() {
        debug!("no turns in the real-time class: {error}");
    }
    privileges::drop_unneeded()?;
    let stop = StopSignal::install()?;
    let mut sensors = Sensors::start(config, &read_layout()?)?;
    let mut statistics = Statistics::new(config.stats_interval);
    loop {
        let mut storage = MaybeUninit::uninit();
        let opened = Opened::open(&mut storage, &config.libbpf)?;
        // Read once the kernel's count of hotplugs is noted: a CPU that comes now means a new start.
        let layout = read_layout()?;
        let attached = opened.load(config, &layout, sensors.evidence())?.attach()?;
        info!(
            "scx_gamer schedules {} CPUs; stop it with Ctrl-C or `systemctl stop scx_gamer`",
            layout.places().len()
        );
        let fast: Vec<u16> = layout.fast_cpus().collect();
        if !fast.is_empty() {
            info!(
                "the game's pipeline wakes on CPUs {fast:?} first: the others are slower or have less cache"
            );
        }
        statistics.begin_session();
        let told_to_stop = wait(&attached, &layout, &mut sensors, &mut statistics, &stop)?;
        let report = attached.finish()?;
        if told_to_stop || !report.restart {
            return Ok(());
        }
        info!("the kernel asks for a new start (a CPU came or went)");
    }
}

/// Loads the scheduler for a machine of this layout, passes the verifier on every program, and
/// takes it out again: what each program took, by number of verified instructions.
///
/// # Errors
/// If the scheduler cannot be loaded here.
pub fn verify(config: &Config, layout: &Layout) -> Result<Vec<(String, u32)>> {
    preflight::check()?;
    let mut storage = MaybeUninit::uninit();
    let opened = Opened::open(&mut storage, &config.libbpf)?;
    let loaded = opened.load(config, layout, &Evidence::create()?)?;
    Ok(loaded.verified_instructions())
}

/// So that nobody takes the run for a usual one.
fn warn_of_missing_parts(config: &Config) {
    if config.without.is_empty() {
        return;
    }
    let names: Vec<String> = config.without.iter().map(Feature::to_string).collect();
    warn!(
        "switched off by --without, to measure and not to play: {}",
        names.join(", ")
    );
}

/// Takes the priority above. Where a service manager has not left the right, its own setting holds.
fn come_first() {
    if let Err(errno) = rustix::process::nice(NICE) {
        debug!("the priority stays as it is: {errno}");
    }
}

/// libbpf writes pages about what it skips and tries; they are for `--verbose`, what they lead to
/// is reported by whoever asked.
pub fn quieten_libbpf() {
    libbpf_rs::set_print(Some((libbpf_rs::PrintLevel::Debug, |_, text| {
        debug!("{}", text.trim_end());
    })));
}

fn read_layout() -> Result<Layout> {
    let topology = Topology::new().context("cannot read the machine's topology from /sys")?;
    Ok(Layout::of(&topology)?)
}

/// Serves events until the scheduler ends (false) or the daemon is told to stop (true).
fn wait(
    attached: &Attached<'_>,
    layout: &Layout,
    sensors: &mut Sensors,
    statistics: &mut Statistics,
    stop: &StopSignal,
) -> Result<bool> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("cannot create an epoll")?;
    let add = |fd: BorrowedFd<'_>, source: Source| {
        epoll
            .add(fd, EpollEvent::new(EpollFlags::EPOLLIN, source as u64))
            .with_context(|| format!("cannot wait for {source:?}"))
    };
    add(stop.fd(), Source::Stop)?;
    add(attached.exit_fd(), Source::Exit)?;
    if let Some(fd) = sensors.input_fd() {
        add(fd, Source::Input)?;
    }
    if let Some(fd) = sensors.process_fd() {
        add(fd, Source::Processes)?;
    }
    if let Some(fd) = statistics.client_fd() {
        add(fd, Source::Clients)?;
    }
    if let Some(fd) = sensors.uevent_fd() {
        add(fd, Source::Uevents)?;
    }

    let mut events = [EpollEvent::empty(); 8];
    loop {
        let now = Instant::now();
        let deadlines = [sensors.next_deadline(), statistics.next_deadline()];
        let timeout = timeout_until(deadlines.into_iter().flatten().min(), now);
        let ready = match epoll.wait(&mut events, timeout) {
            Ok(count) => &events[..count],
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno).context("cannot wait for events"),
        };
        let is_ready = |source: Source| ready.iter().any(|event| event.data() == source as u64);
        if is_ready(Source::Stop) {
            return Ok(true);
        }
        if is_ready(Source::Exit) && attached.exited() {
            return Ok(false);
        }
        if is_ready(Source::Input) {
            sensors.drain_input();
        }
        if is_ready(Source::Processes) {
            sensors.drain_processes()?;
        }
        if is_ready(Source::Uevents) {
            sensors.drain_uevents();
        }
        sensors.on_deadline(Instant::now())?;
        if let Err(error) = statistics.serve(attached, layout, sensors) {
            warn!("no statistics this time: {error:#}");
        }
    }
}

/// The time to wait, rounded up so that a deadline is over when the wait is.
fn timeout_until(deadline: Option<Instant>, now: Instant) -> EpollTimeout {
    let Some(deadline) = deadline else {
        return EpollTimeout::NONE;
    };
    let wait = deadline.saturating_duration_since(now) + Duration::from_micros(999);
    EpollTimeout::try_from(wait).unwrap_or(EpollTimeout::MAX)
}
