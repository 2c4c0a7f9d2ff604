//! From the bytes of one record to a typed event.

use std::fmt;
use std::mem::{offset_of, size_of};

use thiserror::Error;

use crate::intf;

/// Bytes of a record: a time, a device, a CPU, a class and a pad, and no room for anything else.
const RECORD_LEN: usize = size_of::<intf::input_record>();

const _: () = {
    assert!(RECORD_LEN == 16);
    assert!(offset_of!(intf::input_record, time_ns) == 0);
    assert!(offset_of!(intf::input_record, device_id) == 8);
    assert!(offset_of!(intf::input_record, cpu) == 12);
    assert!(offset_of!(intf::input_record, device_class) == 14);
    assert!(offset_of!(intf::input_record, pad) == 15);
    assert!(DeviceClass::ALL.len() == intf::DEVICE_CLASS_CNT as usize);
};

/// What kind of device an event comes from, by what the device can report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeviceClass {
    /// None of the others: touch pads and screens, tablets, sensors, power buttons.
    Other,
    /// Has the letter keys.
    Keyboard,
    /// Moves in two axes and has a left button.
    Mouse,
    /// Has joystick or gamepad buttons.
    Gamepad,
}

impl DeviceClass {
    /// Every class, in the order of the BPF side's numbers.
    pub const ALL: [Self; 4] = [Self::Other, Self::Keyboard, Self::Mouse, Self::Gamepad];

    /// The class with this number on the BPF side, if there is one.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Index into arrays that have one entry for each class.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Other => intf::DEVICE_OTHER as usize,
            Self::Keyboard => intf::DEVICE_KEYBOARD as usize,
            Self::Mouse => intf::DEVICE_MOUSE as usize,
            Self::Gamepad => intf::DEVICE_GAMEPAD as usize,
        }
    }
}

impl fmt::Display for DeviceClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Other => "other",
            Self::Keyboard => "keyboard",
            Self::Mouse => "mouse",
            Self::Gamepad => "gamepad",
        })
    }
}

/// One key, button or axis event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputEvent {
    /// `CLOCK_MONOTONIC`, in ns.
    pub time_ns: u64,
    /// Kind of the device.
    pub device_class: DeviceClass,
    /// Number of the device, the N of `/sys/class/input/inputN`; `u32::MAX` if unknown.
    pub device_id: u32,
    /// The CPU on which the driver reported it.
    pub cpu: u16,
}

/// Why bytes from a ring are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The length is not that of a record.
    #[error("an input record has {RECORD_LEN} bytes, not {0}")]
    WrongSize(usize),
    /// The device class has no name here.
    #[error("there is no device class {0}")]
    UnknownClass(u8),
}

/// Reads one record.
///
/// # Errors
/// If the length or the device class is wrong.
pub fn parse_record(bytes: &[u8]) -> Result<InputEvent, RecordError> {
    let bytes: &[u8; RECORD_LEN] = bytes
        .try_into()
        .map_err(|_| RecordError::WrongSize(bytes.len()))?;
    let [
        t0,
        t1,
        t2,
        t3,
        t4,
        t5,
        t6,
        t7,
        d0,
        d1,
        d2,
        d3,
        c0,
        c1,
        class,
        _,
    ] = *bytes;
    Ok(InputEvent {
        time_ns: u64::from_ne_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
        device_id: u32::from_ne_bytes([d0, d1, d2, d3]),
        cpu: u16::from_ne_bytes([c0, c1]),
        device_class: DeviceClass::from_number(class).ok_or(RecordError::UnknownClass(class))?,
    })
}
