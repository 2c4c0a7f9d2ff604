//! Statistics on their way out: to clients of the socket and, with `--stats`, to the log.

use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use log::warn;

use super::explain::explain;
use super::sensors::Sensors;
use crate::events::DeviceClass;
use crate::monitor::LinePrinter;
use crate::scheduler::{Attached, enable_run_time_stats};
use crate::stats::{Game, Metrics, SOCKET_PATH, Snapshot, StatsServer};
use crate::topology::Layout;

/// The kernel measures the run time of BPF programs, which costs time itself, only while somebody
/// looks; so long after the last look it goes on.
const RUN_TIME_STATS_HOLD: Duration = Duration::from_secs(10);

/// The server, the lines for the log, and what both need.
pub(super) struct Statistics {
    server: Option<StatsServer>,
    lines: Option<Lines>,
    sessions: u32,
    attached_at: Instant,
    run_time_stats: Option<(OwnedFd, Instant)>,
}

/// The lines of `--stats`.
struct Lines {
    interval: Duration,
    due: Instant,
    printer: LinePrinter,
    last: Option<Snapshot>,
}

impl Statistics {
    pub(super) fn new(line_interval: Option<Duration>) -> Self {
        let now = Instant::now();
        Self {
            server: None,
            lines: line_interval.map(|interval| Lines {
                interval,
                due: now + interval,
                printer: LinePrinter::default(),
                last: None,
            }),
            sessions: 0,
            attached_at: now,
            run_time_stats: None,
        }
    }

    /// The scheduler has been attached: its counters begin again. Opens the socket the first time,
    /// when it is sure that no other scheduler's daemon owns it.
    pub(super) fn begin_session(&mut self) {
        self.sessions += 1;
        self.attached_at = Instant::now();
        if self.server.is_none() {
            self.server = StatsServer::launch(Path::new(SOCKET_PATH))
                .inspect_err(|error| warn!("no statistics for --monitor: {error:#}"))
                .ok();
        }
    }

    pub(super) fn client_fd(&self) -> Option<BorrowedFd<'_>> {
        self.server.as_ref().map(StatsServer::wake_fd)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let line = self.lines.as_ref().map(|lines| lines.due);
        let hold = self.run_time_stats.as_ref().map(|(_, until)| *until);
        [line, hold].into_iter().flatten().min()
    }

    /// Answers the clients that wait and prints the line that is due.
    pub(super) fn serve(
        &mut self,
        attached: &Attached<'_>,
        layout: &Layout,
        sensors: &Sensors,
    ) -> Result<()> {
        let now = Instant::now();
        self.run_time_stats.take_if(|(_, until)| *until <= now);
        let mut asked = false;
        if let Some(server) = &self.server {
            let snapshot = || {
                asked = true;
                self.snapshot(attached, layout, sensors)
            };
            let game = sensors.game().map_or(0, |game| game.pid);
            server.answer(snapshot, |pid| explain(sensors.evidence(), game, pid))?;
        }
        if let Some(lines) = self.lines.as_mut().filter(|lines| lines.due <= now) {
            lines.due = now + lines.interval;
            asked = true;
            let snapshot = self.snapshot(attached, layout, sensors)?;
            if self
                .lines
                .as_mut()
                .is_some_and(|lines| lines.print(snapshot).is_err())
            {
                // Nobody reads them any more.
                self.lines = None;
            }
        }
        if asked {
            self.measure_run_time(now);
        }
        Ok(())
    }

    fn measure_run_time(&mut self, now: Instant) {
        let until = now + RUN_TIME_STATS_HOLD;
        match &mut self.run_time_stats {
            Some((_, held_until)) => *held_until = until,
            None => {
                self.run_time_stats = enable_run_time_stats()
                    .inspect_err(|error| warn!("{error:#}"))
                    .ok()
                    .map(|fd| (fd, until));
            }
        }
    }

    fn snapshot(
        &self,
        attached: &Attached<'_>,
        layout: &Layout,
        sensors: &Sensors,
    ) -> Result<Snapshot> {
        let consumer = sensors.consumer();
        let drained = |class| consumer.map_or(0, |consumer| consumer.totals().of_class(class));
        let cpu_stats = attached.cpu_stats()?;
        Ok(Snapshot {
            taken_at: Instant::now(),
            attached_at: self.attached_at,
            restart_cnt: self.sessions.saturating_sub(1),
            online_cpu_cnt: u32::try_from(layout.places().len()).unwrap_or(u32::MAX),
            displays: sensors.evidence().displays()?,
            gpu_irq_cnts: sensors.evidence().gpu_irq_cnts(cpu_stats.len())?,
            cpu_stats,
            llcs: attached.llcs(layout.llc_count()),
            input: sensors.input_totals()?,
            drained_cnt: DeviceClass::ALL.map(drained),
            locks: sensors.evidence().lock_counts()?,
            queue_dropped_cnt: consumer.map_or(0, |consumer| consumer.lost_cnt()),
            napi: sensors.evidence().napi()?,
            xrun_cnt: sensors.evidence().xrun_cnt()?,
            game: sensors.game().map(|game| Game {
                pid: game.pid,
                name: game.name.clone(),
                confidence_pct: game.confidence.into(),
            }),
            detectors: sensors.states(),
            detector_costs: sensors.costs(),
            programs: match self.run_time_stats {
                Some(_) => attached.program_costs(),
                None => Vec::new(),
            },
        })
    }
}

impl Lines {
    fn print(&mut self, snapshot: Snapshot) -> io::Result<()> {
        let metrics = match &self.last {
            Some(last) => Metrics::between(last, &snapshot),
            None => Metrics::since_attach(&snapshot),
        };
        self.last = Some(snapshot);
        let mut out = io::stdout().lock();
        out.write_all(self.printer.interval(&metrics).as_bytes())?;
        out.flush()
    }
}
