//! What the tools print, as numbers. Pure: text in, values out.

use anyhow::{Context, Result, bail};

/// Reads the values of one tool's output, in the order of its readings.
pub type Parser = fn(&str) -> Result<Vec<f64>>;

/// The word after `label` as a number.
fn after(text: &str, label: &str) -> Option<f64> {
    let (_, rest) = text.split_once(label)?;
    number(rest.split_whitespace().next())
}

/// The word before `label` as a number.
fn before(text: &str, label: &str) -> Option<f64> {
    let (rest, _) = text.split_once(label)?;
    number(rest.split_whitespace().next_back())
}

fn number(word: Option<&str>) -> Option<f64> {
    let value: f64 = word?.parse().ok()?;
    value.is_finite().then_some(value)
}

fn one(value: Option<f64>, what: &str) -> Result<Vec<f64>> {
    value
        .map(|value| vec![value])
        .with_context(|| format!("its output has no {what}"))
}

/// hackbench: time [s].
///
/// # Errors
/// No time in the output.
pub fn hackbench(text: &str) -> Result<Vec<f64>> {
    one(after(text, "Time:"), "\"Time:\"")
}

/// perf bench sched messaging: time [s].
///
/// # Errors
/// No time in the output.
pub fn perf_messaging(text: &str) -> Result<Vec<f64>> {
    one(after(text, "Total time:"), "\"Total time:\"")
}

/// perf bench sched pipe: operations per second.
///
/// # Errors
/// No rate in the output.
pub fn perf_pipe(text: &str) -> Result<Vec<f64>> {
    one(before(text, "ops/sec"), "\"ops/sec\"")
}

/// stress-ng with --metrics-brief and one kind of stressor: its operations per second of real time.
///
/// # Errors
/// No line of metrics in the output.
pub fn stress_ng(text: &str) -> Result<Vec<f64>> {
    // "stress-ng: metrc: [PID] NAME OPS REAL USER SYSTEM OPS/REAL OPS/CPU": other lines under the
    // same head (column titles, measures of the stressor's own) have no six numbers in a row.
    let row = |line: &str| {
        let (_, rest) = line.split_once("metrc:")?.1.split_once("] ")?;
        let numbers: Option<Vec<f64>> = (rest.split_whitespace().skip(1).take(6))
            .map(|word| number(Some(word)))
            .collect();
        match numbers?.as_slice() {
            [_, _, _, _, per_real, _] => Some(*per_real),
            _ => None,
        }
    };
    one(text.lines().find_map(row), "line of metrics")
}

/// cyclictest with --quiet: average and longest latency over its threads [us].
///
/// # Errors
/// No thread in the output, or one without a single sample.
pub fn cyclictest(text: &str) -> Result<Vec<f64>> {
    let (mut samples, mut sum, mut worst) = (0.0, 0.0, 0.0_f64);
    for line in text.lines().filter(|line| line.starts_with("T:")) {
        let value = |label| after(line, label).with_context(|| format!("no {label} in {line:?}"));
        let count = value("C:")?;
        if count == 0.0 {
            bail!("a thread took no sample: {line:?}");
        }
        samples += count;
        sum += count * value("Avg:")?;
        worst = worst.max(value("Max:")?);
    }
    if samples == 0.0 {
        bail!("its output has no thread");
    }
    Ok(vec![sum / samples, worst])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::catalog::TOOLS;

    const HACKBENCH: &str = "\
Running in process mode with 4 groups using 10 file descriptors each (== 40 tasks)
Each sender will pass 200 messages of 100 bytes
Time: 0.099
";
    const PERF_MESSAGING: &str = "\
# Running 'sched/messaging' benchmark:
# 20 sender and receiver processes per group
# 4 groups == 160 processes run

     Total time: 0.592 [sec]
";
    const PERF_PIPE: &str = "\
# Running 'sched/pipe' benchmark:
# Executed 20000 pipe operations between two processes

     Total time: 0.174 [sec]

       8.744350 usecs/op
         114359 ops/sec
";
    const STRESS_NG: &str = "\
stress-ng: info:  [24361] setting to a 2 second run per stressor
stress-ng: info:  [24361] dispatching hogs: 2 switch
stress-ng: metrc: [24361] stressor       bogo ops real time  usr time  sys time   bogo ops/s     bogo ops/s
stress-ng: metrc: [24361]                           (secs)    (secs)    (secs)   (real time) (usr+sys time)
stress-ng: metrc: [24361] switch           358803      2.00      0.15      1.71    179348.70      193448.16
stress-ng: metrc: [24361] miscellaneous metrics:
stress-ng: metrc: [24361] switch             11363.65 nanosecs per context switch (pipe method) (geometic mean of 2 instances)
stress-ng: info:  [24361] successful run completed in 2.02s
";
    const CYCLICTEST: &str = "\
# /dev/cpu_dma_latency set to 0us
T: 0 (24517) P:80 I:1000 C:   2000 Min:     13 Act:   35 Avg:   26 Max:     201
T: 1 (24518) P:80 I:1500 C:   1328 Min:     11 Act:   43 Avg:   39 Max:    9254
";

    #[test]
    fn real_outputs_are_read() {
        assert_eq!(hackbench(HACKBENCH).unwrap(), [0.099]);
        assert_eq!(perf_messaging(PERF_MESSAGING).unwrap(), [0.592]);
        assert_eq!(perf_pipe(PERF_PIPE).unwrap(), [114_359.0]);
        assert_eq!(stress_ng(STRESS_NG).unwrap(), [179_348.70]);
        let latency = cyclictest(CYCLICTEST).unwrap();
        assert!((latency[0] - (2000.0 * 26.0 + 1328.0 * 39.0) / 3328.0).abs() < 1e-9);
        assert_eq!(latency[1], 9254.0);
    }

    #[test]
    fn every_tool_reads_its_own_output_only() {
        let outputs = [
            HACKBENCH,
            PERF_MESSAGING,
            PERF_PIPE,
            STRESS_NG,
            CYCLICTEST,
            "",
        ];
        for tool in &TOOLS {
            let read: Vec<_> = outputs
                .iter()
                .filter_map(|o| (tool.parse)(o).ok())
                .collect();
            // The two halves of perf both print a total time.
            assert!((1..=2).contains(&read.len()), "{}", tool.name);
            for values in read {
                assert_eq!(values.len(), tool.readings.len(), "{}", tool.name);
            }
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_an_error() {
        assert!(hackbench("Time: nan").is_err());
        assert!(hackbench("Time: ").is_err());
        assert!(perf_pipe("ops/sec").is_err());
        let silent = "T: 0 (1) P: 0 I:1000 C:      0 Min:1000000 Act:    0 Avg:    0 Max:       0";
        assert!(cyclictest(silent).is_err());
        assert!(cyclictest("T: 0 (1) P: 0").is_err());
    }
}
