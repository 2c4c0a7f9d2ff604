//! Seeds: a law is tried with several. One with which it does not hold is named, with the command that tries
//! it with that one alone; what happens then is the same to the nanosecond.

use std::env::VarError;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::script::Rng;

/// The seed that each law is tried with instead of its own ones.
const VARIABLE: &str = "SIMULATION_SEED";

/// Tries a law with each of these seeds.
pub(crate) fn for_each_seed<Law: FnMut(u64)>(seeds: Range<u64>, mut law: Law) {
    let chosen = match std::env::var(VARIABLE) {
        Ok(value) => Some(parse_seed(&value).unwrap_or_else(|error| panic!("{error}"))),
        Err(VarError::NotPresent) => None,
        Err(error) => panic!("{VARIABLE}: {error}"),
    };
    for seed in chosen.map_or(seeds.collect(), |seed| vec![seed]) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| law(seed))) {
            eprintln!("{}", how_to_replay(std::any::type_name::<Law>(), seed));
            resume_unwind(panic);
        }
    }
}

fn parse_seed(value: &str) -> Result<u64, String> {
    value.parse().map_err(|error| {
        format!(
            "{VARIABLE}={value:?} is not a seed, a number from 0 to {}: {error}",
            u64::MAX
        )
    })
}

/// `law` is the type of a closure in the test that is the law: `simulation::laws::name::{{closure}}`.
fn how_to_replay(law: &str, seed: u64) -> String {
    let test = law.trim_end_matches("::{{closure}}");
    let test = test.split_once("::").map_or(test, |(_, path)| path);
    format!(
        "{test} does not hold with seed {seed}. To replay it:\n\
         {VARIABLE}={seed} cargo test --locked --workspace --test simulation -- --exact {test} --nocapture"
    )
}

/// The seeds of so many runs that are judged together, as one of them alone says little.
pub(crate) fn seeds_of_runs(seed: u64, run_cnt: usize) -> impl Iterator<Item = u64> {
    let mut rng = Rng(seed);
    std::iter::repeat_with(move || rng.next()).take(run_cnt)
}

/// Tells runs apart by all that happened in them, in its order.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn add(&mut self, parts: [u64; 3]) {
        // FNV-1a, by words.
        for part in parts {
            self.0 = (self.0 ^ part)
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(29);
        }
    }
}

mod tests {
    use std::process::{Command, Output};

    use super::{VARIABLE, for_each_seed, parse_seed};
    use crate::laws::any_mix;
    use crate::script::SEC;

    #[test]
    fn same_seed_gives_the_same_run_and_another_seed_another() {
        for_each_seed(7..9, |seed| {
            let fingerprint = |seed| any_mix(seed).run(SEC).fingerprint;
            assert_eq!(fingerprint(seed), fingerprint(seed));
            assert_ne!(fingerprint(seed), fingerprint(seed.wrapping_add(1)));
        });
    }

    #[test]
    #[should_panic(expected = "fails on purpose")]
    fn a_law_that_never_holds() {
        for_each_seed(5..8, |seed| {
            let machine = any_mix(seed).run(SEC);
            panic!("fails on purpose: seed {seed}, {:?}", machine.fingerprint);
        });
    }

    /// Runs this test binary in another process.
    fn run_tests(seed: Option<&str>, args: &[&str]) -> (Output, String) {
        let mut command = Command::new(std::env::current_exe().expect("this test is a file"));
        command.env_remove(VARIABLE).args(args);
        if let Some(seed) = seed {
            command.env(VARIABLE, seed);
        }
        let output = command.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output, said)
    }

    fn line_with<'said>(said: &'said str, word: &str) -> &'said str {
        let mut lines = said.lines().filter(|line| line.contains(word));
        lines
            .next()
            .unwrap_or_else(|| panic!("no {word:?} in:\n{said}"))
    }

    #[test]
    fn what_a_failing_law_prints_replays_the_same_run() {
        let law = "seeds::tests::a_law_that_never_holds";
        let (_, said) = run_tests(None, &["--exact", law, "--nocapture"]);
        assert!(
            said.contains(&format!("{law} does not hold with seed 5.")),
            "{said}"
        );
        let failure = line_with(&said, "fails on purpose");
        let replay = line_with(&said, VARIABLE);
        let (command, args) = replay.split_once(" -- ").expect("it has arguments");
        assert_eq!(
            command,
            "SIMULATION_SEED=5 cargo test --locked --workspace --test simulation"
        );

        let args: Vec<_> = args.split(' ').collect();
        let (_, said_again) = run_tests(Some("5"), &args);
        assert_eq!(line_with(&said_again, "fails on purpose"), failure);
        let (_, said_of_other) = run_tests(Some("11"), &args);
        assert!(line_with(&said_of_other, "fails on purpose").contains("seed 11"));
    }

    #[test]
    fn what_is_not_a_seed_is_refused() {
        assert_eq!(parse_seed("18446744073709551615"), Ok(u64::MAX));
        for value in ["", "-1", "0x10", "seven", "18446744073709551616"] {
            let error = parse_seed(value).expect_err("it is not a number of 64 bits");
            assert!(error.starts_with(&format!("SIMULATION_SEED={value:?} is not a seed")));
        }
        let law = "laws::shares::equal_weights_get_equal_shares";
        let (output, said) = run_tests(Some("seven"), &["--exact", law]);
        assert!(!output.status.success(), "{said}");
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(
            stdout.contains("SIMULATION_SEED=\"seven\" is not a seed"),
            "{stdout}"
        );
    }
}
