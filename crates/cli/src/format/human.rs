//! Sizes and moments as docker writes them.

use hull_types::Timestamp;

/// Writes a number of bytes with three digits and a decimal unit: `1.09MB`, `124MB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let (mut unit, mut scale) = (0, 1u64);
    // The next unit begins where three digits would round up to 1000.
    while unit + 1 < UNITS.len() && u128::from(bytes) * 2 >= u128::from(scale) * 1999 {
        unit += 1;
        scale *= 1000;
    }
    let thousandths = u128::from(bytes) * 1000 / u128::from(scale);
    let places = match thousandths {
        0..10_000 => 2,
        10_000..100_000 => 1,
        _ => 0,
    };
    let step = 1000 / 10u128.pow(places);
    let rounded = (u128::from(bytes) * 1000 / u128::from(scale) + step / 2) / step * step;
    let (whole, fraction) = (rounded / 1000, rounded % 1000);
    let digits = format!("{fraction:03}");
    match digits.trim_end_matches('0') {
        "" => format!("{whole}{}", UNITS[unit]),
        digits => format!("{whole}.{digits}{}", UNITS[unit]),
    }
}

/// Writes a moment as docker's lists do: `2026-01-31 09:00:00 +0000 UTC`.
pub fn moment(moment: Timestamp) -> String {
    let text = moment.to_string();
    format!("{} {} +0000 UTC", &text[..10], &text[11..19])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (1, "1B"),
            (999, "999B"),
            (1000, "1kB"),
            (1004, "1kB"),
            (1090, "1.09kB"),
            (12_345, "12.3kB"),
            (123_456, "123kB"),
            (999_499, "999kB"),
            (999_500, "1MB"),
            (124_000_000, "124MB"),
            (1_500_000_000, "1.5GB"),
            (u64::MAX, "18.4EB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn moments_are_dockers() {
        assert_eq!(
            moment("2026-01-31T09:08:07.5Z".parse().unwrap()),
            "2026-01-31 09:08:07 +0000 UTC"
        );
    }
}
