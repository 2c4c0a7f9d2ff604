//! The display: its flips, what waits for them, and the windows that input events open.

use std::collections::VecDeque;

use scx_gamer::config::Feature;
use scx_gamer::policy::{
    FrameClock, flip_shows, frame_flip, frame_near_16ths, in_window, window_extend,
};

use crate::machine::{Event, Machine};
use crate::script::{Frames, MS};

/// How long an input event makes the chain urgent, as by default.
const INPUT_WINDOW_NS: u64 = 10 * MS;

/// Shows a frame at each of its refreshes, if one was asked for.
#[derive(Debug)]
pub(crate) struct Display {
    pub(crate) interval_ns: u64,
    /// The tasks that begin the next frame at each refresh.
    starts: Vec<usize>,
    /// When the frames were begun that are not yet done.
    begun_ns: VecDeque<u64>,
    asked_ns: Option<u64>,
    clock: FrameClock,
    pub(crate) shown_cnt: u64,
    /// Refreshes at which there was nothing new to be shown.
    pub(crate) missed_cnt: u64,
    /// Frames that were not done by the refresh after the one at which they were begun.
    pub(crate) late_cnt: u64,
}

/// Windows are opened by input events, and closed by time or by the flip that shows the result.
#[derive(Debug, Default)]
pub(crate) struct InputWindow {
    end_ns: u64,
    event_ns: u64,
}

impl Machine {
    /// The same machine with a display, each of whose refreshes wakes these tasks.
    pub(crate) fn with_display(mut self, interval_ns: u64, starts: Vec<usize>) -> Self {
        self.display = Some(Display {
            interval_ns,
            starts,
            begun_ns: VecDeque::new(),
            asked_ns: None,
            clock: FrameClock::default(),
            shown_cnt: 0,
            missed_cnt: 0,
            late_cnt: 0,
        });
        self.push_event(interval_ns, Event::Refresh);
        self
    }

    pub(crate) fn on_refresh(&mut self) {
        let clock_ns = self.clock_ns();
        let display = self.display.as_mut().expect("BUG: there is no display");
        let (interval_ns, starts) = (display.interval_ns, display.starts.clone());
        if let Some(asked_ns) = display.asked_ns.take() {
            frame_flip(&mut display.clock, clock_ns);
            display.shown_cnt += 1;
            if flip_shows(asked_ns, self.window.event_ns, display.clock.interval_ns) {
                self.window.end_ns = 0;
            }
        } else {
            display.missed_cnt += 1;
        }
        self.push_event(self.now_ns + interval_ns, Event::Refresh);
        for task in starts {
            // Who has not finished the last frame does not begin one more.
            if self.tasks[task].due_cnt == 0 {
                let display = self.display.as_mut().expect("BUG: just seen");
                display.begun_ns.push_back(self.now_ns);
                self.wake(task);
            }
        }
    }

    pub(crate) fn ask_for_flip(&mut self) {
        let clock_ns = self.clock_ns();
        if let Some(display) = &mut self.display {
            display.asked_ns = Some(clock_ns);
            let begun_ns = display.begun_ns.pop_front();
            let took_ns = self.now_ns - begun_ns.expect("BUG: a frame that nobody began");
            display.late_cnt += u64::from(took_ns > display.interval_ns);
        }
    }

    /// The part by which the next flip shortens the span of a task.
    pub(crate) fn near_flip_16ths(&self, task: usize) -> u32 {
        let max_16ths = match self.tasks[task].spec.frames {
            Frames::Shows => 8,
            Frames::Draws => 4,
            Frames::None => return 0,
        };
        match &self.display {
            Some(display) if self.parts.has(Feature::FrameClock) => {
                frame_near_16ths(&display.clock, self.clock_ns(), max_16ths)
            }
            _ => 0,
        }
    }

    pub(crate) fn note_input(&mut self) {
        let clock_ns = self.clock_ns();
        self.window.event_ns = clock_ns;
        self.window.end_ns = window_extend(self.window.end_ns, clock_ns, INPUT_WINDOW_NS);
    }

    /// Whether an input event has just made a task of this boost urgent.
    pub(crate) fn in_window(&self, boost: u32) -> bool {
        self.parts.has(Feature::InputWindow)
            && in_window(self.clock_ns(), self.window.end_ns, boost)
    }
}
