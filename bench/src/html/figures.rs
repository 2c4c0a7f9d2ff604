//! The figures of one course.

use super::palette;
use super::plots::{self, Bar, Series};
use crate::measure::{Facts, MEASURES, Measure};
use crate::summary::{CourseSummary, Pooled, Summary};
use maud::{Markup, PreEscaped, html};
use plotters::style::RGBColor;
use std::collections::BTreeMap;

/// One colour for each contestant, the same on the whole page.
pub(super) struct Colors(BTreeMap<String, RGBColor>);

impl Colors {
    pub(super) fn of(summaries: &[Summary]) -> Self {
        let mut colors = BTreeMap::new();
        let plans = summaries.iter().map(|summary| &summary.plan);
        for name in plans.flat_map(|plan| &plan.contestants) {
            let next = palette::color(colors.len());
            colors.entry(name.clone()).or_insert(next);
        }
        Self(colors)
    }

    fn get(&self, name: &str) -> RGBColor {
        self.0.get(name).copied().unwrap_or(palette::INK)
    }
}

/// All figures that there are values for.
pub(super) fn of(course: &CourseSummary, colors: &Colors) -> Markup {
    html! {
        div.plots {
            (distributions(course, colors))
            (bars(course, colors, "BPF time per switch [ns]"))
            (bars(course, colors, "background [M loops/s]"))
        }
        (ribbons(course, colors))
    }
}

fn distributions(course: &CourseSummary, colors: &Colors) -> Markup {
    let figure = |what: &str, samples: fn(&Pooled) -> &[u64]| {
        let series: Vec<Series<'_>> = course
            .pooled()
            .map(|(name, pooled)| Series {
                color: colors.get(name),
                values_ns: samples(pooled),
            })
            .filter(|series| !series.values_ns.is_empty())
            .collect();
        let title = format!("{}: distribution of {what}", course.course);
        let svg = plots::distribution(&title, &format!("{what} [ms]"), &series);
        html! {
            @if let Some(svg) = svg {
                figure.line {
                    figcaption { "Distribution of " (what) }
                    (PreEscaped(svg))
                    (legend(course, colors))
                }
            }
        }
    };
    html! {
        (figure("frame interval", |pooled| pooled.samples.frame_intervals()))
        (figure("input to flip", |pooled| pooled.samples.input_to_flip()))
    }
}

fn legend(course: &CourseSummary, colors: &Colors) -> Markup {
    html! {
        ul.legend {
            @for (name, _) in course.pooled() {
                li {
                    svg viewBox="0 0 30 8" aria-hidden="true" {
                        line x1="0" y1="4" x2="30" y2="4" stroke-width="3"
                            stroke=(palette::hex(colors.get(name))) {}
                    }
                    (name)
                }
            }
        }
    }
}

/// The measure of this name for each contestant that has it.
fn bars(course: &CourseSummary, colors: &Colors, name: &str) -> Markup {
    let measure = MEASURES.iter().find(|measure| measure.name == name);
    let value = |measure: &Measure, facts: &Facts| (measure.get)(facts).filter(|v| v.is_finite());
    let svg = measure.and_then(|measure| {
        let bars: Vec<Bar<'_>> = course
            .pooled()
            .filter_map(|(name, pooled)| {
                Some(Bar {
                    name,
                    color: colors.get(name),
                    value: value(measure, &pooled.facts)?,
                })
            })
            .collect();
        let title = format!("{}: {name}", course.course);
        plots::bars(&title, name, measure.digits, &bars)
    });
    html! {
        @if let Some(svg) = svg {
            figure { figcaption { (name) } (PreEscaped(svg)) }
        }
    }
}

/// Small multiples, all on the same scale of time.
fn ribbons(course: &CourseSummary, colors: &Colors) -> Markup {
    let intervals = course
        .pooled()
        .map(|(_, pooled)| pooled.samples.frame_intervals());
    let Some(range) = plots::range_ms(intervals) else {
        return html! {};
    };
    html! {
        h4 { "Every frame, round after round" }
        div.plots {
            @for (name, pooled) in course.pooled() {
                figure {
                    figcaption { (name) }
                    (PreEscaped(ribbon(course, colors.get(name), name, pooled, &range)))
                }
            }
        }
    }
}

fn ribbon(
    course: &CourseSummary,
    color: RGBColor,
    name: &str,
    pooled: &Pooled,
    range: &std::ops::Range<f64>,
) -> String {
    let ends = pooled.round_frames.iter().scan(0_usize, |end, frames| {
        *end += usize::try_from(*frames).unwrap_or(0);
        Some(*end)
    });
    let mut ends: Vec<usize> = ends.collect();
    ends.pop();
    let series = Series {
        color,
        values_ns: pooled.samples.frame_intervals(),
    };
    let title = format!("{}: frame intervals with {name}", course.course);
    plots::ribbon(&title, &series, range, &ends)
}
