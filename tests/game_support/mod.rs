//! A scripted machine: processes that say what the test wants, and the finder on top of it.
#![allow(dead_code, reason = "each test program uses its part")]

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use scx_gamer::detect::game::snapshot::{Identity, Marks, ProcessSnapshot, ProcessSource, Unread};
use scx_gamer::detect::game::{GameError, GameFinder, GameOptions};

/// A process with this program file, arguments and environment; quotes are not needed.
pub(crate) fn process(pid: u32, exe: &str, cmdline: &str, environ: &str) -> ProcessSnapshot {
    let environ = environ.replace(' ', "\0");
    ProcessSnapshot {
        pid,
        ppid: 1,
        uid: 1000,
        comm: "thread".to_owned(),
        exe: (!exe.is_empty()).then(|| exe.to_owned()),
        cmdline: cmdline.split(' ').map(str::to_owned).collect(),
        marks: Marks::from_environ(environ.as_bytes()),
        start_ticks: u64::from(pid) * 10,
        thread_cnt: 1,
        rss_mib: 3,
        cpu_ms: 0,
    }
}

/// A native Steam game of about the weight given.
pub(crate) fn steam_game(pid: u32, rss_mib: u64) -> ProcessSnapshot {
    let game = process(pid, "/home/u/game", "./game", "SteamAppId=480");
    ProcessSnapshot { rss_mib, ..game }
}

/// The processes of a scripted machine; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Scripted {
    processes: Rc<RefCell<BTreeMap<u32, Result<ProcessSnapshot, Unread>>>>,
    refused: Rc<RefCell<BTreeSet<u32>>>,
    look_cnt: Rc<RefCell<u32>>,
    focus_ns: Rc<RefCell<BTreeMap<u32, u64>>>,
}

impl Scripted {
    pub(crate) fn put(&self, process: ProcessSnapshot) {
        self.processes.borrow_mut().insert(process.pid, Ok(process));
    }

    /// The process cannot be read any more; who it is can still be seen, if it is known.
    pub(crate) fn refuse(&self, pid: u32) {
        let mut processes = self.processes.borrow_mut();
        processes.entry(pid).or_insert(Err(Unread::Refused));
        self.refused.borrow_mut().insert(pid);
    }

    /// The entry is listed, and gone when it is read.
    pub(crate) fn vanish(&self, pid: u32) {
        self.processes.borrow_mut().insert(pid, Err(Unread::Gone));
    }

    pub(crate) fn end(&self, pid: u32) {
        self.processes.borrow_mut().remove(&pid);
    }

    /// A display's owner hands input to the process.
    pub(crate) fn focus(&self, pid: u32, time_ns: u64) {
        self.focus_ns.borrow_mut().insert(pid, time_ns);
    }

    pub(crate) fn look_cnt(&self) -> u32 {
        *self.look_cnt.borrow()
    }
}

impl ProcessSource for Scripted {
    fn pids(&self) -> Vec<u32> {
        self.processes.borrow().keys().copied().collect()
    }

    fn identity(&self, pid: u32) -> Option<Identity> {
        let processes = self.processes.borrow();
        let process = processes.get(&pid)?.as_ref().ok()?;
        Some(Identity {
            tgid: pid,
            ppid: process.ppid,
            comm: process.comm.clone(),
            start_ticks: process.start_ticks,
        })
    }

    fn snapshot(&self, pid: u32) -> Result<ProcessSnapshot, Unread> {
        *self.look_cnt.borrow_mut() += 1;
        if self.refused.borrow().contains(&pid) {
            return Err(Unread::Refused);
        }
        self.processes
            .borrow()
            .get(&pid)
            .cloned()
            .unwrap_or(Err(Unread::Gone))
    }

    fn focus_ns(&self, pid: u32) -> u64 {
        self.focus_ns.borrow().get(&pid).copied().unwrap_or(0)
    }
}

/// The finder on a scripted machine with a scripted clock.
pub(crate) struct Machine {
    pub(crate) source: Scripted,
    pub(crate) finder: GameFinder<Scripted>,
    pub(crate) answer: Arc<AtomicU32>,
    pub(crate) now: Instant,
    /// How often the answer has changed.
    pub(crate) change_cnt: u32,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self::start(Scripted::default(), GameOptions::default()).expect("no --game-pid given")
    }

    pub(crate) fn start(source: Scripted, options: GameOptions) -> Result<Self, GameError> {
        let answer = Arc::new(AtomicU32::new(0));
        let now = Instant::now();
        let finder = GameFinder::new(source.clone(), options, Arc::clone(&answer), now)?;
        let mut machine = Self {
            source,
            finder,
            answer,
            now,
            change_cnt: 0,
        };
        machine.run(Duration::ZERO);
        machine.change_cnt = 0;
        Ok(machine)
    }

    pub(crate) fn exec(&mut self, process: ProcessSnapshot) {
        let pid = process.pid;
        self.source.put(process);
        self.finder.on_exec(pid, self.now);
    }

    pub(crate) fn family(&self) -> Vec<u32> {
        self.finder.family().collect()
    }

    pub(crate) fn exit(&mut self, pid: u32) {
        self.source.end(pid);
        self.change_cnt += u32::from(self.finder.on_exit(pid, self.now));
    }

    /// Lets time pass and meets every deadline on the way, as the event loop does.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(deadline) = self.finder.next_deadline().filter(|&at| at <= end) {
            self.now = self.now.max(deadline);
            self.change_cnt += u32::from(self.finder.on_deadline(self.now));
        }
        self.now = end;
    }

    pub(crate) fn run_ms(&mut self, time_ms: u64) {
        self.run(Duration::from_millis(time_ms));
    }

    pub(crate) fn game(&self) -> u32 {
        let answer = self.answer.load(Ordering::Relaxed);
        assert_eq!(answer, self.finder.current().map_or(0, |game| game.pid));
        answer
    }
}
