//! Verdicts: what a few rounds of two contestants are enough to say.
//!
//! Only rounds that both played count, and a difference is shown only if all of this holds:
//!
//! 1. the ranges of the values do not overlap: the worst round of one is better than the best
//!    round of the other;
//! 2. all ratios inside a round lie on one side of 1, and the nearest of them is further from 1
//!    than half the ratios' own spread, in logarithms. Three rounds seldom show the extremes: a
//!    fourth one may well lie half a spread outside of them;
//! 3. the median ratio differs from 1 by at least 2 %, because less is of no use to anybody.
//!
//! Where a value is zero there is no logarithm, and the first condition decides alone.
//!
//! What this is worth was simulated (the tests below repeat it). Two equal contestants with
//! log-normal noise get a false verdict in 4.2 of 100 comparisons with 3 rounds, in 0.9 with 4 and
//! in 0.2 with 5, whatever the size of the noise; counts of rare events do no worse. So a page of a hundred comparisons of three
//! rounds each shows about four differences that are not there: the same verdict on several
//! courses, or in both clocks, is worth more than a single one.

use crate::measure::Better;

/// Fewer rounds than this give no verdict.
pub const MIN_ROUNDS: usize = 3;
/// Share by which the median ratio has to differ from 1, the same up and down.
const MIN_DIFFERENCE: f64 = 0.02;

/// What the rounds say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The contestant is better than the baseline.
    Better,
    /// The contestant is worse than the baseline.
    Worse,
    /// The rounds show no difference; that does not mean that there is none.
    NoDifference,
    /// Both played fewer than [`MIN_ROUNDS`] rounds.
    TooFewRounds,
    /// No round in which both have a value.
    Missing,
    /// Neither more nor less of this measure is better.
    NotJudged,
}

impl Outcome {
    /// The words for it, empty where there is nothing to say.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::NoDifference => "no difference shown",
            Self::TooFewRounds => "too few rounds",
            Self::Missing | Self::NotJudged => "",
        }
    }
}

/// Contestant / baseline over the rounds both played.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratios {
    /// Lowest of a round.
    pub lowest: f64,
    /// Median over the rounds.
    pub median: f64,
    /// Highest of a round.
    pub highest: f64,
}

impl Ratios {
    /// Of pairs (contestant, baseline); a pair whose baseline is 0 has no ratio.
    fn of(pairs: &[(f64, f64)]) -> Option<Self> {
        let with_ratio = pairs.iter().filter(|(_, base)| *base > 0.0);
        let mut ratios: Vec<f64> = with_ratio.map(|(value, base)| value / base).collect();
        ratios.sort_by(f64::total_cmp);
        let middle = ratios.len() / 2;
        let upper = *ratios.get(middle)?;
        let median = if ratios.len().is_multiple_of(2) {
            // The geometric mean, so that the median of the inverse ratios is the inverse median.
            (ratios.get(middle - 1)? * upper).sqrt()
        } else {
            upper
        };
        Some(Self {
            lowest: *ratios.first()?,
            median,
            highest: *ratios.last()?,
        })
    }

    /// Conditions 2 and 3 of the rule.
    fn are_clear(&self) -> bool {
        let (lowest, highest) = (self.lowest.ln(), self.highest.ln());
        let one_side = (lowest > 0.0) == (highest > 0.0);
        let nearest = lowest.abs().min(highest.abs());
        one_side
            && nearest > (highest - lowest) / 2.0
            && self.median.ln().abs() >= MIN_DIFFERENCE.ln_1p()
    }
}

/// One measure of a contestant against a baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// What the rounds say.
    pub outcome: Outcome,
    /// Rounds in which both have a value.
    pub rounds: usize,
    /// Ratios of those rounds; `None` when the baseline is 0 in all of them.
    pub ratios: Option<Ratios>,
}

impl Verdict {
    /// Compares values by round with those of a baseline.
    #[must_use]
    pub fn of(better: Better, values: &[(u32, f64)], baseline: &[(u32, f64)]) -> Self {
        let pairs: Vec<(f64, f64)> = values
            .iter()
            .filter_map(|(round, value)| {
                let same_round = baseline.iter().find(|(other, _)| other == round);
                Some((*value, same_round?.1))
            })
            .filter(|(value, base)| value.is_finite() && base.is_finite())
            .collect();
        let ratios = Ratios::of(&pairs);
        let outcome = match (pairs.len(), better) {
            (0, _) => Outcome::Missing,
            (_, Better::Neither) => Outcome::NotJudged,
            (rounds, _) if rounds < MIN_ROUNDS => Outcome::TooFewRounds,
            (_, Better::Higher) => judge(&pairs, ratios, Outcome::Better, Outcome::Worse),
            (_, Better::Lower) => judge(&pairs, ratios, Outcome::Worse, Outcome::Better),
        };
        Self {
            outcome,
            rounds: pairs.len(),
            ratios,
        }
    }
}

/// The rule: `more` or `less` if the contestant's values are that, and a difference is shown.
fn judge(pairs: &[(f64, f64)], ratios: Option<Ratios>, more: Outcome, less: Outcome) -> Outcome {
    let (values, bases): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let outcome = if lowest(&values) > highest(&bases) {
        more
    } else if highest(&values) < lowest(&bases) {
        less
    } else {
        return Outcome::NoDifference;
    };
    let has_zero = values.iter().chain(&bases).any(|value| *value <= 0.0);
    if has_zero || ratios.is_some_and(|ratios| ratios.are_clear()) {
        outcome
    } else {
        Outcome::NoDifference
    }
}

fn lowest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn highest(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Verdict};
    use crate::measure::Better;
    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, Strategy, prop_assert_eq, proptest};

    fn rounds(values: &[f64]) -> Vec<(u32, f64)> {
        (1..).zip(values.iter().copied()).collect()
    }

    fn higher(values: &[f64], base: &[f64]) -> Outcome {
        Verdict::of(Better::Higher, &rounds(values), &rounds(base)).outcome
    }

    #[test]
    fn overlapping_ranges_show_no_difference() {
        assert_eq!(
            higher(&[1.0, 2.0, 3.0], &[0.5, 0.9, 1.1]),
            Outcome::NoDifference
        );
    }

    #[test]
    fn a_round_half_a_spread_outside_must_still_be_on_the_same_side() {
        let base = [100.0, 100.0, 100.0];
        // Ratios 1.03..1.20: the nearest is 0.03 from 1, half the spread is 0.08.
        assert_eq!(higher(&[103.0, 110.0, 120.0], &base), Outcome::NoDifference);
        assert_eq!(higher(&[110.0, 115.0, 120.0], &base), Outcome::Better);
        assert_eq!(higher(&[90.0, 87.0, 83.0], &base), Outcome::Worse);
    }

    #[test]
    fn less_than_two_per_cent_is_no_difference() {
        let base = [100.0, 100.1, 99.9];
        assert_eq!(higher(&[101.5, 101.5, 101.6], &base), Outcome::NoDifference);
        assert_eq!(higher(&[102.5, 102.5, 102.6], &base), Outcome::Better);
    }

    #[test]
    fn ties_are_no_difference() {
        assert_eq!(higher(&[5.0; 3], &[5.0; 3]), Outcome::NoDifference);
        assert_eq!(higher(&[0.0; 3], &[0.0; 3]), Outcome::NoDifference);
    }

    #[test]
    fn zeros_are_decided_by_the_ranges_and_have_no_ratio() {
        let none = Verdict::of(Better::Lower, &rounds(&[0.2; 3]), &rounds(&[0.0; 3]));
        assert_eq!((none.outcome, none.ratios), (Outcome::Worse, None));
        assert_eq!(higher(&[0.0; 3], &[0.1, 0.2, 9.0]), Outcome::Worse);
        assert_eq!(higher(&[0.0, 1.0, 0.0], &[0.0; 3]), Outcome::NoDifference);
        let some = Verdict::of(
            Better::Lower,
            &rounds(&[1.0, 2.0, 3.0]),
            &rounds(&[0.0, 4.0, 4.0]),
        );
        let ratios = some.ratios.unwrap();
        assert!((ratios.lowest - 0.5).abs() < 1e-9 && (ratios.highest - 0.75).abs() < 1e-9);
    }

    #[test]
    fn only_rounds_that_both_played_count() {
        let base = rounds(&[10.0, 10.0, 10.0, 10.0]);
        let with_an_error_in_round_2 = [(1, 20.0), (3, 20.0)];
        let verdict = Verdict::of(Better::Higher, &with_an_error_in_round_2, &base);
        assert_eq!(
            (verdict.outcome, verdict.rounds),
            (Outcome::TooFewRounds, 2)
        );
        assert!((verdict.ratios.unwrap().median - 2.0).abs() < 1e-9);
        let absent = Verdict::of(Better::Higher, &[], &base);
        assert_eq!((absent.outcome, absent.ratios), (Outcome::Missing, None));
        let elsewhere = Verdict::of(Better::Higher, &[(7, 1.0)], &base);
        assert_eq!(elsewhere.outcome, Outcome::Missing);
    }

    #[test]
    fn a_value_that_is_no_number_does_not_count() {
        assert_eq!(
            higher(&[f64::NAN, 2.0, 2.0], &[1.0; 3]),
            Outcome::TooFewRounds
        );
    }

    #[test]
    fn a_measure_without_a_better_side_gets_ratios_and_no_word() {
        let verdict = Verdict::of(Better::Neither, &rounds(&[2.0; 3]), &rounds(&[1.0; 3]));
        assert_eq!(verdict.outcome, Outcome::NotJudged);
        assert_eq!(verdict.outcome.words(), "");
        assert!(verdict.ratios.is_some());
    }

    /// Standard normal noise from a seeded generator (Box and Muller).
    fn normal(rng: &mut fastrand::Rng) -> f64 {
        let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * rng.f64()).cos()
    }

    /// Share of comparisons that end with a verdict better and worse.
    fn rates(n: usize, mut play: impl FnMut(&mut fastrand::Rng, bool) -> f64) -> (f64, f64) {
        const COMPARISONS: u32 = 20_000;
        let mut rng = fastrand::Rng::with_seed(7);
        let (mut better, mut worse) = (0_u32, 0_u32);
        for _ in 0..COMPARISONS {
            let values: Vec<f64> = (0..n).map(|_| play(&mut rng, true)).collect();
            let base: Vec<f64> = (0..n).map(|_| play(&mut rng, false)).collect();
            match higher(&values, &base) {
                Outcome::Better => better += 1,
                Outcome::Worse => worse += 1,
                _ => {}
            }
        }
        let share = |count| f64::from(count) / f64::from(COMPARISONS);
        (share(better), share(worse))
    }

    #[test]
    fn equal_contestants_seldom_get_a_verdict() {
        for (n, bound) in [(3, 0.046), (4, 0.012), (5, 0.004)] {
            for noise in [0.02, 0.1, 0.4] {
                let (better, worse) = rates(n, |rng, _| (noise * normal(rng)).exp());
                assert!(
                    better + worse < bound,
                    "{n} rounds, noise {noise}: {better} + {worse}"
                );
            }
        }
    }

    #[test]
    fn equal_rare_events_seldom_get_a_verdict() {
        for mean in [0.3, 1.0, 3.0] {
            let (better, worse) = rates(3, |rng, _| {
                let (limit, mut product, mut count) = (f64::exp(-mean), rng.f64(), 0.0);
                while product > limit {
                    product *= rng.f64();
                    count += 1.0;
                }
                count
            });
            assert!(better + worse < 0.046, "mean {mean}: {better} + {worse}");
        }
    }

    #[test]
    fn a_real_factor_is_shown_through_the_noise() {
        // As measured: 1.77 with rounds from 1.38 to 2.15.
        let verdict = higher(&[52.0, 63.0, 80.0], &[37.7, 35.6, 37.2]);
        assert_eq!(verdict, Outcome::Better);
        let (better, worse) = rates(3, |rng, contestant| {
            (0.1 * normal(rng)).exp() * if contestant { 1.7 } else { 1.0 }
        });
        assert!(better > 0.95 && worse == 0.0, "{better} {worse}");
    }

    fn any_values() -> impl Strategy<Value = Vec<(f64, f64)>> {
        vec((0.1..10.0, 0.1..10.0), 3..6)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn more_of_a_good_thing_is_never_a_lesser_verdict(
            pairs in any_values(), factor in 1.0..5.0_f64
        ) {
            let rank = |outcome| match outcome {
                Outcome::Worse => 0,
                Outcome::Better => 2,
                _ => 1,
            };
            let (values, base): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let scaled: Vec<f64> = values.iter().map(|value| value * factor).collect();
            let (before, after) = (rank(higher(&values, &base)), rank(higher(&scaled, &base)));
            prop_assert_eq!(before.max(after), after);
        }

        #[test]
        fn changing_sides_or_the_better_side_turns_the_verdict_round(pairs in any_values()) {
            let turned = |outcome| match outcome {
                Outcome::Worse => Outcome::Better,
                Outcome::Better => Outcome::Worse,
                other => other,
            };
            let (values, base): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let outcome = higher(&values, &base);
            prop_assert_eq!(higher(&base, &values), turned(outcome));
            let lower = Verdict::of(Better::Lower, &rounds(&values), &rounds(&base));
            prop_assert_eq!(lower.outcome, turned(outcome));
        }
    }
}
