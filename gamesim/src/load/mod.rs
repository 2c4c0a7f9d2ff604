//! Background load: what it can be, and the process that does it.

pub mod chat;
pub mod compile;
pub mod running;
pub mod shaders;
pub mod stream;
pub mod threads;

use crate::args::LoadArgs;
use crate::helper::{self, Window};
use crate::report::Background;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// At which priority a load's threads run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Class {
    /// SCHED_OTHER, nice 0.
    Normal,
    /// SCHED_OTHER, nice 19.
    Nice19,
    /// SCHED_IDLE.
    Idle,
}

/// One background load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadSpec {
    /// Threads that never wait.
    Hogs(u32, Class),
    /// Slots, each running one short compiler-like process after the other.
    Compile(u32, Class),
    /// One SCHED_FIFO thread that takes this many per cent of one CPU.
    Fifo(u32),
    /// Threads that never wait and keep changing their own affinity.
    Affinity(u32, Class),
    /// Threads that nearly always sleep and wake one another in chains.
    Chat(u32, Class),
    /// Encoder threads with deadlines.
    Stream(u32, Class),
    /// Bursts of this many threads inside the game process.
    Shaders(u32),
}

const KINDS: &str = "hogs=N, compile=N, affinity=N, chat=N, stream=N (each with :nice19 or :idle \
                     if wanted), fifo=PERCENT or shaders=N";

/// Four in five chat threads have a pipe, two files each; a process may usually open 1024 files.
const CHAT_MAX: u32 = 500;

/// Why a load's text was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpecError {
    /// No such load.
    #[error("unknown load {0:?}; expected {KINDS}")]
    Unknown(String),
    /// The number is missing or out of range.
    #[error("load {kind} needs a number from 1 to {max}, not {text:?}")]
    Number {
        /// Which load.
        kind: String,
        /// Largest value.
        max: u32,
        /// What was given.
        text: String,
    },
    /// The part after the colon is unknown.
    #[error("unknown class {0:?} of a load; expected nice19 or idle")]
    Class(String),
    /// This load has no classes.
    #[error("load {0} takes a number only, without a class")]
    NoClass(String),
}

impl FromStr for LoadSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let unknown = || SpecError::Unknown(text.to_owned());
        let (kind, rest) = text.split_once('=').ok_or_else(unknown)?;
        let (number, class) = match rest.split_once(':') {
            None => (rest, Class::Normal),
            Some((number, "nice19")) => (number, Class::Nice19),
            Some((number, "idle")) => (number, Class::Idle),
            Some((_, class)) => return Err(SpecError::Class(class.to_owned())),
        };
        let count = |max: u32| match number.parse::<u32>() {
            Ok(value) if (1..=max).contains(&value) => Ok(value),
            _ => Err(SpecError::Number {
                kind: kind.to_owned(),
                max,
                text: number.to_owned(),
            }),
        };
        let plain = || match class {
            Class::Normal => Ok(()),
            Class::Nice19 | Class::Idle => Err(SpecError::NoClass(kind.to_owned())),
        };
        match kind {
            "hogs" => Ok(Self::Hogs(count(4096)?, class)),
            "compile" => Ok(Self::Compile(count(1024)?, class)),
            "affinity" => Ok(Self::Affinity(count(4096)?, class)),
            "chat" => Ok(Self::Chat(count(CHAT_MAX)?, class)),
            "stream" => Ok(Self::Stream(count(1024)?, class)),
            "fifo" => plain().and_then(|()| Ok(Self::Fifo(count(95)?))),
            "shaders" => plain().and_then(|()| Ok(Self::Shaders(count(1024)?))),
            _ => Err(unknown()),
        }
    }
}

impl fmt::Display for LoadSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, number, class) = match *self {
            Self::Hogs(count, class) => ("hogs", count, class),
            Self::Compile(count, class) => ("compile", count, class),
            Self::Affinity(count, class) => ("affinity", count, class),
            Self::Chat(count, class) => ("chat", count, class),
            Self::Stream(count, class) => ("stream", count, class),
            Self::Fifo(percent) => ("fifo", percent, Class::Normal),
            Self::Shaders(count) => ("shaders", count, Class::Normal),
        };
        let suffix = match class {
            Class::Normal => "",
            Class::Nice19 => ":nice19",
            Class::Idle => ":idle",
        };
        write!(f, "{kind}={number}{suffix}")
    }
}

/// Work finished inside the window.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Loops of work.
    pub loops: u64,
    /// Compiler processes that ended well, chat chains run to their end, frames encoded,
    /// shaders compiled.
    pub jobs: u64,
    /// Deadlines inside the window.
    pub deadlines: u64,
    /// Of those, missed.
    pub missed: u64,
}

impl std::ops::AddAssign for Done {
    fn add_assign(&mut self, other: Self) {
        self.loops += other.loops;
        self.jobs += other.jobs;
        self.deadlines += other.deadlines;
        self.missed += other.missed;
    }
}

impl Done {
    /// What is reported of a load that did this in the window.
    #[must_use]
    pub fn report(&self, spec: LoadSpec, window: Window) -> Background {
        Background {
            spec: spec.to_string(),
            loops: self.loops,
            loops_per_s: self.loops as f64 / window.seconds(),
            jobs: self.jobs,
            jobs_per_s: self.jobs as f64 / window.seconds(),
            deadlines: self.deadlines,
            missed: self.missed,
        }
    }
}

/// The load process.
///
/// # Errors
/// When it may not have the priority it needs, or the parent's protocol is broken.
pub fn main(args: &LoadArgs) -> Result<()> {
    // Threads inherit the blocked signals: the waiting thread alone hears them.
    let compile = matches!(args.spec, LoadSpec::Compile(..));
    let signals = if compile {
        Some(compile::block_signals()?)
    } else {
        None
    };
    let (mut socket, mut reader) = helper::attach("gs-load")?;
    helper::send(&mut socket, &())?;
    let Some(window) = helper::receive_window(&mut reader)? else {
        return Ok(());
    };
    let speed = args.loops_per_us;
    let chunk = speed.saturating_mul(100);
    let done = match (args.spec, signals) {
        (LoadSpec::Hogs(count, class), _) => threads::hogs(count, class, false, chunk, window)?,
        (LoadSpec::Affinity(count, class), _) => threads::hogs(count, class, true, chunk, window)?,
        (LoadSpec::Fifo(percent), _) => threads::fifo(percent, chunk / 10, window)?,
        (LoadSpec::Compile(slots, class), Some(signals)) => {
            threads::set_class(class)?;
            compile::storm(slots, chunk.saturating_mul(200), window, &signals)?
        }
        (LoadSpec::Compile(..), None) => Done::default(),
        (LoadSpec::Chat(count, class), _) => chat::chains(count, class, speed, window)?,
        (LoadSpec::Stream(count, class), _) => stream::encode(count, class, speed, window)?,
        (LoadSpec::Shaders(_), _) => bail!("shaders run inside the game process"),
    };
    helper::send(&mut socket, &done.report(args.spec, window))
}

#[cfg(test)]
mod tests {
    use super::{Class, LoadSpec, SpecError};

    #[test]
    fn every_load_is_read_back_from_its_own_text() {
        for text in [
            "hogs=4",
            "hogs=2:nice19",
            "hogs=9:idle",
            "compile=3",
            "fifo=80",
            "affinity=2",
            "chat=200",
            "chat=7:idle",
            "stream=4",
            "stream=1:nice19",
            "shaders=4",
        ] {
            let spec: LoadSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
        }
        assert_eq!("hogs=4:idle".parse(), Ok(LoadSpec::Hogs(4, Class::Idle)));
    }

    #[test]
    fn a_bad_load_is_refused_with_its_reason() {
        let parse = |text: &str| text.parse::<LoadSpec>().unwrap_err();
        assert!(matches!(parse("hogs"), SpecError::Unknown(_)));
        assert!(matches!(parse("pigs=3"), SpecError::Unknown(_)));
        assert!(matches!(parse(""), SpecError::Unknown(_)));
        assert!(matches!(parse("hogs=0"), SpecError::Number { .. }));
        assert!(matches!(parse("hogs=-1"), SpecError::Number { .. }));
        assert!(matches!(parse("fifo=96"), SpecError::Number { .. }));
        assert!(matches!(
            parse("compile=99999999999"),
            SpecError::Number { .. }
        ));
        assert!(matches!(parse("hogs=4:nice5"), SpecError::Class(_)));
        assert!(matches!(parse("chat=501"), SpecError::Number { .. }));
        assert!(matches!(parse("stream=0"), SpecError::Number { .. }));
        assert!(matches!(parse("fifo=50:idle"), SpecError::NoClass(_)));
        assert!(matches!(parse("shaders=4:nice19"), SpecError::NoClass(_)));
    }
}
