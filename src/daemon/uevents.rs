//! What the kernel says about new modules and devices, as a descriptor to wait for.
//!
//! It is the kernel's own multicast to programs like udev (a netlink socket: no network is reached by
//! it). Only read, and only what the kernel itself has sent.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, socket,
};

/// The multicast group of the kernel's messages; udev's own have another.
const KERNEL_GROUP: u32 = 1;
/// Longest message (`UEVENT_BUFFER_SIZE` and a path). What is longer is cut, and not understood.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Most messages that are read in one turn of the event loop.
const MESSAGES_PER_TURN: usize = 256;
/// What may bring a function to hook: its module, or a device for which a driver is there now.
const SUBSYSTEMS: [&[u8]; 4] = [b"module", b"drm", b"sound", b"input"];

/// The socket.
pub(super) struct Uevents(OwnedFd);

impl Uevents {
    pub(super) fn listen() -> Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            flags,
            SockProtocol::NetlinkKObjectUEvent,
        )
        .context("cannot make a socket for the kernel's messages about modules and devices")?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))
            .context("cannot listen to the kernel's messages about modules and devices")?;
        Ok(Self(socket))
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Reads what waits. Returns whether something came that detectors may want to hook, or may have
    /// come, if messages were lost.
    ///
    /// # Errors
    /// If the socket cannot be read any more.
    pub(super) fn drain(&self) -> Result<bool> {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut has_come = false;
        for _ in 0..MESSAGES_PER_TURN {
            match recvfrom::<NetlinkAddr>(self.0.as_raw_fd(), &mut buffer) {
                Ok((len, Some(sender))) if sender.pid() == 0 => {
                    has_come |= brings_functions(&buffer[..len]);
                }
                // Somebody else's.
                Ok(_) | Err(Errno::EINTR) => (),
                Err(Errno::ENOBUFS) => has_come = true,
                Err(Errno::EAGAIN) => break,
                Err(errno) => {
                    return Err(errno).context("cannot read the kernel's messages about modules");
                }
            }
        }
        Ok(has_come)
    }
}

/// `ACTION@PATH`, then `KEY=VALUE`, each ended by a zero.
fn brings_functions(message: &[u8]) -> bool {
    let mut parts = message.split(|&byte| byte == 0);
    let is_new = parts.next().is_some_and(|head| head.starts_with(b"add@"));
    let subsystem = parts.find_map(|part| part.strip_prefix(b"SUBSYSTEM="));
    is_new && subsystem.is_some_and(|subsystem| SUBSYSTEMS.contains(&subsystem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(parts: &[&str]) -> Vec<u8> {
        parts.join("\0").into_bytes()
    }

    #[test]
    fn only_new_modules_and_devices_of_ours_bring_functions() {
        let module = ["add@/module/evdev", "ACTION=add", "SUBSYSTEM=module", ""];
        assert!(brings_functions(&message(&module)));
        for subsystem in ["drm", "sound", "input"] {
            let device = ["add@/devices/x", &format!("SUBSYSTEM={subsystem}")].map(str::to_owned);
            assert!(brings_functions(device.join("\0").as_bytes()));
        }
        for other in [
            &["remove@/module/evdev", "SUBSYSTEM=module"][..],
            &["change@/devices/x", "SUBSYSTEM=drm"],
            &["add@/devices/x", "SUBSYSTEM=block"],
            &["add@/devices/x", "SUBSYSTEM=modules"],
            &["add@/devices/x"],
            &["SUBSYSTEM=module"],
            &[""],
        ] {
            assert!(!brings_functions(&message(other)), "{other:?}");
        }
    }

    #[test]
    fn any_bytes_are_survived() {
        for bytes in [
            &b"add@"[..],
            b"",
            b"\0\0\0",
            b"add@\0SUBSYSTEM=\xff\xfe",
            &[0xff; 9000],
        ] {
            assert!(!brings_functions(bytes));
        }
    }

    #[test]
    fn a_quiet_socket_brings_nothing_and_does_not_block() {
        let Ok(uevents) = Uevents::listen() else {
            // Some builders forbid such sockets.
            return;
        };
        while uevents.drain().expect("it can be read") {}
    }
}
