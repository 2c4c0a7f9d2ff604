//! A video encoder: threads that have a little to do and a deadline for it, 60 times a second.

use super::threads::set_class;
use super::{Class, Done};
use crate::clock::{self, SECOND_NS, Ticker};
use crate::helper::Window;
use crate::threads::join;
use crate::work::burn;
use anyhow::{Context, Result};
use std::thread;

const PERIOD_NS: u64 = SECOND_NS / 60;
/// Work of a thread in each period [us].
const FRAME_US: u64 = 1000;

/// Runs `count` encoder threads until the window ends.
///
/// # Errors
/// When a thread or its timer cannot be started.
pub fn encode(count: u32, class: Class, loops_per_us: u64, window: Window) -> Result<Done> {
    set_class(class)?;
    let loops = loops_per_us.saturating_mul(FRAME_US);
    let mut handles = Vec::new();
    for index in 0..count {
        handles.push(
            thread::Builder::new()
                .name(format!("encoder/{index}"))
                .spawn(move || keep_pace(loops, window))
                .context("cannot start an encoder thread")?,
        );
    }
    let mut done = Done::default();
    for handle in handles {
        done += join(handle)?;
    }
    Ok(done)
}

fn keep_pace(loops: u64, window: Window) -> Result<Done> {
    let mut ticker = Ticker::start(PERIOD_NS)?;
    let mut done = Done::default();
    loop {
        let (begin_ns, begun) = ticker.wait()?;
        // Of the periods that began since the last turn only the newest is worked on.
        count_passed(&mut done, begin_ns, begun.saturating_sub(1), window);
        if begin_ns >= window.until_ns {
            return Ok(done);
        }
        burn(loops);
        count_frame(&mut done, begin_ns, clock::now_ns(), loops, window);
    }
}

/// Counts `passed` periods just before the one that begins at `begin_ns`: nothing was done in them.
fn count_passed(done: &mut Done, begin_ns: u64, passed: u64, window: Window) {
    for back in 0..passed {
        if window.contains(begin_ns.saturating_sub(back * PERIOD_NS)) {
            done.deadlines += 1;
            done.missed += 1;
        }
    }
}

/// Counts the frame of the period that began at `begin_ns`, finished at `end_ns`. A deadline
/// belongs to the window in which it falls, finished work to the one in which it was finished.
fn count_frame(done: &mut Done, begin_ns: u64, end_ns: u64, loops: u64, window: Window) {
    let deadline_ns = begin_ns + PERIOD_NS;
    if window.contains(deadline_ns) {
        done.deadlines += 1;
        done.missed += u64::from(end_ns > deadline_ns);
    }
    if window.contains(end_ns) {
        done.loops += loops;
        done.jobs += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Done, PERIOD_NS, count_frame, count_passed};
    use crate::helper::Window;

    const FROM_NS: u64 = 1_000_000_000;
    /// Ten periods.
    const WINDOW: Window = Window {
        from_ns: FROM_NS,
        until_ns: FROM_NS + 10 * PERIOD_NS,
    };

    /// The beginning of a period of the window, from 0.
    fn begin_ns(period: u64) -> u64 {
        FROM_NS + period * PERIOD_NS
    }

    #[test]
    fn a_deadline_is_missed_when_the_next_period_began_before_the_end() {
        let mut done = Done::default();
        count_frame(&mut done, begin_ns(0), begin_ns(1), 7, WINDOW);
        assert_eq!((done.deadlines, done.missed), (1, 0));
        count_frame(&mut done, begin_ns(1), begin_ns(2) + 1, 7, WINDOW);
        assert_eq!((done.deadlines, done.missed), (2, 1));
        assert_eq!((done.loops, done.jobs), (14, 2));
    }

    #[test]
    fn periods_that_passed_while_a_thread_was_busy_are_missed_too() {
        let mut done = Done::default();
        // Busy from period 0 into period 3: 0, 1 and 2 are missed, 3 is still in time.
        count_frame(&mut done, begin_ns(0), begin_ns(3) + 1, 7, WINDOW);
        count_passed(&mut done, begin_ns(3), 2, WINDOW);
        count_frame(&mut done, begin_ns(3), begin_ns(4) - 1, 7, WINDOW);
        assert_eq!((done.deadlines, done.missed), (4, 3));
        assert_eq!(done.jobs, 2);
    }

    #[test]
    fn only_deadlines_inside_the_window_count() {
        let mut done = Done::default();
        count_frame(&mut done, begin_ns(9), begin_ns(10) + 1, 7, WINDOW);
        count_passed(&mut done, FROM_NS - 1, 5, WINDOW);
        assert_eq!((done.deadlines, done.missed, done.jobs), (0, 0, 0));
        // A thread that got no turn at all until long after the window: deadlines at 0..=9 fall in it.
        count_passed(&mut done, begin_ns(15), 20, WINDOW);
        assert_eq!((done.deadlines, done.missed), (10, 10));
    }
}
