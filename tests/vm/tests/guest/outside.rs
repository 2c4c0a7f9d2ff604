//! Goal: input that the host sends to the virtual keyboard and mouse arrives, each event once.
//! Method: read every evdev node, tell the host to begin, compare what came with what it sends.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use super::require_vm;

/// Printed when the guest listens.
pub(crate) const READY: &str = "ready for input";
/// Mouse movements that the host sends, three steps to the right each.
pub(crate) const MOVES: i32 = 5;

const EV_KEY: u16 = 1;
const EV_REL: u16 = 2;
const REL_X: u16 = 0;
const KEY_A: u16 = 30;
const BTN_LEFT: u16 = 0x110;

/// Size of `struct input_event` on 64-bit Linux: a time of 16 bytes, type, code, value.
const EVENT_LEN: usize = 24;

#[test]
#[ignore = "runs inside the VM"]
fn input_from_outside_arrives() {
    require_vm();
    let (sender, events) = channel();
    for entry in fs::read_dir("/dev/input").unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("event") {
            let (file, sender) = (File::open(entry.path()).unwrap(), sender.clone());
            thread::spawn(move || forward(file, &sender));
        }
    }
    println!("{READY}");
    let expected = BTreeMap::from([
        ((EV_REL, REL_X, 3), MOVES),
        ((EV_KEY, KEY_A, 1), 1),
        ((EV_KEY, KEY_A, 0), 1),
        ((EV_KEY, BTN_LEFT, 1), 1),
        ((EV_KEY, BTN_LEFT, 0), 1),
    ]);
    let mut missing: i32 = expected.values().sum();
    let mut seen = BTreeMap::new();
    // A lost event ends the wait by the long limit. When all are here, a short one for doubles.
    let limit = |missing| Duration::from_millis(if missing > 0 { 30_000 } else { 500 });
    while let Ok(event) = events.recv_timeout(limit(missing)) {
        *seen.entry(event).or_insert(0) += 1;
        missing -= 1;
    }
    println!("(type, code, value) -> count: {seen:?}");
    assert_eq!(seen, expected);
}

/// Sends every key and movement event of one device, as (type, code, value).
fn forward(mut device: File, sender: &Sender<(u16, u16, i32)>) {
    let mut event = [0_u8; EVENT_LEN];
    while device.read_exact(&mut event).is_ok() {
        let [.., t0, t1, c0, c1, v0, v1, v2, v3] = event;
        let kind = u16::from_le_bytes([t0, t1]);
        if kind == EV_KEY || kind == EV_REL {
            let code = u16::from_le_bytes([c0, c1]);
            let _ = sender.send((kind, code, i32::from_le_bytes([v0, v1, v2, v3])));
        }
    }
}
