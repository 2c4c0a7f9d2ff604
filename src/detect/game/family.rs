//! The game's family: what descends from the game's process and, under Wine, what shares its prefix.
//!
//! Wine programs are no children of each other, but all of one prefix work with one `wineserver`,
//! which is part of every call they make. Launchers and known helpers never belong, wherever they
//! stand in the tree: a browser that the game opens is no part of it.
//!
//! A process comes in when the kernel tells that a member has forked it, or when it is looked at
//! after its exec or in a look through `/proc`. It stays, whoever becomes its parent, until it
//! ends, becomes a helper, or another process is the game.

use std::collections::BTreeMap;

use super::ancestry;
use super::classify::{Kin, kin};
use super::snapshot::{ProcessSnapshot, ProcessSource};
use crate::intf;

/// Most processes of a family, without the game itself.
pub const FAMILY_MAX: usize = intf::FAMILY_MAX as usize;

/// The family of the present game.
#[derive(Debug, Default)]
pub struct Family {
    game: Option<Head>,
    /// Process id and start, which tells it from a later process with the same id.
    members: BTreeMap<u32, u64>,
    changed: bool,
    refused_cnt: u64,
}

/// The game itself.
#[derive(Debug)]
struct Head {
    pid: u32,
    session: Option<Session>,
}

/// What the Wine programs of one prefix have in common.
#[derive(Debug, PartialEq, Eq)]
struct Session {
    uid: u32,
    prefix: String,
}

impl Session {
    fn of(process: &ProcessSnapshot) -> Option<Self> {
        let prefix = process.marks.wine_prefix.clone()?;
        (kin(process) == Kin::Wine).then_some(Self {
            uid: process.uid,
            prefix,
        })
    }
}

impl Family {
    /// Another process is the game now: `pid`, and what it looks like where that can be read. Its
    /// family is still to be looked for. No `pid`: there is no game.
    pub fn begin(&mut self, pid: Option<u32>, game: Option<&ProcessSnapshot>) {
        self.changed |= !self.members.is_empty();
        self.members.clear();
        self.game = pid.map(|pid| Head {
            pid,
            session: game.and_then(Session::of),
        });
    }

    /// The process `parent` has made `child`, which began at `start_ticks`.
    pub fn fork(&mut self, parent: u32, child: u32, start_ticks: u64) {
        if self.is_kin(parent) {
            self.insert(child, start_ticks);
        }
    }

    /// Takes in what a look at a process has shown. `source` tells about its ancestors.
    pub fn consider(&mut self, process: &ProcessSnapshot, source: &impl ProcessSource) {
        let Some(game) = self.game.as_ref().filter(|game| game.pid != process.pid) else {
            return;
        };
        let belongs = kin(process) != Kin::Helper
            && (self.members.get(&process.pid) == Some(&process.start_ticks)
                || (game.session.is_some() && game.session == Session::of(process))
                || ancestry::any_above(source, process.ppid, |pid| self.is_kin(pid)));
        if belongs {
            self.insert(process.pid, process.start_ticks);
        } else {
            self.remove(process.pid);
        }
    }

    /// Forgets a process that has ended.
    pub fn remove(&mut self, pid: u32) {
        self.changed |= self.members.remove(&pid).is_some();
    }

    /// Forgets those of which `is_alive` (process id, start) does not hold.
    pub fn retain(&mut self, is_alive: impl Fn(u32, u64) -> bool) {
        let before = self.members.len();
        self.members.retain(|&pid, start| is_alive(pid, *start));
        self.changed |= self.members.len() != before;
    }

    /// Process ids, without the game's, in ascending order; at most [`FAMILY_MAX`].
    pub fn members(&self) -> impl ExactSizeIterator<Item = u32> {
        self.members.keys().copied()
    }

    /// Whether the members have changed since the last call.
    #[must_use]
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// How many found no room.
    pub fn refused_cnt(&self) -> u64 {
        self.refused_cnt
    }

    fn is_kin(&self, pid: u32) -> bool {
        self.game.as_ref().is_some_and(|game| game.pid == pid) || self.members.contains_key(&pid)
    }

    fn insert(&mut self, pid: u32, start_ticks: u64) {
        if self.members.len() >= FAMILY_MAX && !self.members.contains_key(&pid) {
            self.refused_cnt += 1;
            return;
        }
        self.changed |= self.members.insert(pid, start_ticks).is_none();
    }
}
