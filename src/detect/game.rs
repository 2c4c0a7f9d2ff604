//! Finds the game among the processes of the machine.
//!
//! Starts and ends of processes come in as events, what a process is comes from snapshots of
//! `/proc`, and time comes in as a parameter: nothing here sleeps, waits or writes to a process.
//! The event loop calls [`GameFinder::on_exec`], [`GameFinder::on_exit`] and
//! [`GameFinder::on_events_lost`] as it hears of them, and [`GameFinder::on_deadline`] at
//! [`GameFinder::next_deadline`]. Each call tells whether the answer has changed.
//!
//! A game is found about 100 ms after its exec. It stays the answer until it ends, or until another
//! process has clearly led for some seconds, so that the answer does not flap.

mod ancestry;
mod answer;
pub mod arrivals;
pub mod candidates;
pub mod classify;
pub mod family;
pub mod helpers;
pub mod live;
pub mod snapshot;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ancestry::{has_gamescope_above, is_same};
pub use answer::{GameCounters, GameError, GameInfo, GameOptions};
use arrivals::Arrivals;
use candidates::{Candidate, Candidates};
use classify::Verdict;
use family::Family;
use snapshot::{ProcessSnapshot, ProcessSource, Unread};

/// Between two looks through all of `/proc` where there are no process events.
pub const POLL_PERIOD: Duration = Duration::from_secs(2);
/// Shortest time between two looks through all of `/proc` because events were lost.
const RESCAN_PERIOD_MIN: Duration = Duration::from_secs(1);
/// Most processes looked at in one call, so that a storm does not hold up the event loop.
const LOOKS_PER_CALL: usize = 128;
/// Confidence of a game the user has named.
const CONFIDENCE_NAMED: u8 = 100;

/// Finds the game and publishes it.
pub struct GameFinder<S> {
    source: S,
    named: Option<Named>,
    polling: bool,
    answer: Arc<AtomicU32>,
    arrivals: Arrivals,
    /// Processes of the running look through `/proc` that still wait for their turn.
    sweep: Vec<u32>,
    candidates: Candidates,
    current: Option<GameInfo>,
    family: Family,
    rescan_at: Option<Instant>,
    rescanned: Option<Instant>,
    counters: GameCounters,
}

/// The process given by `--game-pid`.
struct Named {
    pid: u32,
    name: String,
    start_ticks: u64,
}

impl<S: ProcessSource> GameFinder<S> {
    /// Starts a search. `answer` always holds the game's process id, 0 for none. The first look
    /// through `/proc` is due at once: see [`Self::next_deadline`].
    ///
    /// # Errors
    /// [`GameError`] if the process given in `options` is not there.
    pub fn new(
        source: S,
        options: GameOptions,
        answer: Arc<AtomicU32>,
        now: Instant,
    ) -> Result<Self, GameError> {
        let named = options
            .game_pid
            .map(|pid| find_named(&source, pid))
            .transpose()?;
        let mut finder = Self {
            source,
            named,
            polling: options.polling,
            answer,
            arrivals: Arrivals::default(),
            sweep: Vec::new(),
            candidates: Candidates::default(),
            current: None,
            family: Family::default(),
            rescan_at: Some(now),
            rescanned: None,
            counters: GameCounters::default(),
        };
        finder.publish(None, now);
        let _ = finder.choose(now);
        Ok(finder)
    }

    /// The present game.
    pub fn current(&self) -> Option<&GameInfo> {
        self.current.as_ref()
    }

    /// Counts since the start.
    pub fn counters(&self) -> GameCounters {
        GameCounters {
            evicted_cnt: self.candidates.evicted_cnt(),
            family_refused_cnt: self.family.refused_cnt(),
            ..self.counters
        }
    }

    /// The other processes of the game's family.
    pub fn family(&self) -> impl ExactSizeIterator<Item = u32> {
        self.family.members()
    }

    /// Whether the family has changed since the last call.
    #[must_use]
    pub fn take_family_change(&mut self) -> bool {
        self.family.take_change()
    }

    /// Number of processes held in memory: waiting for a first look, candidates, family.
    pub fn tracked_cnt(&self) -> usize {
        let arrivals = self.arrivals.held_cnt() + self.sweep.len();
        arrivals + self.candidates.held_cnt() + self.family.members().len()
    }

    /// A process has begun a new program. It is looked at a moment later.
    pub fn on_exec(&mut self, pid: u32, now: Instant) {
        if !self.arrivals.push(pid, now) {
            self.on_events_lost(now);
        }
    }

    /// A process of the family has made another, which began at `start_ticks`.
    pub fn on_fork(&mut self, parent: u32, child: u32, start_ticks: u64) {
        self.family.fork(parent, child, start_ticks);
    }

    /// A process has ended. Returns whether the answer has changed.
    #[must_use]
    pub fn on_exit(&mut self, pid: u32, now: Instant) -> bool {
        self.arrivals.remove(pid);
        self.family.remove(pid);
        let was_named = self.named.take_if(|named| named.pid == pid).is_some();
        if self.candidates.remove(pid) || was_named {
            self.candidates.plan_contest(now);
            return self.choose(now);
        }
        false
    }

    /// Events were lost: all of `/proc` is looked through, at most once a second.
    pub fn on_events_lost(&mut self, now: Instant) {
        let earliest = self
            .rescanned
            .map_or(now, |last| (last + RESCAN_PERIOD_MIN).max(now));
        self.rescan_at = Some(
            self.rescan_at
                .map_or(earliest, |planned| planned.min(earliest)),
        );
    }

    /// There will be no more events: looks through `/proc` by the clock instead.
    pub fn poll_from_now_on(&mut self, now: Instant) {
        self.polling = true;
        self.rescan_at = Some(now);
    }

    /// When [`Self::on_deadline`] has work to do; `None`: not before the next event.
    pub fn next_deadline(&self) -> Option<Instant> {
        let sweep = if self.sweep.is_empty() {
            None
        } else {
            self.rescanned
        };
        [
            self.rescan_at,
            self.arrivals.next_due(),
            self.candidates.next_look(),
            sweep,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what is due. Returns whether the answer has changed. Early or late calls do no harm;
    /// after a storm the next deadline may already have passed.
    #[must_use]
    pub fn on_deadline(&mut self, now: Instant) -> bool {
        if self.rescan_at.is_some_and(|at| at <= now) {
            self.begin_rescan(now);
        }
        let mut looks_left = LOOKS_PER_CALL;
        while looks_left > 0
            && let Some(pid) = self.arrivals.pop_due(now).or_else(|| self.sweep.pop())
        {
            self.look_at(pid, now);
            looks_left -= 1;
        }
        for pid in self.candidates.due(now, looks_left) {
            self.look_at(pid, now);
        }
        self.candidates.plan_contest(now);
        // With half of them seen, the first choice would be made among the wrong ones.
        let is_complete = self.sweep.is_empty() && !self.arrivals.has_due(now);
        if is_complete || self.answer_has_gone() {
            self.choose(now)
        } else {
            false
        }
    }

    fn answer_has_gone(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|game| !self.is_known(game))
    }

    fn is_known(&self, game: &GameInfo) -> bool {
        self.named
            .as_ref()
            .is_some_and(|named| named.pid == game.pid)
            || self.candidates.get(game.pid).is_some_and(|candidate| {
                candidate.claim.is_some() && candidate.start_ticks == game.start_ticks
            })
    }

    /// Ends can be among the lost events, so what is known is checked as well as what is new.
    fn begin_rescan(&mut self, now: Instant) {
        self.counters.rescan_cnt += 1;
        self.rescanned = Some(now);
        self.rescan_at = self.polling.then(|| now + POLL_PERIOD);
        let source = &self.source;
        self.named
            .take_if(|named| !is_same(source, named.pid, named.start_ticks));
        for pid in self.candidates.pids() {
            if !self.is_candidate_alive(pid) {
                self.candidates.remove(pid);
            }
        }
        self.family
            .retain(|pid, start_ticks| is_same(source, pid, start_ticks));
        self.sweep = self.source.pids();
    }

    fn look_at(&mut self, pid: u32, now: Instant) {
        self.counters.look_cnt += 1;
        match self.source.snapshot(pid) {
            Ok(process) => {
                self.judge(&process, now);
                self.family.consider(&process, &self.source);
            }
            // The thread that was read instead of a leader that has left has ended meanwhile.
            Err(Unread::Gone) if self.is_candidate_alive(pid) => {
                self.candidates.skip_look(pid, now);
            }
            Err(Unread::Gone) => {
                self.counters.gone_cnt += 1;
                self.candidates.remove(pid);
            }
            Err(Unread::Refused) => {
                self.counters.refused_cnt += 1;
                self.candidates.skip_look(pid, now);
            }
        }
    }

    fn is_candidate_alive(&self, pid: u32) -> bool {
        self.candidates
            .get(pid)
            .is_some_and(|candidate| is_same(&self.source, pid, candidate.start_ticks))
    }

    fn judge(&mut self, process: &ProcessSnapshot, now: Instant) {
        let under_gamescope =
            process.marks.gamescope && has_gamescope_above(&self.source, process.ppid);
        let keep = self.current.as_ref().map(|game| game.pid);
        match classify::classify(process, under_gamescope) {
            Verdict::NotAGame => {
                self.candidates.remove(process.pid);
            }
            Verdict::Undecided => self.candidates.record(process, None, keep, now),
            Verdict::Game(claim) => self.candidates.record(process, Some(claim), keep, now),
        }
    }

    /// Settles who is the game now. Returns whether that is another process than before.
    fn choose(&mut self, now: Instant) -> bool {
        let before = self
            .current
            .as_ref()
            .map(|game| (game.pid, game.start_ticks));
        let next = if let Some(named) = &self.named {
            Some(GameInfo {
                pid: named.pid,
                start_ticks: named.start_ticks,
                name: named.name.clone(),
                confidence: CONFIDENCE_NAMED,
                evidence: "--game-pid".to_owned(),
                since: now,
            })
        } else if let Some(pid) = self.present_pid() {
            let focus_ns = |pid| self.source.focus_ns(pid);
            let challenger = self.candidates.challenger(pid, now, focus_ns);
            let challenger = challenger.map(|other| other.pid);
            let pid = challenger.unwrap_or(pid);
            self.candidates
                .get(pid)
                .map(|candidate| GameInfo::of(candidate, now))
        } else {
            self.best_alive()
                .map(|candidate| GameInfo::of(candidate, now))
        };
        self.publish(next, now);
        let after = self
            .current
            .as_ref()
            .map(|game| (game.pid, game.start_ticks));
        if after.is_none() && self.candidates.evicted_cnt() > self.counters.evicted_cnt {
            // Some that had to go may still be there.
            self.counters.evicted_cnt = self.candidates.evicted_cnt();
            self.on_events_lost(now);
        }
        before != after
    }

    /// The answer so far, unless it has ended.
    fn present_pid(&self) -> Option<u32> {
        self.current
            .as_ref()
            .filter(|game| self.is_known(game))
            .map(|game| game.pid)
    }

    fn best_alive(&mut self) -> Option<&Candidate> {
        while let Some(best) = self.candidates.best(|pid| self.source.focus_ns(pid)) {
            let (pid, start_ticks) = (best.pid, best.start_ticks);
            if is_same(&self.source, pid, start_ticks) {
                return self.candidates.get(pid);
            }
            self.candidates.remove(pid);
        }
        None
    }

    fn publish(&mut self, mut next: Option<GameInfo>, now: Instant) {
        let identity = |game: &GameInfo| (game.pid, game.start_ticks);
        if next.as_ref().map(identity) != self.current.as_ref().map(identity) {
            self.begin_family(next.as_ref().map(|game| game.pid), now);
        } else if let (Some(next), Some(current)) = (&mut next, &self.current) {
            next.since = current.since;
        }
        // Readers need the number only; nothing else is published by it.
        self.answer
            .store(next.as_ref().map_or(0, |game| game.pid), Ordering::Relaxed);
        self.current = next;
    }

    /// Some of the family may be there already: a look through `/proc` finds them.
    fn begin_family(&mut self, game: Option<u32>, now: Instant) {
        let snapshot = game.and_then(|pid| self.source.snapshot(pid).ok());
        self.family.begin(game, snapshot.as_ref());
        if game.is_some() {
            self.on_events_lost(now);
        }
    }
}

fn find_named(source: &impl ProcessSource, pid: u32) -> Result<Named, GameError> {
    let identity = source
        .identity(pid)
        .ok_or(GameError::NoSuchProcess { pid })?;
    if identity.tgid != pid {
        return Err(GameError::IsThread {
            pid,
            tgid: identity.tgid,
        });
    }
    let name = classify::displayable(&identity.comm);
    Ok(Named {
        pid,
        name,
        start_ticks: identity.start_ticks,
    })
}
