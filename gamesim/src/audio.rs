//! The sound process: fills ALSA periods, and measures how late it is woken for each.
//!
//! A period's ideal wake is the start of the stream plus a whole number of periods; the start is
//! moved earlier when a wake comes before its ideal time (devices whose clock is not ours).

use crate::args::{AudioArgs, Device};
use crate::clock::{Ticker, now_ns};
use crate::helper::{self, Window};
use crate::sys;
use crate::work::burn;
use alsa::pcm::{Access, Format, HwParams, IO, PCM};
use alsa::{Direction, ValueOr};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Real-time priority of sound under `--oracle`.
const ORACLE_PRIORITY: i32 = 14;
const RATE_HZ: u32 = 48_000;
const PERIOD_FRAMES: i64 = 256;
/// 256 frames at 48 kHz.
const PERIOD_NS: u64 = 5_333_333;
const PERIODS: i64 = 2;
const CHANNELS: u32 = 2;

/// What the sound process says when it is ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ready {
    /// Whether ALSA paces it.
    pub alsa: bool,
    /// Which device, or why none.
    pub note: String,
}

/// What was measured inside the window.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Sound {
    /// Lateness of each wake [ns].
    pub lateness_ns: Vec<u64>,
    /// Times the buffer ran empty.
    pub xruns: u64,
}

/// The silent devices, best first: snd-aloop counts in jiffies, too coarse for two periods of
/// 5.3 ms (at 250 Hz nearly every period is an xrun), snd-dummy uses a high-resolution timer.
fn find_device() -> Result<String> {
    let names = |card: &alsa::Card| card.get_name().unwrap_or_default();
    let cards: Vec<_> = alsa::card::Iter::new().flatten().collect();
    for wanted in ["Dummy", "Loopback"] {
        if let Some(card) = cards.iter().find(|card| names(card).contains(wanted)) {
            return Ok(format!("hw:{},0", card.get_index()));
        }
    }
    anyhow::bail!("neither snd-dummy nor snd-aloop is loaded")
}

fn open(name: &str) -> Result<PCM> {
    let pcm = PCM::new(name, Direction::Playback, false)
        .with_context(|| format!("cannot open ALSA device {name}"))?;
    {
        let hardware = HwParams::any(&pcm)?;
        hardware.set_channels(CHANNELS)?;
        hardware.set_rate(RATE_HZ, ValueOr::Nearest)?;
        hardware.set_format(Format::s16())?;
        hardware.set_access(Access::RWInterleaved)?;
        hardware.set_period_size(PERIOD_FRAMES, ValueOr::Nearest)?;
        hardware.set_buffer_size(PERIOD_FRAMES * PERIODS)?;
        pcm.hw_params(&hardware)?;
        let software = pcm.sw_params_current()?;
        // We start by hand, so that the start's time is known.
        software.set_start_threshold(PERIOD_FRAMES * PERIODS * 1000)?;
        software.set_avail_min(PERIOD_FRAMES)?;
        pcm.sw_params(&software)?;
    }
    Ok(pcm)
}

/// The sound process.
///
/// # Errors
/// When the parent's protocol is broken or the device fails while running.
pub fn main(args: &AudioArgs) -> Result<()> {
    let (mut stream, mut reader) = helper::attach("gs-audio")?;
    if args.oracle {
        sys::set_fifo(ORACLE_PRIORITY).context("--oracle needs root or a real-time limit")?;
    }
    let opened = match (args.audio, &args.audio_device) {
        (Device::Auto, Some(name)) => open(name).map(|pcm| (pcm, name.clone())),
        (Device::Auto, None) => find_device().and_then(|name| Ok((open(&name)?, name))),
        (Device::Timer | Device::None, _) => Err(anyhow::anyhow!("asked for")),
    };
    let (pcm, ready) = match opened {
        Ok((pcm, note)) => (Some(pcm), Ready { alsa: true, note }),
        Err(error) => (
            None,
            Ready {
                alsa: false,
                note: format!("{error:#}"),
            },
        ),
    };
    helper::send(&mut stream, &ready)?;
    let Some(window) = helper::receive_window(&mut reader)? else {
        return Ok(());
    };
    let sound = match pcm {
        Some(pcm) => play(&pcm, args.loops, window)?,
        None => tick(args.loops, window)?,
    };
    helper::send(&mut stream, &sound)
}

/// Wakes and their ideal times since one start of the stream.
#[derive(Debug)]
struct Schedule {
    start_ns: u64,
    periods: u64,
}

impl Schedule {
    fn lateness(&mut self, now: u64) -> u64 {
        self.periods += 1;
        let ideal = self.start_ns + self.periods * PERIOD_NS;
        if now < ideal {
            self.start_ns -= ideal - now;
            return 0;
        }
        now - ideal
    }
}

fn fill_and_start(pcm: &PCM, io: &IO<'_, i16>, silence: &[i16]) -> Result<Schedule> {
    pcm.prepare()?;
    for _ in 0..PERIODS {
        io.writei(silence)?;
    }
    pcm.start()?;
    Ok(Schedule {
        start_ns: now_ns(),
        periods: 0,
    })
}

fn play(pcm: &PCM, loops: u64, window: Window) -> Result<Sound> {
    let silence = vec![0i16; usize::try_from(PERIOD_FRAMES * i64::from(CHANNELS))?];
    let io = pcm.io_i16()?;
    let mut sound = Sound::default();
    let mut schedule = fill_and_start(pcm, &io, &silence)?;
    loop {
        let woken = pcm.wait(Some(2000));
        let now = now_ns();
        if now >= window.until_ns {
            pcm.drop()?;
            return Ok(sound);
        }
        let counts = window.contains(now);
        // Also when the buffer ran empty: that wake was the latest of all.
        let lateness_ns = schedule.lateness(now);
        if counts {
            sound.lateness_ns.push(lateness_ns);
        }
        let played = woken.and_then(|_| {
            burn(loops);
            io.writei(&silence)
        });
        match played {
            Ok(_) => {}
            Err(error) if error.errno() == libc::EPIPE => {
                sound.xruns += u64::from(counts);
                schedule = fill_and_start(pcm, &io, &silence)?;
            }
            Err(error) => return Err(error).context("ALSA"),
        }
    }
}

/// A timer in ALSA's place: the same buffer, counted instead of played.
fn tick(loops: u64, window: Window) -> Result<Sound> {
    let mut ticker = Ticker::start(PERIOD_NS)?;
    let mut sound = Sound::default();
    loop {
        let (ideal_ns, elapsed) = ticker.wait()?;
        let now = now_ns();
        if now >= window.until_ns {
            return Ok(sound);
        }
        burn(loops);
        if window.contains(now) {
            // The oldest of the elapsed periods is the one we were woken for.
            let first_ns = ideal_ns - (elapsed - 1) * PERIOD_NS;
            sound.lateness_ns.push(now.saturating_sub(first_ns));
            sound.xruns += u64::from(elapsed >= PERIODS.unsigned_abs());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PERIOD_NS, Schedule};

    #[test]
    fn lateness_counts_from_whole_periods_after_the_start() {
        let mut schedule = Schedule {
            start_ns: 1000,
            periods: 0,
        };
        assert_eq!(schedule.lateness(1000 + PERIOD_NS + 7), 7);
        assert_eq!(schedule.lateness(1000 + 2 * PERIOD_NS), 0);
    }

    #[test]
    fn an_early_wake_moves_the_start_and_is_never_negative() {
        let mut schedule = Schedule {
            start_ns: 1000,
            periods: 0,
        };
        assert_eq!(schedule.lateness(1000 + PERIOD_NS - 100), 0);
        assert_eq!(schedule.lateness(1000 + 2 * PERIOD_NS), 100);
    }
}
