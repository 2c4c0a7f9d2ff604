//! Plots as SVG text, to stand inside a page.

use super::palette::{GRID, INK};
use plotters::chart::ChartBuilder;
use plotters::coord::Shift;
use plotters::coord::combinators::{BindKeyPoints, IntoLogRange};
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Rectangle, Text};
use plotters::prelude::SVGBackend;
use plotters::series::LineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, TRANSPARENT, TextStyle};
use std::error::Error;
use std::ops::Range;

/// Narrow, so that its text can still be read on a phone.
const WIDTH: u32 = 480;
const HEIGHT: u32 = 320;
const RIBBON_HEIGHT: u32 = 200;
const BAR_HEIGHT: u32 = 42;
const FONT_SIZE: i32 = 18;
/// Columns of a ribbon: what falls into one is drawn as a line from its least to its greatest value.
const BUCKETS: usize = 300;
/// Least factor between two points of a distribution, in one of how many values.
const STEP: f64 = 1.02;
/// Ticks of the same axis: 0, 50, 90, 99, 99.9 and 99.99 % are below.
const SHARES: [f64; 6] = [1.0, 2.0, 10.0, 100.0, 1_000.0, 10_000.0];
/// Least factor between the ends of a logarithmic axis: it holds two ticks then, and values that
/// are nearly equal look so.
const LEAST_FACTOR: f64 = 5.0;
/// Least value on a logarithmic axis [ms].
const LEAST_MS: f64 = 0.01;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// Values of one contestant.
pub(super) struct Series<'a> {
    pub(super) color: RGBColor,
    pub(super) values_ns: &'a [u64],
}

/// One bar.
pub(super) struct Bar<'a> {
    pub(super) name: &'a str,
    pub(super) color: RGBColor,
    pub(super) value: f64,
}

/// The range of all values with a little room [ms]; `None` without values.
pub(super) fn range_ms<'a>(series: impl Iterator<Item = &'a [u64]>) -> Option<Range<f64>> {
    let (least, greatest) = series
        .flatten()
        .fold((u64::MAX, 0), |(least, greatest), ns| {
            (least.min(*ns), greatest.max(*ns))
        });
    let (least_ms, greatest_ms) = (ms(least) / 1.1, ms(greatest) * 1.1);
    let missing = (LEAST_FACTOR * least_ms / greatest_ms).max(1.0).sqrt();
    (least <= greatest).then(|| least_ms / missing..greatest_ms * missing)
}

/// Frame intervals in the order played; `ends` are the positions at which a round ends.
pub(super) fn ribbon(
    title: &str,
    series: &Series<'_>,
    range: &Range<f64>,
    ends: &[usize],
) -> String {
    let last = series.values_ns.len().max(1) as f64;
    svg(title, RIBBON_HEIGHT, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(24)
            .x_label_area_size(42)
            .y_label_area_size(58)
            .build_cartesian_2d(
                0.0..last,
                range.clone().log_scale().with_key_points(ticks(range)),
            )?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style(text_style())
            .x_labels(5)
            .y_labels(5)
            .x_label_formatter(&|frame| format!("{frame:.0}"))
            .y_label_formatter(&|ms| short(*ms))
            .x_desc("frame")
            .y_desc("interval [ms]")
            .draw()?;
        for end in ends {
            let at = *end as f64;
            chart.draw_series(LineSeries::new([(at, range.start), (at, range.end)], GRID))?;
        }
        chart.draw_series(LineSeries::new(zigzag(series.values_ns), series.color))?;
        Ok(())
    })
}

/// Least and greatest value of each column in turn: no frame that stands out is lost.
fn zigzag(values_ns: &[u64]) -> Vec<(f64, f64)> {
    let size = values_ns.len().div_ceil(BUCKETS).max(1);
    let mut points = Vec::new();
    for (bucket, values) in values_ns.chunks(size).enumerate() {
        let at = (bucket * size) as f64;
        let least = values.iter().copied().min().unwrap_or(0);
        let greatest = values.iter().copied().max().unwrap_or(0);
        points.push((at, ms(least)));
        if greatest > least {
            points.push((at, ms(greatest)));
        }
    }
    points
}

/// Share of values up to each value, 90, 99 and 99.9 % at equal distances.
pub(super) fn distribution(title: &str, x_label: &str, series: &[Series<'_>]) -> Option<String> {
    let range = range_ms(series.iter().map(|series| series.values_ns))?;
    let most = series.iter().map(|series| series.values_ns.len()).max()?;
    let most = most.max(10) as f64;
    Some(svg(title, HEIGHT, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(6)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(58)
            .build_cartesian_2d(
                range.clone().log_scale().with_key_points(ticks(&range)),
                (1.0..most).log_scale().with_key_points(SHARES.to_vec()),
            )?;
        chart
            .configure_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style(text_style())
            .x_labels(8)
            .y_labels(6)
            .x_label_formatter(&|ms| short(*ms))
            .y_label_formatter(&|one_in| percent(*one_in))
            .x_desc(x_label)
            .y_desc("share up to it [%]")
            .draw()?;
        for series in series {
            let line = series.color.stroke_width(2);
            chart.draw_series(LineSeries::new(shares(series.values_ns), line))?;
        }
        Ok(())
    }))
}

/// Points (value, one in how many is at least that long): 10 is a share of 90 % below it, 100 one
/// of 99 %, so that on a logarithmic axis the tail has as much room as it has weight for a player.
fn shares(values_ns: &[u64]) -> Vec<(f64, f64)> {
    let mut sorted = values_ns.to_vec();
    sorted.sort_unstable();
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (below, value) in sorted.iter().enumerate() {
        let left = sorted.len() - below;
        let one_in = sorted.len() as f64 / left as f64;
        if left == 1 || points.last().is_none_or(|(_, last)| one_in >= last * STEP) {
            points.push((ms(*value), one_in));
        }
    }
    points
}

fn percent(one_in: f64) -> String {
    // 99 and 99.9, without the digits that say nothing.
    let text = format!("{:.3}", 100.0 - 100.0 / one_in);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// 1, 2, 5, 10, 20, 50 and so on inside a range.
fn ticks(range: &Range<f64>) -> Vec<f64> {
    let decades = (-3..7).map(|decade| 10_f64.powi(decade));
    let ticks = decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|tick| tick * decade));
    ticks.filter(|tick| range.contains(tick)).collect()
}

/// Horizontal bars from 0, each below its name and value.
pub(super) fn bars(title: &str, x_label: &str, digits: usize, bars: &[Bar<'_>]) -> Option<String> {
    let greatest = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    if greatest <= 0.0 || !greatest.is_finite() {
        return None;
    }
    let rows = u32::try_from(bars.len()).unwrap_or(u32::MAX);
    let height = rows.saturating_mul(BAR_HEIGHT).saturating_add(60);
    Some(svg(title, height, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .margin_right(24)
            .x_label_area_size(44)
            .build_cartesian_2d(0.0..greatest, f64::from(rows)..0.0)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .axis_style(INK)
            .label_style(text_style())
            .x_labels(5)
            .x_label_formatter(&|value| format!("{value}"))
            .x_desc(x_label)
            .draw()?;
        chart.draw_series(bars.iter().enumerate().map(|(row, bar)| {
            let top = row as f64;
            let corners = [(0.0, top + 0.55), (bar.value, top + 0.9)];
            Rectangle::new(corners, bar.color.filled())
        }))?;
        chart.draw_series(bars.iter().enumerate().map(|(row, bar)| {
            let text = format!("{}: {:.digits$}", bar.name, bar.value);
            let at = (0.0, row as f64 + 0.5);
            Text::new(
                text,
                at,
                text_style().pos(Pos::new(HPos::Left, VPos::Bottom)),
            )
        }))?;
        Ok(())
    }))
}

fn ms(ns: u64) -> f64 {
    (ns as f64 / 1e6).max(LEAST_MS)
}

/// At most three digits.
fn short(value: f64) -> String {
    if value < 1.0 {
        format!("{value:.2}")
    } else if value < 10.0 && value.fract() > 0.05 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

fn text_style() -> TextStyle<'static> {
    ("sans-serif", FONT_SIZE).into_font().color(&INK)
}

/// A picture with a title for those who do not see it. Size and name space are the page's matter.
fn svg(title: &str, height: u32, draw: impl FnOnce(&Area<'_>) -> Drawn) -> String {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
    draw(&area)
        .and_then(|()| Ok(area.present()?))
        .expect("BUG: drawing into a string failed");
    drop(area);
    let body = text.split_once('>').map_or("", |(_, body)| body);
    let title = maud::html! { title { (title) } }.into_string();
    format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">{title}{body}")
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, percent, range_ms, shares, ticks, zigzag};

    #[test]
    fn a_single_long_frame_is_still_drawn() {
        let mut values_ns = vec![10_000_000; 50_000];
        values_ns[33_333] = 90_000_000;
        let points = zigzag(&values_ns);
        assert!(points.len() <= BUCKETS * 2);
        let is_long = |(_, ms): &&(f64, f64)| (ms - 90.0).abs() < 1e-9;
        assert_eq!(points.iter().filter(is_long).count(), 1);
    }

    #[test]
    fn a_distribution_rises_from_its_least_to_its_greatest_value() {
        let values_ns: Vec<u64> = (1..=10_000).rev().map(|value| value * 1_000_000).collect();
        let points = shares(&values_ns);
        assert!(points.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
        assert_eq!(points.first(), Some(&(1.0, 1.0)));
        assert_eq!(points.last(), Some(&(10_000.0, 10_000.0)));
        assert!(shares(&[]).is_empty());
    }

    #[test]
    fn shares_read_as_per_cent() {
        let text = [1.0, 2.0, 10.0, 100.0, 1_000.0, 10_000.0].map(percent);
        assert_eq!(text, ["0", "50", "90", "99", "99.9", "99.99"]);
    }

    #[test]
    fn equal_values_have_an_axis_with_ticks() {
        for ns in [0, 16_666_667, 5_000_000_000] {
            let range = range_ms(std::iter::once(&[ns; 9][..])).unwrap();
            assert!(ticks(&range).len() >= 2, "{range:?}");
        }
        assert!(range_ms(std::iter::empty()).is_none());
    }
}
