//! The process that a run begins as: the parent of the game, and of everything beside it.
//!
//! In real life a compositor, a sound server or a compiler is no child of the game, and a scheduler may go
//! by that. So the game asks its parent to start its helpers: a packet each, with the helper's standard
//! input and output, over the socket that is the game's own standard input. The answer says
//! whether it was started, or why not.

use crate::args::RunArgs;
use crate::helper::{self, NOT_FOR_DIRECT_USE};
use crate::signals::{Signals, Wake};
use crate::{EXIT_FAILURE, EXIT_INTERRUPTED, steam, sys};
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recv, recvmsg, send, sendmsg,
    socketpair,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

/// No request and no answer is longer.
const PACKET_BYTES: usize = 64 * 1024;
/// A helper's standard input, and its standard output if it has one.
const REQUEST_FDS: usize = 2;

type Answer = Result<(), String>;

/// `gamesim run`: the game as a child of this process, from its start until nothing is left of it.
///
/// # Errors
/// When the game cannot be started or waited for.
pub fn main(args: &RunArgs) -> Result<u8> {
    let signals = Signals::block(&[Signal::SIGCHLD])?;
    let (socket, theirs) = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )
    .context("cannot make a socket pair")?;
    let mut command = Command::new("/proc/self/exe");
    command.arg("game").args(std::env::args_os().skip(2));
    command.stdin(Stdio::from(theirs));
    if let Some(app_id) = args.play.steam_app_id {
        steam::mark(&mut command, app_id);
    }
    let mut game =
        sys::spawn_tied(&mut command, Signal::SIGTERM).context("cannot start the game")?;
    // With it goes this process's copy of the game's end of the socket.
    drop(command);
    let mut helpers = Vec::new();
    let ended = serve(&mut game, &mut helpers, socket.as_fd(), &signals);
    for child in [&mut game].into_iter().chain(&mut helpers) {
        helper::end(child);
    }
    let status = ended?;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(u8::try_from(code).unwrap_or(EXIT_FAILURE)),
        // It had not come to block them.
        (None, Some(libc::SIGINT | libc::SIGTERM)) => Ok(EXIT_INTERRUPTED),
        (None, _) => bail!("the game was killed ({status})"),
    }
}

/// Starts what the game asks for until that has ended.
fn serve(
    game: &mut Child,
    helpers: &mut Vec<Child>,
    socket: BorrowedFd<'_>,
    signals: &Signals,
) -> Result<ExitStatus> {
    loop {
        match signals.wait(socket, None)? {
            Wake::Signal(Signal::SIGCHLD) => {
                if let Some(status) = game.try_wait()? {
                    return Ok(status);
                }
                helpers.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
            }
            // Ctrl-C reaches the game without us as well; it ends for the first one.
            Wake::Signal(signal) => kill(Pid::from_raw(i32::try_from(game.id())?), signal)?,
            Wake::Timeout => {}
            Wake::Other => {
                let Some((args, fds)) = receive_request(socket)? else {
                    return Ok(game.wait()?);
                };
                let answer: Answer = start_helper(&args, fds)
                    .map(|child| helpers.push(child))
                    .map_err(|error| format!("{error:#}"));
                // Who has ended since is told nothing, and found out at the next turn.
                match send(socket, &serde_json::to_vec(&answer)?, SendFlags::NOSIGNAL) {
                    Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

/// One request; `None` when the game has closed its end.
fn receive_request(socket: BorrowedFd<'_>) -> Result<Option<(Vec<String>, Vec<OwnedFd>)>> {
    let mut packet = vec![0; PACKET_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(REQUEST_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = match recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut packet)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    ) {
        Ok(received) if received.bytes > 0 => received,
        Ok(_) | Err(Errno::CONNRESET) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    let args = serde_json::from_slice(&packet[..received.bytes]).context("unknown request")?;
    Ok(Some((args, fds)))
}

fn start_helper(args: &[String], fds: Vec<OwnedFd>) -> Result<Child> {
    let mut fds = fds.into_iter().map(Stdio::from);
    let mut command = Command::new("/proc/self/exe");
    command
        .args(args)
        .stdin(fds.next().context("a request without a standard input")?)
        .stdout(fds.next().unwrap_or_else(Stdio::null));
    steam::strip(&mut command);
    Ok(sys::spawn_tied(&mut command, Signal::SIGTERM)?)
}

/// In the game: has `gamesim ARGS` started beside it, tied to the run.
///
/// # Errors
/// When that cannot be started, or this process was not started by `gamesim run`.
pub fn ask_for(
    args: &[String],
    input: BorrowedFd<'_>,
    output: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let stdin = std::io::stdin();
    let socket = stdin.as_fd();
    let fds: Vec<_> = [Some(input), output].into_iter().flatten().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(REQUEST_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    ensure!(
        control.push(SendAncillaryMessage::ScmRights(&fds)),
        "BUG: no room for the descriptors"
    );
    let packet = serde_json::to_vec(args)?;
    sendmsg(
        socket,
        &[IoSlice::new(&packet)],
        &mut control,
        SendFlags::NOSIGNAL,
    )
    .context(NOT_FOR_DIRECT_USE)?;
    let mut answer = vec![0; PACKET_BYTES];
    let (length, _) = recv(socket, &mut answer, RecvFlags::empty())?;
    let answer: Answer =
        serde_json::from_slice(&answer[..length]).context("`gamesim run` has ended")?;
    answer.map_err(anyhow::Error::msg)
}
