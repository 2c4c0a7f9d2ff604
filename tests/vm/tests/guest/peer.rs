//! Processes for tests of what the game's threads do, made of this program: each thread does one
//! deed and has its name, `PREFIX-DEED`, which this side alone looks at.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{
    ClockId as TimerClock, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags,
};
use nix::time::{ClockId, clock_gettime};

/// Environment of a peer: `PREFIX SECONDS DEED=TARGET ...`.
const PART: &str = "SCX_GAMER_TEST_PART";
/// Begins the line that says when a deed began: `BEGUN DEED NS`.
const BEGUN: &str = "begun";
/// A message of a game.
const SMALL: [u8; 100] = [0; 100];
/// Of direct reads and of what is transferred.
const BLOCK: usize = 64 * 1024;

/// A process whose threads wait for [`Peer::begin`], do their deeds for a while, and then live on
/// without.
pub(super) struct Peer {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    deed_cnt: usize,
}

impl Peer {
    /// Starts the process. Deeds: `udp` and `tcp` send small messages to an address and receive the
    /// answers, 60 times a second; `bulk` sends 13 MB/s to an address; `read` reads a device
    /// directly; `write` writes a file and waits until it is on its device.
    pub(super) fn start(prefix: &str, seconds: u32, deeds: &[(&str, &str)]) -> Self {
        let deeds_text: Vec<String> = deeds
            .iter()
            .map(|(deed, on)| format!("{deed}={on}"))
            .collect();
        let mut command = Command::new(env::current_exe().unwrap());
        command.args([
            "--ignored",
            "--exact",
            "--nocapture",
            "guest::peer::plays_its_part",
        ]);
        command.env(PART, format!("{prefix} {seconds} {}", deeds_text.join(" ")));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            lines,
            deed_cnt: deeds.len(),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets the deeds begin; when each did, in ns of `CLOCK_MONOTONIC`.
    pub(super) fn begin(&mut self) -> Vec<(String, u64)> {
        self.child.stdin.as_mut().unwrap().write_all(b"!").unwrap();
        let mut begun = Vec::new();
        while begun.len() < self.deed_cnt {
            let mut line = String::new();
            assert!(
                self.lines.read_line(&mut line).unwrap() > 0,
                "the peer has ended"
            );
            let words: Vec<&str> = line.split_whitespace().collect();
            if let [BEGUN, deed, at_ns] = words[..] {
                begun.push((deed.to_owned(), at_ns.parse().unwrap()));
            }
        }
        begun
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers each datagram; the address.
pub(super) fn udp_echo(bind: &str) -> String {
    let socket = UdpSocket::bind(bind).unwrap();
    let address = socket.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    address
}

/// Answers what is small, and takes the rest; the address.
pub(super) fn tcp_echo(bind: &str) -> String {
    let listener = TcpListener::bind(bind).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer_small(stream));
        }
    });
    address
}

fn answer_small(mut stream: TcpStream) {
    let mut buffer = vec![0; BLOCK];
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        if length <= SMALL.len() {
            let _ = stream.write_all(&buffer[..length]);
        }
    }
}

#[test]
#[ignore = "is a process of other tests"]
fn plays_its_part() {
    let Ok(part) = env::var(PART) else { return };
    let words: Vec<&str> = part.split(' ').collect();
    let (prefix, seconds) = (words[0], words[1].parse().unwrap());
    let _ = std::io::stdin().read(&mut [0]);
    for deed in &words[2..] {
        let (deed, target) = deed.split_once('=').unwrap();
        let (deed, target) = (deed.to_owned(), target.to_owned());
        let thread = thread::Builder::new().name(format!("{prefix}-{deed}"));
        thread
            .spawn(move || live(&deed, &target, Duration::from_secs(seconds)))
            .unwrap();
    }
    loop {
        thread::park();
    }
}

fn live(deed: &str, target: &str, length: Duration) {
    let (hertz, mut act) = prepare(deed, target);
    let timer = TimerFd::new(TimerClock::CLOCK_MONOTONIC, TimerFlags::empty()).unwrap();
    let period = TimeSpec::from_duration(Duration::from_secs(1) / hertz);
    timer
        .set(Expiration::Interval(period), TimerSetTimeFlags::empty())
        .unwrap();
    let now = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap());
    println!("{BEGUN} {deed} {}", now.as_nanos());
    let end = Instant::now() + length;
    loop {
        timer.wait().unwrap();
        if Instant::now() < end {
            act();
        }
    }
}

/// How often a deed is done in a second, and one doing.
fn prepare(deed: &str, target: &str) -> (u32, Box<dyn FnMut()>) {
    let mut block = vec![0; BLOCK];
    match deed {
        "udp" => {
            let socket = UdpSocket::bind(if target.starts_with('[') {
                "[::1]:0"
            } else {
                "127.0.0.1:0"
            });
            let socket = socket.unwrap();
            socket.connect(target).unwrap();
            let act = move || {
                socket.send(&SMALL).unwrap();
                // A game does not know how much will come, either.
                socket.recv(&mut block).unwrap();
            };
            (60, Box::new(act))
        }
        "tcp" => {
            let mut stream = TcpStream::connect(target).unwrap();
            let act = move || {
                stream.write_all(&SMALL).unwrap();
                assert!(stream.read(&mut block).unwrap() > 0);
            };
            (60, Box::new(act))
        }
        "bulk" => {
            let mut stream = TcpStream::connect(target).unwrap();
            (200, Box::new(move || stream.write_all(&block).unwrap()))
        }
        "read" => {
            let direct = nix::libc::O_DIRECT;
            let file = OpenOptions::new()
                .read(true)
                .custom_flags(direct)
                .open(target)
                .unwrap();
            // Wherever in it: direct reads want whole pages.
            let mut room = vec![0; 2 * 4096];
            let skip = room.as_ptr().align_offset(4096);
            let mut at = 0;
            let act = move || {
                at += file.read_at(&mut room[skip..skip + 4096], at).unwrap() as u64;
            };
            (200, Box::new(act))
        }
        "write" => {
            let file = File::create(target).unwrap();
            let mut at = 0;
            let act = move || {
                file.write_all_at(&block, at % (64 * BLOCK as u64)).unwrap();
                file.sync_data().unwrap();
                at += BLOCK as u64;
            };
            (50, Box::new(act))
        }
        _ => panic!("no deed {deed}"),
    }
}
