//! The verified instructions of every BPF program against the ones on file, so that a change of
//! the programs shows as a diff. `UPDATE_SNAPSHOT=1` writes the file anew.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::guest::verifier::MARK;

/// More than this much above the count on file is a failure, in per cent.
const GROWTH_MAX_PCT: u64 = 10;

type Counts = BTreeMap<String, u64>;

/// Compares what a guest printed with `verifier/KERNEL.txt`.
pub(crate) fn check(kernel: &str, output: &str) {
    let marked = output
        .lines()
        .filter_map(|line| line.strip_prefix(MARK)?.strip_prefix(' '));
    let counted = parse(marked);
    assert!(!counted.is_empty(), "the guest has counted nothing");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("verifier/{kernel}.txt"));
    if env::var_os("UPDATE_SNAPSHOT").is_some() {
        let mut text = String::new();
        for (program, insns) in &counted {
            let _ = writeln!(text, "{program} {insns}");
        }
        fs::write(&file, text).unwrap();
        return;
    }
    let text = fs::read_to_string(&file).unwrap_or_default();
    let complaints = compare(&parse(text.lines()), &counted);
    assert!(
        complaints.is_empty(),
        "{}: {}; if it is meant so, run the test with UPDATE_SNAPSHOT=1 and commit the file",
        file.display(),
        complaints.join(", ")
    );
}

fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Counts {
    lines
        .filter_map(|line| {
            let (program, insns) = line.split_once(' ')?;
            Some((program.to_owned(), insns.trim().parse().ok()?))
        })
        .collect()
}

/// What is wrong with `counted`.
fn compare(on_file: &Counts, counted: &Counts) -> Vec<String> {
    let gone = on_file
        .keys()
        .filter(|program| !counted.contains_key(*program))
        .map(|program| format!("{program} is gone"));
    let changed = counted.iter().filter_map(|(program, insns)| {
        let Some(before) = on_file.get(program) else {
            return Some(format!("{program} is new ({insns} instructions)"));
        };
        let grown = insns * 100 > before * (100 + GROWTH_MAX_PCT);
        grown.then(|| format!("{program} grew from {before} to {insns} instructions"))
    });
    gone.chain(changed).collect()
}

#[test]
fn growth_and_new_and_missing_programs_are_named() {
    let on_file = parse("a 100\nb 100\nc 100".lines());
    let counted = parse("a 110\nb 111\nd 7".lines());
    assert_eq!(
        compare(&on_file, &counted),
        [
            "c is gone",
            "b grew from 100 to 111 instructions",
            "d is new (7 instructions)"
        ]
    );
    assert!(compare(&on_file, &on_file).is_empty());
}
