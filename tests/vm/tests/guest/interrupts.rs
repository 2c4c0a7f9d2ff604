//! Goal: a thread does not wake on an idle CPU that interrupts take much of, while another is idle. Method: a
//! thread bound to the first CPU has it receive datagrams, in bursts, and each of them many times over:
//! that is done in soft interrupts. A free thread is put there while the other rests, sleeps for a
//! moment of that rest, and looks where it has woken.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{park_timeout, scope};
use std::time::{Duration, Instant};

use nix::sched::{sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, setsockopt, socket, sockopt,
};

use super::network::loopback_up;
use super::require_vm;
use crate::support::daemon::Daemon;
use crate::support::{SELF, allow};

/// The CPU that has the interrupts.
const CPU: usize = 0;
/// Each datagram is received so many times.
const RECEIVERS: usize = 48;
const PORT: u16 = 4_711;
const BURST: Duration = Duration::from_millis(25);
const REST: Duration = Duration::from_millis(11);
/// A wake-up for which the free thread sleeps.
const NAP: Duration = Duration::from_millis(1);
/// What the scheduler has to notice, in about 100 ms.
const WARM_UP: Duration = Duration::from_millis(500);
const PLAY: Duration = Duration::from_secs(3);
const WAKE_UPS_MIN: usize = 40;

#[test]
#[ignore = "runs inside the VM"]
fn nobody_wakes_on_a_cpu_busy_with_interrupts_while_another_is_idle() {
    require_vm();
    loopback_up();
    let _receivers = receivers();
    let stays_pct = |flags: &[&str]| {
        let mut daemon = Daemon::start(flags);
        let before = interrupt_ticks();
        let began = Instant::now();
        let woke_on = wake_beside_interrupts();
        // At 100 a second.
        let share = (interrupt_ticks() - before) * 1_000 / began.elapsed().as_millis();
        daemon.assert_in_charge();
        let stayed = woke_on.iter().filter(|cpu| **cpu == CPU).count();
        let pct = 100 * stayed / woke_on.len().max(1);
        println!(
            "{flags:?}: {share} % of the CPU went to interrupts; woke there in {pct} % of {} times",
            woke_on.len()
        );
        assert!(woke_on.len() >= WAKE_UPS_MIN, "it hardly ever woke");
        assert!(share >= 20, "there were too few interrupts");
        pct
    };
    assert!(stays_pct(&["--without", "placement"]) >= 60);
    assert!(stays_pct(&[]) <= 20);
}

/// Sockets that each get a copy of every datagram sent to all on the loopback device, and drop what they
/// have no room for.
fn receivers() -> Vec<OwnedFd> {
    let receiver = |_| {
        let flags = SockFlag::SOCK_CLOEXEC;
        let fd = socket(AddressFamily::Inet, SockType::Datagram, flags, None).unwrap();
        setsockopt(&fd, sockopt::ReuseAddr, &true).unwrap();
        bind(fd.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, PORT)).unwrap();
        fd
    };
    (0..RECEIVERS).map(receiver).collect()
}

/// Where the free thread was when it woke during a rest, each time put on the CPU first.
fn wake_beside_interrupts() -> Vec<usize> {
    let all = sched_getaffinity(SELF).unwrap();
    let (ends, rests) = (AtomicBool::new(false), AtomicUsize::new(0));
    scope(|threads| {
        threads.spawn(|| receive_in_bursts(&ends, &rests));
        park_timeout(WARM_UP);
        let mut woke_on = Vec::new();
        let began = Instant::now();
        while began.elapsed() < PLAY {
            allow(SELF, &[CPU]);
            let rest = rests.load(Ordering::SeqCst);
            sched_setaffinity(SELF, &all).unwrap();
            park_timeout(NAP);
            let own = sched_getcpu().unwrap();
            if rest % 2 == 1 && rests.load(Ordering::SeqCst) == rest {
                woke_on.push(own);
            }
        }
        ends.store(true, Ordering::SeqCst);
        woke_on
    })
}

/// Has the CPU receive, and rest in between; `rests` is odd during a rest.
fn receive_in_bursts(ends: &AtomicBool, rests: &AtomicUsize) {
    allow(SELF, &[CPU]);
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    sender.set_broadcast(true).unwrap();
    while !ends.load(Ordering::SeqCst) {
        let began = Instant::now();
        while began.elapsed() < BURST {
            let all = (Ipv4Addr::new(127, 255, 255, 255), PORT);
            sender.send_to(&[0; 64], all).unwrap();
        }
        rests.fetch_add(1, Ordering::SeqCst);
        park_timeout(REST);
        rests.fetch_add(1, Ordering::SeqCst);
    }
}

/// What the kernel has counted for the CPU's hard and soft interrupts, in ticks of 10 ms.
fn interrupt_ticks() -> u128 {
    let text = std::fs::read_to_string("/proc/stat").unwrap();
    let line = text.lines().find(|line| line.starts_with("cpu0 ")).unwrap();
    let fields = line.split_whitespace().skip(6).take(2);
    fields.map(|field| field.parse::<u128>().unwrap()).sum()
}
