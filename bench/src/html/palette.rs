//! The colours of the contestants: told apart also by those who see few colours, on light and on
//! dark ground, and by the dashes of their lines.

use plotters::style::RGBColor;
use std::fmt::Write;

/// Lines and text of plots. The style sheet gives all of these another value on dark ground.
pub(super) const INK: RGBColor = RGBColor(0x22, 0x26, 0x2b);
/// Lines behind the data.
pub(super) const GRID: RGBColor = RGBColor(0xdd, 0xe0, 0xe4);

struct Shade {
    light: RGBColor,
    dark: RGBColor,
    dash: &'static str,
}

const fn shade(light: [u8; 3], dark: [u8; 3], dash: &'static str) -> Shade {
    Shade {
        light: RGBColor(light[0], light[1], light[2]),
        dark: RGBColor(dark[0], dark[1], dark[2]),
        dash,
    }
}

/// After Okabe and Ito, darkened or lightened until each has a contrast of 3 on its ground.
const SHADES: [Shade; 8] = [
    shade([0x55, 0x5b, 0x63], [0xb9, 0xc0, 0xc8], "none"),
    shade([0x00, 0x72, 0xb2], [0x56, 0xb4, 0xe9], "none"),
    shade([0xd5, 0x5e, 0x00], [0xff, 0x8a, 0x3d], "none"),
    shade([0x00, 0x88, 0x66], [0x2f, 0xc9, 0x9b], "8 3"),
    shade([0xb0, 0x58, 0x90], [0xe3, 0x9a, 0xc8], "8 3"),
    shade([0x9a, 0x7b, 0x00], [0xe9, 0xd4, 0x3a], "2 3"),
    shade([0x5b, 0x4f, 0xc4], [0xa8, 0xa0, 0xff], "2 3"),
    shade([0x8a, 0x2b, 0x2b], [0xf0, 0x80, 0x80], "10 3 2 3"),
];

/// The colour of the contestant at `index`; they repeat after eight.
pub(super) fn color(index: usize) -> RGBColor {
    SHADES[index % SHADES.len()].light
}

/// `#rrggbb`, as plots write it.
pub(super) fn hex(color: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", color.0, color.1, color.2)
}

/// Rules that dash lines by their colour, and that change colours on dark ground.
pub(super) fn css() -> String {
    let ground = [
        (INK, RGBColor(0xd7, 0xdc, 0xe2)),
        (GRID, RGBColor(0x3a, 0x41, 0x4a)),
    ];
    let shades = SHADES.iter().map(|shade| (shade.light, shade.dark));
    let mut css = String::new();
    for shade in &SHADES {
        let light = hex(shade.light);
        let _ = writeln!(
            css,
            ".line [stroke=\"{light}\"]{{stroke-dasharray:{}}}",
            shade.dash
        );
    }
    css.push_str("@media (prefers-color-scheme:dark){\n");
    for (light, dark) in ground.into_iter().chain(shades) {
        let (light, dark) = (hex(light), hex(dark));
        let _ = writeln!(
            css,
            "[stroke=\"{light}\"]{{stroke:{dark}}}[fill=\"{light}\"]{{fill:{dark}}}"
        );
    }
    css.push_str("}\n");
    css
}

#[cfg(test)]
mod tests {
    use super::SHADES;
    use plotters::style::RGBColor;

    fn luminance(color: RGBColor) -> f64 {
        let linear = |value: u8| {
            let share = f64::from(value) / 255.0;
            if share <= 0.04045 {
                share / 12.92
            } else {
                ((share + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(color.0) + 0.7152 * linear(color.1) + 0.0722 * linear(color.2)
    }

    fn contrast(a: RGBColor, b: RGBColor) -> f64 {
        let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn every_line_stands_out_from_its_ground() {
        for shade in &SHADES {
            assert!(contrast(shade.light, RGBColor(0xff, 0xff, 0xff)) >= 3.0);
            assert!(contrast(shade.dark, RGBColor(0x15, 0x18, 0x1c)) >= 3.0);
        }
    }
}
