//! What a person sees while the arena runs, and what a guest tells the host about it.

use crate::scenario::Course;
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

/// Something happened. As JSON one line each, told apart from other output by its first field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "arena", rename_all = "lowercase")]
pub enum Event {
    /// It begins; `done` cells were played earlier.
    Begin {
        /// Cells in all.
        cells: usize,
        /// Of those, already played.
        done: usize,
    },
    /// A cell begins.
    Playing {
        /// Round, from 1.
        round: u32,
        /// Contestant.
        contestant: String,
        /// Where, or `None` while it attaches.
        course: Option<Course>,
    },
    /// A cell ended.
    Played {
        /// Round, from 1.
        round: u32,
        /// Contestant.
        contestant: String,
        /// Where.
        course: Course,
        /// The result in a few words.
        result: String,
    },
}

impl Event {
    /// The event in a line of output, if it is one.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line.trim()).ok()
    }
}

/// Who hears of events.
pub trait Progress {
    /// Hears of one.
    fn hear(&mut self, event: &Event);
}

/// Prints them as JSON lines, for another program.
#[derive(Debug)]
pub struct JsonLines;

impl Progress for JsonLines {
    fn hear(&mut self, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            println!("{line}");
        }
    }
}

/// A bar with the remaining time; without a terminal, a line per cell.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    name: String,
}

impl Bar {
    /// A bar in `all`; `name` tells it from the others, if there are others.
    #[must_use]
    pub fn new(all: &MultiProgress, name: &str) -> Self {
        let bar = all.add(ProgressBar::new(0));
        let name = if name.is_empty() {
            String::new()
        } else {
            format!("[{name}] ")
        };
        let style =
            ProgressStyle::with_template("{prefix}{wide_bar} {pos}/{len}, about {eta} left: {msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(name.clone());
        Self { bar, name }
    }

    /// Shows a line above the bar.
    pub fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            eprintln!("{}{line}", self.name);
        } else {
            self.bar.println(format!("{}{line}", self.name));
        }
    }
}

impl Progress for Bar {
    fn hear(&mut self, event: &Event) {
        match event {
            Event::Begin { cells, done } => {
                self.bar.set_length(*cells as u64);
                self.bar.set_position(*done as u64);
                self.bar.reset_eta();
                if *done > 0 {
                    self.say(&format!("{done} of {cells} were played earlier"));
                }
            }
            Event::Playing {
                round,
                contestant,
                course,
            } => {
                let what = course
                    .as_ref()
                    .map_or("attach".to_owned(), ToString::to_string);
                self.bar
                    .set_message(format!("round {round}, {contestant}, {what}"));
            }
            Event::Played {
                round,
                contestant,
                course,
                result,
            } => {
                self.bar.inc(1);
                let left = if self.bar.is_hidden() {
                    let (done, all) = (self.bar.position(), self.bar.length().unwrap_or(0));
                    format!(
                        " [{done}/{all}, about {} left]",
                        HumanDuration(self.bar.eta())
                    )
                } else {
                    String::new()
                };
                self.say(&format!(
                    "round {round} {course} {contestant}: {result}{left}"
                ));
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Event;

    #[test]
    fn an_event_is_told_from_other_output() {
        let event = Event::Playing {
            round: 2,
            contestant: "kernel".into(),
            course: Some("hogs-paced".parse().unwrap()),
        };
        let line = serde_json::to_string(&event).unwrap();
        assert!(line.starts_with("{\"arena\":\"playing\""), "{line}");
        assert_eq!(Event::parse(&format!("{line}\r\n")), Some(event));
        for other in ["", "{}", "hello", "{\"arena\":\"dancing\"}"] {
            assert_eq!(Event::parse(other), None);
        }
    }
}
