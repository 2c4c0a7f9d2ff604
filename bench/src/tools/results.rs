//! `tools.json`: all that one comparison by standard tools measured, cell by cell.

use crate::results::{Status, save_json};
use anyhow::Result;
use gamesim::comparison::Side;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Version of [`ToolResults`]; raised when a field changes its meaning or goes.
pub const TOOLS_SCHEMA: u32 = 1;

const FILE: &str = "tools.json";

/// One tool of the catalog as it was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Name in the catalog.
    pub name: String,
    /// Its command line, the same for both sides and all rounds.
    pub command: String,
    /// What ran beside it.
    pub beside: Option<String>,
    /// Why it cannot be run here, if it cannot.
    pub absent: Option<String>,
}

/// One tool with one scheduler in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Round, from 1.
    pub round: u32,
    /// Which scheduler.
    pub side: Side,
    /// Name of the tool.
    pub tool: String,
    /// What it measured, by name with unit; empty if it could not.
    pub values: BTreeMap<String, f64>,
    /// Why it does not count: the scheduler did not attach or was ejected, the tool failed.
    pub error: Option<String>,
}

/// A comparison by standard tools.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolResults {
    /// [`TOOLS_SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// Whether rounds are missing.
    pub status: Status,
    /// Release of the kernel.
    pub kernel: String,
    /// CPUs of the machine.
    pub cpus: usize,
    /// Day it was begun, as YYYY-MM-DD in UTC.
    pub date: String,
    /// Command that attached the other scheduler, without the place of its program.
    pub with: String,
    /// Name of the other scheduler as the kernel gave it; empty if it never attached.
    pub scheduler: String,
    /// Rounds that were to be played.
    pub rounds: u32,
    /// Length of each run [s].
    pub seconds: u32,
    /// Tools, in the order played.
    pub tools: Vec<Entry>,
    /// Cells in the order played.
    pub cells: Vec<Cell>,
}

impl ToolResults {
    /// Writes them to `dir`: the file there is either the old or the new one, never half of it.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn save(&self, dir: &Path) -> Result<()> {
        save_json(self, &dir.join(FILE))
    }

    /// One measure of a tool on one side by round, of the cells that count.
    #[must_use]
    pub fn values(&self, tool: &str, side: Side, measure: &str) -> BTreeMap<u32, f64> {
        self.cells
            .iter()
            .filter(|cell| cell.tool == tool && cell.side == side && cell.error.is_none())
            .filter_map(|cell| Some((cell.round, *cell.values.get(measure)?)))
            .collect()
    }
}
