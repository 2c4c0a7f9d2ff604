//! The processes that may be the game: a small, bounded set, and which of them leads.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::classify::{Claim, weigh};
use super::snapshot::ProcessSnapshot;

/// Most candidates at a time. A game's tree has a handful; the rest would be abuse.
pub const CANDIDATES_MAX: usize = 64;
/// Points by which another candidate has to beat the present game ...
pub const LEAD_POINTS: u8 = 8;
/// ... and for how long without a break, before it takes over.
pub const LEAD_HOLD: Duration = Duration::from_secs(3);
/// Further looks at a young candidate, after the one before: programs grow into what they are.
const YOUNG_LOOKS: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(1500)];
/// Between two looks while several candidates compete.
const CONTEST_PERIOD: Duration = Duration::from_secs(1);
/// Load below this time base is noise of the 10 ms CPU accounting.
const LOAD_BASE_MIN: Duration = Duration::from_millis(200);

/// One process that may be the game.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Process id.
    pub pid: u32,
    /// Tells it from a later process with the same id.
    pub start_ticks: u64,
    /// Why it may be the game; `None` while undecided.
    pub claim: Option<Claim>,
    weight_points: u8,
    cpu_pct: u64,
    cpu_ms: u64,
    seen: Instant,
    look_cnt: usize,
    next_look: Option<Instant>,
    lead_since: Option<Instant>,
}

impl Candidate {
    /// Evidence and weight, 0..=100; 0 while undecided.
    pub fn confidence(&self) -> u8 {
        self.claim
            .as_ref()
            .map_or(0, |claim| claim.evidence_points + self.weight_points)
    }

    fn update(&mut self, process: &ProcessSnapshot, claim: Option<Claim>, now: Instant) {
        let elapsed = now.saturating_duration_since(self.seen);
        if elapsed >= LOAD_BASE_MIN {
            let used_ms = process.cpu_ms.saturating_sub(self.cpu_ms);
            let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
            let load_pct = used_ms.saturating_mul(100) / elapsed_ms;
            self.cpu_pct = u64::midpoint(self.cpu_pct, load_pct);
            self.cpu_ms = process.cpu_ms;
            self.seen = now;
        }
        self.weight_points = weigh(process, self.cpu_pct);
        self.claim = claim;
    }
}

/// The set of candidates.
#[derive(Debug, Default)]
pub struct Candidates {
    by_pid: HashMap<u32, Candidate>,
    evicted_cnt: u64,
}

impl Candidates {
    /// The candidate with this process id.
    pub fn get(&self, pid: u32) -> Option<&Candidate> {
        self.by_pid.get(&pid)
    }

    /// Number of candidates, at most [`CANDIDATES_MAX`].
    pub fn held_cnt(&self) -> usize {
        self.by_pid.len()
    }

    /// How many had to make room for likelier ones.
    pub fn evicted_cnt(&self) -> u64 {
        self.evicted_cnt
    }

    /// Forgets a process. Returns whether it was known.
    pub fn remove(&mut self, pid: u32) -> bool {
        self.by_pid.remove(&pid).is_some()
    }

    /// Takes in what one look at a process has shown. `claim` is `None` for an undecided one, which
    /// is forgotten when it is still undecided after the last look. `keep` is never evicted.
    pub fn record(
        &mut self,
        process: &ProcessSnapshot,
        claim: Option<Claim>,
        keep: Option<u32>,
        now: Instant,
    ) {
        let known = self
            .by_pid
            .get(&process.pid)
            .is_some_and(|c| c.start_ticks == process.start_ticks);
        if !known {
            self.by_pid.remove(&process.pid);
            self.insert(process, claim, keep, now);
            return;
        }
        let Some(candidate) = self.by_pid.get_mut(&process.pid) else {
            return;
        };
        candidate.update(process, claim, now);
        self.skip_look(process.pid, now);
    }

    fn insert(
        &mut self,
        process: &ProcessSnapshot,
        claim: Option<Claim>,
        keep: Option<u32>,
        now: Instant,
    ) {
        let mut candidate = Candidate {
            pid: process.pid,
            start_ticks: process.start_ticks,
            claim,
            weight_points: weigh(process, 0),
            cpu_pct: 0,
            cpu_ms: process.cpu_ms,
            seen: now,
            look_cnt: 0,
            next_look: None,
            lead_since: None,
        };
        candidate.plan_next_look(now);
        if self.by_pid.len() >= CANDIDATES_MAX {
            self.evicted_cnt += 1;
            let weakest = self
                .by_pid
                .values()
                .filter(|other| Some(other.pid) != keep)
                .min_by_key(|other| (other.confidence(), other.pid));
            match weakest {
                Some(weakest) if weakest.confidence() < candidate.confidence() => {
                    let pid = weakest.pid;
                    self.by_pid.remove(&pid);
                }
                _ => return,
            }
        }
        self.by_pid.insert(candidate.pid, candidate);
    }

    /// Plans the next look, whether or not this one has shown anything.
    pub fn skip_look(&mut self, pid: u32, now: Instant) {
        let Some(candidate) = self.by_pid.get_mut(&pid) else {
            return;
        };
        candidate.plan_next_look(now);
        if candidate.claim.is_none() && candidate.next_look.is_none() {
            self.by_pid.remove(&pid);
        }
    }

    /// Up to `limit` candidates whose next look is due.
    pub fn due(&self, now: Instant, limit: usize) -> Vec<u32> {
        let is_due = |c: &&Candidate| c.next_look.is_some_and(|look| look <= now);
        self.by_pid
            .values()
            .filter(is_due)
            .map(|c| c.pid)
            .take(limit)
            .collect()
    }

    /// When the next look is due.
    pub fn next_look(&self) -> Option<Instant> {
        self.by_pid.values().filter_map(|c| c.next_look).min()
    }

    /// Looks go on while there is a choice, and stop when there is none: one game alone costs
    /// nothing.
    pub fn plan_contest(&mut self, now: Instant) {
        let contested = self.by_pid.values().filter(|c| c.claim.is_some()).count() > 1;
        for candidate in self
            .by_pid
            .values_mut()
            .filter(|c| c.look_cnt > YOUNG_LOOKS.len())
        {
            if !contested {
                candidate.next_look = None;
            } else if candidate.next_look.is_none() {
                candidate.next_look = Some(now + CONTEST_PERIOD);
            }
        }
    }

    /// The likeliest candidate. `focus_ns` tells when a process last had the focus, 0 for never:
    /// among equally likely ones the newest is preferred.
    pub fn best(&self, focus_ns: impl Fn(u32) -> u64) -> Option<&Candidate> {
        let claimants = || self.by_pid.values().filter(|c| c.claim.is_some());
        let top = claimants().map(Candidate::confidence).max()?;
        claimants()
            .filter(|c| c.is_as_likely_as(top))
            .max_by_key(|c| (focus_ns(c.pid), rank(c)))
    }

    /// The candidate that has led over `game` clearly and for long enough: by its confidence or, if
    /// equally likely, by a newer focus.
    pub fn challenger(
        &mut self,
        game: u32,
        now: Instant,
        focus_ns: impl Fn(u32) -> u64,
    ) -> Option<&Candidate> {
        let present = self.by_pid.get(&game)?.confidence();
        let bar = present.saturating_add(LEAD_POINTS);
        for candidate in self.by_pid.values_mut() {
            let leads = candidate.pid != game
                && candidate.claim.is_some()
                && (candidate.confidence() >= bar
                    || (candidate.is_as_likely_as(present)
                        && focus_ns(candidate.pid) > focus_ns(game)));
            candidate.lead_since = if leads {
                candidate.lead_since.or(Some(now))
            } else {
                None
            };
        }
        self.by_pid
            .values()
            .filter(|c| c.lead_since.is_some_and(|since| now >= since + LEAD_HOLD))
            .max_by_key(|c| rank(c))
    }

    /// All process ids.
    pub fn pids(&self) -> Vec<u32> {
        self.by_pid.keys().copied().collect()
    }
}

impl Candidate {
    /// Not clearly less likely than one of this confidence.
    fn is_as_likely_as(&self, confidence: u8) -> bool {
        self.confidence().saturating_add(LEAD_POINTS) > confidence
    }

    fn plan_next_look(&mut self, now: Instant) {
        self.next_look = YOUNG_LOOKS.get(self.look_cnt).map(|after| now + *after);
        self.look_cnt += 1;
    }
}

/// Equal confidence: the one that has been there longer.
fn rank(candidate: &Candidate) -> (u8, std::cmp::Reverse<(u64, u32)>) {
    (
        candidate.confidence(),
        std::cmp::Reverse((candidate.start_ticks, candidate.pid)),
    )
}
