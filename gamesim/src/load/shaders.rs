//! A game engine's shader compiler: bursts of short-lived threads inside the game process itself.

use super::Done;
use crate::clock;
use crate::helper::Window;
use crate::threads::join;
use crate::work::burn;
use anyhow::{Context, Result};
use std::thread;
use std::time::Duration;

/// Shaders that each thread of a burst compiles.
const SHADERS: u32 = 10;
/// Work of one shader [us].
const SHADER_US: u64 = 2000;
/// Time between two bursts.
const PAUSE: Duration = Duration::from_millis(250);

/// Makes bursts of `count` threads until the window ends.
///
/// # Errors
/// When a thread cannot be started.
pub fn bursts(count: u32, loops_per_us: u64, window: Window) -> Result<Done> {
    let loops = loops_per_us.saturating_mul(SHADER_US);
    let mut done = Done::default();
    loop {
        done += burst(count, loops, window)?;
        let left = Duration::from_nanos(window.until_ns.saturating_sub(clock::now_ns()));
        if left.is_zero() {
            return Ok(done);
        }
        clock::pause(PAUSE.min(left));
    }
}

fn burst(count: u32, loops: u64, window: Window) -> Result<Done> {
    let mut handles = Vec::new();
    for index in 0..count {
        handles.push(
            thread::Builder::new()
                .name(format!("shader/{index}"))
                .spawn(move || Ok(compile(loops, window)))
                .context("cannot start a shader thread")?,
        );
    }
    let mut done = Done::default();
    for handle in handles {
        done += join(handle)?;
    }
    Ok(done)
}

fn compile(loops: u64, window: Window) -> Done {
    let mut done = Done::default();
    for _ in 0..SHADERS {
        if clock::now_ns() >= window.until_ns {
            break;
        }
        burn(loops);
        if window.contains(clock::now_ns()) {
            done.loops += loops;
            done.jobs += 1;
        }
    }
    done
}
