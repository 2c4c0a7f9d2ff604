//! What the daemon knows about one process and each of its threads (`--explain`).

use serde::{Deserialize, Serialize};

/// Most threads that one answer holds.
pub const THREADS_MAX: usize = 512;

/// A process and its threads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Its process id.
    pub pid: u32,
    /// What it calls itself. Not trusted: may hold anything.
    pub name: String,
    /// What it is to the game.
    pub place: Place,
    /// It flips the pages of a display.
    pub owns_display: bool,
    /// Input that it read has reached the game's family.
    pub hands_input: bool,
    /// Its threads, at most [`THREADS_MAX`].
    pub threads: Vec<ThreadExplanation>,
    /// Threads that found no room.
    pub left_out_cnt: usize,
}

/// What a process is to the game.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// There is no game.
    #[default]
    NoGame,
    /// It is the game.
    Game,
    /// It belongs to the game's family.
    Family,
    /// There is a game, and it has no part in it.
    Stranger,
}

/// One thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ThreadExplanation {
    /// Its id.
    pub tid: u32,
    /// What it calls itself. Not trusted: may hold anything.
    pub name: String,
    /// It is of the real-time or the deadline class, which no sched_ext scheduler gets.
    pub real_time: bool,
    /// The roles that the scheduler gave it when it last looked; none: it has not met it.
    pub roles: Vec<String>,
    /// The boost of the highest of them, or of its beat.
    pub boost: u8,
    /// The boost of the most urgent thread that waits for a lock it holds; 0: none does.
    pub inherited: u8,
    /// Seconds between its wake-ups, if they come to a beat; 0: they do not.
    pub period_s: f64,
    /// What it was seen doing within the time that counts.
    pub evidence: Vec<EvidenceExplanation>,
}

/// One thing that a thread was seen doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EvidenceExplanation {
    /// The role that it speaks for.
    pub role: String,
    /// Seconds since it began.
    pub since_s: f64,
    /// Seconds since it was last seen.
    pub last_s: f64,
    /// How often a second, on the average since it began.
    pub per_s: f64,
    /// Who says so.
    pub source: String,
    /// Whether it makes a role: not all evidence counts for strangers to the game.
    pub counts: bool,
}
