//! What the finder is asked and what it answers.

use std::time::Instant;

use super::candidates::Candidate;

/// What the user may ask of the finder.
#[derive(Clone, Copy, Debug, Default)]
pub struct GameOptions {
    /// `--game-pid`: this process is the game as long as it lives.
    pub game_pid: Option<u32>,
    /// No process events here: look through `/proc` every [`super::POLL_PERIOD`].
    pub polling: bool,
}

/// The process given by `--game-pid` cannot be the game.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GameError {
    /// There is no such process.
    #[error(
        "--game-pid {pid}: there is no such process; look up the game's id with `pgrep -f NAME`"
    )]
    NoSuchProcess {
        /// As given.
        pid: u32,
    },
    /// The id is that of one thread.
    #[error("--game-pid {pid}: this is a thread of the process {tgid}; use --game-pid {tgid}")]
    IsThread {
        /// As given.
        pid: u32,
        /// The process it belongs to.
        tgid: u32,
    },
}

/// The game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GameInfo {
    /// Process id, never 0.
    pub pid: u32,
    /// When it was started, in ticks since boot: tells it from a later process with the same id.
    pub start_ticks: u64,
    /// Program name, printable and short.
    pub name: String,
    /// 50..=100.
    pub confidence: u8,
    /// Why, in a few words.
    pub evidence: String,
    /// Since when it is the answer.
    pub since: Instant,
}

impl GameInfo {
    /// A candidate as the answer from `now` on.
    pub(super) fn of(candidate: &Candidate, now: Instant) -> Self {
        let claim = candidate.claim.as_ref();
        let (name, evidence) = claim
            .map(|claim| (claim.name.clone(), claim.evidence.clone()))
            .unwrap_or_default();
        Self {
            pid: candidate.pid,
            start_ticks: candidate.start_ticks,
            name,
            confidence: candidate.confidence(),
            evidence,
            since: now,
        }
    }
}

/// Counts for the statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GameCounters {
    /// Processes looked at in `/proc`.
    pub look_cnt: u64,
    /// Entries of `/proc` that the kernel did not let us read.
    pub refused_cnt: u64,
    /// Processes which ended before or while they were looked at.
    pub gone_cnt: u64,
    /// Looks through all of `/proc`.
    pub rescan_cnt: u64,
    /// Candidates dropped because there were too many.
    pub evicted_cnt: u64,
    /// Processes of the family for which there was no room.
    pub family_refused_cnt: u64,
}
