//! Numbers as a person reads them: three digits at most, and a unit.

/// A count or rate: `0`, `0.5`, `999`, `1.2k`, `34k`, `5.6M`.
pub(super) fn count(value: f64) -> String {
    match value {
        v if v < 0.05 => "0".to_owned(),
        v if v < 9.95 => format!("{v:.1}"),
        v if v < 999.5 => format!("{v:.0}"),
        v if v < 9_950.0 => format!("{:.1}k", v / 1e3),
        v if v < 999_500.0 => format!("{:.0}k", v / 1e3),
        v if v < 9_950_000.0 => format!("{:.1}M", v / 1e6),
        v if v < 999_500_000.0 => format!("{:.0}M", v / 1e6),
        v => format!("{:.0}G", (v / 1e9).min(999.0)),
    }
}

/// A duration: `0`, `850ns`, `1.2us`, `34us`, `5.6ms`, `1.5s`.
pub(super) fn duration_us(us: f64) -> String {
    match us {
        v if v < 0.0005 => "0".to_owned(),
        v if v < 0.9995 => format!("{:.0}ns", v * 1e3),
        v if v < 9.95 => format!("{v:.1}us"),
        v if v < 999.5 => format!("{v:.0}us"),
        v if v < 9_950.0 => format!("{:.1}ms", v / 1e3),
        v if v < 999_500.0 => format!("{:.0}ms", v / 1e3),
        v if v < 9_950_000.0 => format!("{:.1}s", v / 1e6),
        v => format!("{:.0}s", (v / 1e6).min(9999.0)),
    }
}

/// Text of foreign origin, such as a game's name: no control characters that could reach the
/// terminal, and no more than `length_max` characters.
pub(crate) fn printable(text: &str, length_max: usize) -> String {
    text.chars()
        .take(length_max)
        .map(|c| {
            if c.is_control() || is_invisible(c) {
                '?'
            } else {
                c
            }
        })
        .collect()
}

/// Characters that change the direction of a line or do not show.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_at_the_borders_of_a_unit() {
        for (value, text) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (9.96, "10"),
            (999.6, "1.0k"),
            (12_345.0, "12k"),
            (999_600.0, "1.0M"),
        ] {
            assert_eq!(count(value), text);
        }
        for (us, text) in [
            (0.0, "0"),
            (0.9996, "1.0us"),
            (999.6, "1.0ms"),
            (12_345.0, "12ms"),
            (1_500_000.0, "1.5s"),
        ] {
            assert_eq!(duration_us(us), text);
        }
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(printable("Game\x1b[2J\n.exe", 40), "Game?[2J?.exe");
        assert_eq!(printable("\u{202e}exe.txt", 40), "?exe.txt");
        assert_eq!(printable("long name", 4), "long");
    }

    proptest! {
        #[test]
        fn numbers_keep_their_columns(value in 0.0f64..1e300) {
            prop_assert!(count(value).len() <= 4);
            prop_assert!(duration_us(value).len() <= 5);
        }
    }
}
