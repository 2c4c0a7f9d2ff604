//! The statistics server: `scx_stats` talks to the clients in threads of its own; the snapshots are
//! taken by the daemon's event loop, the only one that may touch its state.
//!
//! A client's thread queues a request and rings an eventfd. The event loop watches
//! [`StatsServer::wake_fd`] and calls [`StatsServer::answer`] when it is readable. The channel that
//! `scx_stats` itself offers would come without a descriptor to wait for.
//!
//! Each connection keeps its own last snapshot, so each client sees its own interval.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use crossbeam::channel::{Receiver, Sender, bounded};
use log::debug;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::stat::{Mode, umask};
use scx_stats::{StatsOps, StatsReader, ToJson};

use super::socket::{prepare_directories, secure_socket};
use super::{Explanation, Metrics, Snapshot, described};

/// Where clients of all sched_ext schedulers look.
pub const SOCKET_PATH: &str = "/var/run/scx/root/stats";

/// Requests that may wait for the event loop; each client has one at most.
const REQUESTS_MAX: usize = 64;
/// How long a client waits for the event loop, which loads hooks when a game comes: in an emulated
/// guest under load that takes some seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A client's wish; dropped without an answer if there can be none.
enum Request {
    /// For a snapshot.
    Counts(Sender<Arc<Snapshot>>),
    /// For what is known of a process; `None`: there is no such process.
    Process(u32, Sender<Option<Explanation>>),
}

/// The target of requests for an [`Explanation`], and their argument.
pub const EXPLAIN: &str = "explain";
/// The process id.
pub const EXPLAIN_PID: &str = "pid";

/// The clients' end.
#[derive(Clone)]
struct Asker {
    requests: Sender<Request>,
    wake: Arc<EventFd>,
}

/// The server; ends, and removes its socket, when dropped.
pub struct StatsServer {
    requests: Receiver<Request>,
    wake: Arc<EventFd>,
    // Dropped in this order: the server ends its listener by connecting to the socket.
    _server: scx_stats::StatsServer<(), ()>,
    _socket: SocketFile,
}

/// Our socket in the file system.
struct SocketFile {
    path: PathBuf,
    inode: (u64, u64),
}

impl StatsServer {
    /// Listens at `path` (normally [`SOCKET_PATH`]). Replaces whatever socket is there, so call it
    /// once the scheduler is attached: then no other scheduler's daemon is alive. Changes the
    /// process' umask for a moment, so call it before other threads create files.
    ///
    /// # Errors
    /// If the socket cannot be created or cannot be kept to root. The scheduler works without.
    pub fn launch(path: &Path) -> Result<Self> {
        let (sender, requests) = bounded(REQUESTS_MAX);
        let wake =
            EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map(Arc::new);
        let wake = wake.context("cannot create an eventfd")?;
        let asker = Asker {
            requests: sender,
            wake: wake.clone(),
        };
        prepare_directories(path)?;
        let data = described()
            .add_ops("top", ops(asker.clone(), counts))
            .add_ops(EXPLAIN, ops(asker, explanations));
        // The socket must not be open to others even for the moment before its mode is set.
        let old_umask = umask(Mode::S_IRWXG | Mode::S_IRWXO);
        let launched = scx_stats::StatsServer::new(data).set_path(path).launch();
        umask(old_umask);
        let server = launched.context("cannot start the statistics server")?;
        secure_socket(path)?;
        let inode =
            inode_of(path).with_context(|| format!("cannot read the socket {}", path.display()))?;
        let socket = SocketFile {
            path: path.to_owned(),
            inode,
        };
        Ok(Self {
            requests,
            wake,
            _server: server,
            _socket: socket,
        })
    }

    /// Readable when [`Self::answer`] has something to do.
    pub fn wake_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }

    /// Answers all clients that wait: those for counts with one snapshot, taken only if somebody
    /// waits for it. Never blocks.
    ///
    /// # Errors
    /// Those of `take` and `explain`; the clients are then told that there is no answer.
    pub fn answer(
        &self,
        take: impl FnOnce() -> Result<Snapshot>,
        explain: impl Fn(u32) -> Result<Option<Explanation>>,
    ) -> Result<()> {
        // Before the queue is emptied: a request that arrives later rings again. An error means
        // that the bell has not rung, which is no reason not to look.
        let _ = self.wake.read();
        let mut for_counts = Vec::new();
        let mut for_processes = Vec::new();
        for request in self.requests.try_iter() {
            match request {
                Request::Counts(reply) => for_counts.push(reply),
                Request::Process(pid, reply) => for_processes.push((pid, reply)),
            }
        }
        if !for_counts.is_empty() {
            let snapshot = Arc::new(take()?);
            for reply in for_counts {
                send(&reply, snapshot.clone());
            }
        }
        for (pid, reply) in for_processes {
            send(&reply, explain(pid)?);
        }
        Ok(())
    }
}

fn send<T>(reply: &Sender<T>, answer: T) {
    if reply.try_send(answer).is_err() {
        debug!("a statistics client has left before its answer came");
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another daemon may have put its own there. One that cannot be removed is replaced by the
        // next start.
        if inode_of(&self.path).is_ok_and(|inode| inode == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn inode_of(path: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Asker {
    fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Request) -> Result<T> {
        let (reply, answer) = bounded(1);
        self.requests
            .try_send(request(reply))
            .map_err(|_| anyhow!("the daemon has too many statistics clients or is ending"))?;
        self.wake.write(1).context("cannot wake the daemon")?;
        answer
            .recv_timeout(ANSWER_TIMEOUT)
            .context("the daemon gave no statistics")
    }
}

type Reader = Box<dyn StatsReader<(), ()>>;

/// What each connection does.
fn ops(asker: Asker, reader: impl Fn(Asker) -> Reader + Send + Sync + 'static) -> StatsOps<(), ()> {
    StatsOps {
        open: Box::new(move |_| Ok(reader(asker.clone()))),
        close: None,
    }
}

fn counts(asker: Asker) -> Reader {
    let mut before: Option<Arc<Snapshot>> = None;
    Box::new(
        move |_args: &BTreeMap<String, String>, _channels: (&Sender<()>, &Receiver<()>)| {
            let after = asker.ask(Request::Counts)?;
            let metrics = match before.replace(after.clone()) {
                Some(before) => Metrics::between(&before, &after),
                None => Metrics::since_attach(&after),
            };
            metrics.to_json()
        },
    )
}

fn explanations(asker: Asker) -> Reader {
    Box::new(
        move |args: &BTreeMap<String, String>, _channels: (&Sender<()>, &Receiver<()>)| {
            let pid = args.get(EXPLAIN_PID).and_then(|pid| pid.parse().ok());
            let pid =
                pid.with_context(|| format!("the argument {EXPLAIN_PID} is no process id"))?;
            let explanation = asker.ask(|reply| Request::Process(pid, reply))?;
            Ok(serde_json::to_value(explanation)?)
        },
    )
}
