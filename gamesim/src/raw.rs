//! Every sample of a run as CSV, for plots and for other statistics.

use anyhow::{Context, Result};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Samples of a run in ns, by name.
pub type Series<'a> = [(&'static str, &'a [u64])];

/// Writes `series,value_ns` lines.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, series: &Series<'_>) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let mut file = BufWriter::new(std::fs::File::create(path).with_context(context)?);
    writeln!(file, "series,value_ns")?;
    for (name, values) in series {
        for value in *values {
            writeln!(file, "{name},{value}")?;
        }
    }
    file.flush().with_context(context)
}
