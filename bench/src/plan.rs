//! What is to be played, and in which order.

use crate::scenario::Course;
use serde::{Deserialize, Serialize};

/// All that must be equal for two runs to be one: a run is resumed only with the same plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Names of the contestants, in the order of odd rounds.
    pub contestants: Vec<String>,
    /// Where each of them plays, in this order, in one attachment.
    pub courses: Vec<Course>,
    /// Rounds.
    pub rounds: u32,
    /// Measured seconds of a cell.
    pub seconds: f64,
    /// Seconds before them that do not count.
    pub warmup: f64,
}

impl Plan {
    /// The contestants of a round: 1..n in odd rounds, n..1 in even ones (ABBA), so that what
    /// drifts meets all alike.
    #[must_use]
    pub fn order(&self, round: u32) -> Vec<&str> {
        let names = self.contestants.iter().map(String::as_str);
        if round.is_multiple_of(2) {
            names.rev().collect()
        } else {
            names.collect()
        }
    }

    /// Cells of a round.
    #[must_use]
    pub fn cells_per_round(&self) -> usize {
        self.contestants.len() * self.courses.len()
    }

    /// Cells of all rounds.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cells_per_round() * self.rounds as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;

    #[test]
    fn every_second_round_is_played_backwards() {
        let plan = Plan {
            contestants: ["a", "b", "c"].map(String::from).to_vec(),
            courses: vec!["quiet".parse().unwrap(), "hogs".parse().unwrap()],
            rounds: 3,
            seconds: 1.0,
            warmup: 0.0,
        };
        assert_eq!(plan.order(1), ["a", "b", "c"]);
        assert_eq!(plan.order(2), ["c", "b", "a"]);
        assert_eq!(plan.order(3), plan.order(1));
        assert_eq!((plan.cells_per_round(), plan.cells()), (6, 18));
    }
}
