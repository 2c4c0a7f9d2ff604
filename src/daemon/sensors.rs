//! All that the daemon senses: the detectors it runs, and what they have told so far.
//!
//! Each detector may be missing; that costs one line in the log and its signal.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use log::{debug, info, warn};

use super::hooks::Hooks;
use super::uevents::Uevents;
use crate::config::{Config, Nanoseconds};
use crate::detect::cost::Cost;
use crate::detect::evidence::Evidence;
use crate::detect::game::live::LiveProcesses;
use crate::detect::game::{GameFinder, GameInfo, GameOptions};
use crate::detect::input::{InputDetector, InputOptions, InputTotals};
use crate::detect::process::{ProcessEvent, ProcessEvents};
use crate::detect::sync::SyncDetector;
use crate::detect::{self, DetectorState};
use crate::events::{CpuNode, EventQueue, EventRings, InputConsumer};
use crate::topology::Layout;

/// The detectors with their state.
pub(super) struct Sensors {
    evidence: Evidence,
    input: Result<Input, DetectorState>,
    hooks: Hooks,
    processes: Result<ProcessEvents, DetectorState>,
    /// Tells of modules that come later; without it, they are looked for when a game is found.
    uevents: Option<Uevents>,
    finder: GameFinder<LiveProcesses>,
    /// The game's process id as the finder publishes it; 0 for none.
    answer: Arc<AtomicU32>,
}

/// The input detector with the way its events take.
struct Input {
    detector: InputDetector,
    rings: EventRings,
    consumer: InputConsumer,
}

impl Sensors {
    /// Starts everything that this kernel allows.
    ///
    /// # Errors
    /// If the shared maps cannot be created, or if `--game-pid` names no process.
    pub(super) fn start(config: &Config, layout: &Layout) -> Result<Self> {
        let evidence = Evidence::create()?;
        let processes = ProcessEvents::load(&evidence).map_err(|unavailable| {
            warn!("{unavailable}");
            unavailable.state()
        });
        let answer = Arc::new(AtomicU32::new(0));
        let options = GameOptions {
            game_pid: config.game_pid.map(std::num::NonZero::get),
            polling: processes.is_err(),
        };
        let source = LiveProcesses::with(evidence.process_records()?);
        let finder = GameFinder::new(source, options, Arc::clone(&answer), Instant::now())?;
        // Before the detectors look what is there: what comes meanwhile is told.
        let uevents = Uevents::listen()
            .inspect_err(|error| warn!("modules that come later are found late: {error:#}"))
            .ok();
        // Before the detectors: some are in use only while there is a game.
        evidence.set_game(answer.load(Ordering::Relaxed), finder.family())?;
        let mut detectors = detect::load_all(&evidence);
        if config.detect_sync {
            detectors.push(Box::new(SyncDetector::load(&evidence)));
        }
        Ok(Self {
            uevents,
            input: Input::start(&evidence, layout, config),
            hooks: Hooks::of(detectors),
            evidence,
            processes,
            finder,
            answer,
        })
    }

    pub(super) fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    pub(super) fn input_fd(&self) -> Option<BorrowedFd<'_>> {
        self.input.as_ref().ok().map(|input| input.rings.fd())
    }

    pub(super) fn process_fd(&self) -> Option<BorrowedFd<'_>> {
        self.processes.as_ref().ok().map(ProcessEvents::epoll_fd)
    }

    pub(super) fn uevent_fd(&self) -> Option<BorrowedFd<'_>> {
        self.uevents.as_ref().map(Uevents::fd)
    }

    /// Hooks what has come with a module or a device.
    pub(super) fn drain_uevents(&mut self) {
        let Some(uevents) = &self.uevents else { return };
        match uevents.drain() {
            Ok(true) => self.hooks.want(Instant::now()),
            Ok(false) => (),
            Err(error) => {
                warn!("modules that come later are found late: {error:#}");
                self.uevents = None;
            }
        }
    }

    /// Takes what input events wait. A detector that cannot be read any more is taken down, with its
    /// descriptor; the scheduler goes on without.
    pub(super) fn drain_input(&mut self) {
        let Ok(input) = &mut self.input else { return };
        match input.rings.drain() {
            Ok(_) => {
                input.consumer.consume(|_| ());
            }
            Err(error) => {
                let reason = format!("{error:#}");
                warn!("no input windows any more: {reason}");
                self.input = Err(DetectorState::Unavailable { reason });
            }
        }
    }

    pub(super) fn drain_processes(&mut self) -> Result<()> {
        let Ok(processes) = &mut self.processes else {
            return Ok(());
        };
        let now = Instant::now();
        let finder = &mut self.finder;
        let mut changed = false;
        let drained = processes.drain(|event| match event {
            ProcessEvent::Exec(pid) => finder.on_exec(pid, now),
            ProcessEvent::Exit(pid) => changed |= finder.on_exit(pid, now),
            ProcessEvent::Fork {
                parent,
                child,
                start_ticks,
            } => finder.on_fork(parent, child, start_ticks),
        });
        match drained {
            Ok(0) => (),
            Ok(lost_cnt) => {
                debug!("{lost_cnt} process events were lost: looking through /proc");
                finder.on_events_lost(now);
            }
            Err(error) => {
                let reason = format!("{error:#}");
                warn!("looking through /proc for the game from now on: {reason}");
                finder.poll_from_now_on(now);
                self.processes = Err(DetectorState::Unavailable { reason });
            }
        }
        self.follow_game(changed)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [self.finder.next_deadline(), self.hooks.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    pub(super) fn on_deadline(&mut self, now: Instant) -> Result<()> {
        self.hooks.on_deadline(&self.evidence, now);
        let due = self.finder.next_deadline().is_some_and(|due| due <= now);
        let changed = due && self.finder.on_deadline(now);
        self.follow_game(changed)
    }

    /// Input events as the detector has counted them.
    pub(super) fn input_totals(&self) -> Result<InputTotals> {
        match &self.input {
            Ok(input) => input.detector.counters(),
            Err(_) => Ok(InputTotals::default()),
        }
    }

    /// The consumer of the input events, if there is a detector.
    pub(super) fn consumer(&self) -> Option<&InputConsumer> {
        self.input.as_ref().ok().map(|input| &input.consumer)
    }

    pub(super) fn game(&self) -> Option<&GameInfo> {
        self.finder.current()
    }

    /// Name and state of each detector.
    pub(super) fn states(&self) -> Vec<(&'static str, DetectorState)> {
        let input = state_of(&self.input, |input| input.detector.state());
        let processes = state_of(&self.processes, ProcessEvents::state);
        let mut states = vec![("input", input), ("process", processes)];
        let others = self.hooks.detectors();
        states.extend(others.map(|detector| (detector.name(), detector.state())));
        states
    }

    /// Name and cost of each detector that is in use.
    pub(super) fn costs(&self) -> Vec<(&'static str, Cost)> {
        let input = self.input.iter();
        let input = input.map(|input| ("input", input.detector.cost()));
        let processes = self.processes.iter();
        let processes = processes.map(|processes| ("process", processes.cost()));
        let others = self.hooks.detectors();
        let others = others.map(|detector| (detector.name(), detector.cost()));
        input.chain(processes).chain(others).collect()
    }

    fn publish_game(&self) -> Result<()> {
        let game = self.answer.load(Ordering::Relaxed);
        self.evidence.set_game(game, self.finder.family())
    }

    /// Publishes what has changed: another game, or only its family.
    fn follow_game(&mut self, game_changed: bool) -> Result<()> {
        let family_changed = self.finder.take_family_change();
        if game_changed {
            self.game_changed()
        } else if family_changed {
            self.publish_game()
        } else {
            Ok(())
        }
    }

    fn game_changed(&mut self) -> Result<()> {
        match self.finder.current() {
            Some(game) => info!(
                "the game is {} (pid {}, {} % sure: {})",
                game.name, game.pid, game.confidence, game.evidence
            ),
            None => info!("the game has ended"),
        }
        self.publish_game()?;
        let now = Instant::now();
        if self.finder.current().is_some() {
            self.hooks.want(now);
        } else {
            self.hooks.release(now);
        }
        Ok(())
    }
}

fn state_of<T>(
    detector: &Result<T, DetectorState>,
    active: impl Fn(&T) -> DetectorState,
) -> DetectorState {
    detector.as_ref().map_or_else(Clone::clone, active)
}

impl Input {
    fn start(evidence: &Evidence, layout: &Layout, config: &Config) -> Result<Self, DetectorState> {
        let cpus: Vec<CpuNode> = layout
            .places()
            .iter()
            .map(|place| CpuNode {
                cpu: place.cpu.into(),
                node: place.node.into(),
            })
            .collect();
        let unavailable = |reason: String| {
            warn!("no input windows: {reason}");
            DetectorState::Unavailable { reason }
        };
        let options = InputOptions {
            windows_ns: config.input_windows.map(Nanoseconds::get),
            ..InputOptions::default()
        };
        let detector = InputDetector::load(evidence, &cpus, &options)
            .map_err(|error| unavailable(error.reason))?;
        let queue = Arc::new(EventQueue::default());
        let rings = EventRings::new(detector.rings(), &queue)
            .context("cannot read the input rings")
            .map_err(|error| unavailable(format!("{error:#}")))?;
        Ok(Self {
            detector,
            rings,
            consumer: InputConsumer::new(queue),
        })
    }
}
