//! The scenarios: what runs beside the game. One table, read by people and by the program.

use gamesim::args::Mode;
use gamesim::load::LoadSpec;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Name on the command line and in results.
    pub name: &'static str,
    /// What a person does there.
    pub sentence: &'static str,
    /// Background loads, as `gamesim --load` takes them; `2CPUS` is twice the number of CPUs.
    loads: &'static [&'static str],
}

/// Name of the scenario with nothing beside the game.
pub const QUIET: &str = "quiet";

/// All scenarios.
pub const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: QUIET,
        sentence: "nothing but the game",
        loads: &[],
    },
    Scenario {
        name: "hogs",
        sentence: "two threads per CPU that only compute",
        loads: &["hogs=2CPUS"],
    },
    Scenario {
        name: "compile",
        sentence: "a parallel build: short processes that compute and write files",
        loads: &["compile=2CPUS"],
    },
    Scenario {
        name: "chat",
        sentence: "200 threads that sleep, wake each other in chains, and do little",
        loads: &["chat=200"],
    },
    Scenario {
        name: "stream",
        sentence: "an encoder of four threads with a deadline of its own, 60 times a second",
        loads: &["stream=4"],
    },
    Scenario {
        name: "shaders",
        sentence: "the game compiles shaders in bursts of worker threads of its own",
        loads: &["shaders=2CPUS"],
    },
    Scenario {
        name: "rt",
        sentence: "a real-time thread takes 60 % of one CPU",
        loads: &["fifo=60"],
    },
    Scenario {
        name: "mixed",
        sentence: "all of these at once",
        loads: &[
            "hogs=2CPUS",
            "compile=2CPUS",
            "chat=200",
            "stream=4",
            "shaders=2CPUS",
            "fifo=60",
        ],
    },
];

impl Scenario {
    /// The scenario of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Its background loads on a machine of `cpus` CPUs.
    ///
    /// # Panics
    /// Never: the tests parse every row.
    #[must_use]
    pub fn loads(&self, cpus: usize) -> Vec<LoadSpec> {
        let parse = |text: &&str| {
            text.replace("2CPUS", &(2 * cpus).to_string())
                .parse()
                .expect("BUG: a load in the table of scenarios is not understood")
        };
        self.loads.iter().map(parse).collect()
    }
}

/// One column of the arena: a scenario, and when its frames begin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Course {
    /// Name of a row of [`SCENARIOS`].
    pub scenario: String,
    /// When frames begin.
    pub mode: Mode,
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Uncapped => "uncapped",
            Mode::Paced => "paced",
        };
        write!(f, "{}-{mode}", self.scenario)
    }
}

impl From<Course> for String {
    fn from(course: Course) -> Self {
        course.to_string()
    }
}

impl TryFrom<String> for Course {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for Course {
    type Err = String;

    /// `hogs` or `hogs-uncapped`: as many frames as it can; `hogs-paced`: as the display shows them.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scenario, mode) = match text.rsplit_once('-') {
            Some((scenario, "paced")) => (scenario, Mode::Paced),
            Some((scenario, "uncapped")) => (scenario, Mode::Uncapped),
            _ => (text, Mode::Uncapped),
        };
        if Scenario::find(scenario).is_none() {
            let names: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            return Err(format!(
                "no scenario {text:?}: give one of {}, alone or with -uncapped or -paced",
                names.join(", ")
            ));
        }
        Ok(Self {
            scenario: scenario.to_owned(),
            mode,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_of_the_table_is_understood() {
        for scenario in &SCENARIOS {
            assert_eq!(scenario.loads(3).len(), scenario.loads.len());
        }
        let hogs = Scenario::find("hogs").unwrap().loads(3);
        assert_eq!(hogs[0].to_string(), "hogs=6");
    }

    #[test]
    fn a_course_is_read_back_from_its_own_name() {
        for text in ["hogs-paced", "quiet-uncapped"] {
            assert_eq!(text.parse::<Course>().unwrap().to_string(), text);
        }
        let plain: Course = "chat".parse().unwrap();
        assert_eq!(plain.to_string(), "chat-uncapped");
    }

    #[test]
    fn an_unknown_course_is_refused_with_the_names_there_are() {
        for text in ["pigs", "", "paced", "hogs-fast"] {
            let error = text.parse::<Course>().unwrap_err();
            assert!(error.contains("quiet, hogs"), "{error}");
        }
    }
}
