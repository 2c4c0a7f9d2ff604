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
use super::{Metrics, Snapshot, described};

/// Where clients of all sched_ext schedulers look.
pub const SOCKET_PATH: &str = "/var/run/scx/root/stats";

/// Requests that may wait for the event loop; each client has one at most.
const REQUESTS_MAX: usize = 64;
/// How long a client waits for the event loop.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A client's wish for a snapshot; dropped without an answer if none can be taken.
struct Request {
    reply: Sender<Arc<Snapshot>>,
}

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
        let data = described().add_ops("top", ops(asker));
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

    /// Answers all clients that wait, with one snapshot; takes none if nobody waits. Never blocks.
    ///
    /// # Errors
    /// Those of `take`; the clients are then told that there is no answer.
    pub fn answer(&self, take: impl FnOnce() -> Result<Snapshot>) -> Result<()> {
        // Before the queue is emptied: a request that arrives later rings again. An error means
        // that the bell has not rung, which is no reason not to look.
        let _ = self.wake.read();
        let waiting: Vec<Request> = self.requests.try_iter().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let snapshot = Arc::new(take()?);
        for request in waiting {
            if request.reply.try_send(snapshot.clone()).is_err() {
                debug!("a statistics client has left before its answer came");
            }
        }
        Ok(())
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
    fn ask(&self) -> Result<Arc<Snapshot>> {
        let (reply, answer) = bounded(1);
        self.requests
            .try_send(Request { reply })
            .map_err(|_| anyhow!("the daemon has too many statistics clients or is ending"))?;
        self.wake.write(1).context("cannot wake the daemon")?;
        answer
            .recv_timeout(ANSWER_TIMEOUT)
            .context("the daemon gave no statistics")
    }
}

/// What each connection does.
fn ops(asker: Asker) -> StatsOps<(), ()> {
    StatsOps {
        open: Box::new(move |_| Ok(reader(asker.clone()))),
        close: None,
    }
}

fn reader(asker: Asker) -> Box<dyn StatsReader<(), ()>> {
    let mut before: Option<Arc<Snapshot>> = None;
    Box::new(
        move |_args: &BTreeMap<String, String>, _channels: (&Sender<()>, &Receiver<()>)| {
            let after = asker.ask()?;
            let metrics = match before.replace(after.clone()) {
                Some(before) => Metrics::between(&before, &after),
                None => Metrics::since_attach(&after),
            };
            metrics.to_json()
        },
    )
}
