use std::{fmt, str::FromStr};

/// A number of bytes. Reads docker's spellings (`64m`, `1.5g`, `512KiB`, plain bytes), where every unit is a power of 1024.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSize {
    #[error("`{0}` is not a size: write a number and one of b, k, m, g, t, such as 512m")]
    Malformed(String),
    #[error("size `{0}` is larger than 8 EiB")]
    TooLarge(String),
}

impl ByteSize {
    /// Returns the number of bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteSize {
    type Err = InvalidSize;
    fn from_str(text: &str) -> Result<Self, InvalidSize> {
        let malformed = || InvalidSize::Malformed(text.to_owned());
        let digits = text
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            "p" | "pb" | "pib" => 50,
            _ => return Err(malformed()),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() || fraction.len() > 9 || fraction.contains('.') {
            return Err(malformed());
        }
        let too_large = || InvalidSize::TooLarge(text.to_owned());
        let whole: u128 = whole.parse().map_err(|_| too_large())?;
        let scale = 10u128.pow(u32::try_from(fraction.len()).map_err(|_| malformed())?);
        let fraction: u128 = if fraction.is_empty() {
            0
        } else {
            fraction.parse().map_err(|_| malformed())?
        };
        let whole_bytes = whole.checked_mul(1 << shift).ok_or_else(too_large)?;
        let bytes = whole_bytes + (fraction << shift) / scale;
        match u64::try_from(bytes) {
            Ok(bytes) if i64::try_from(bytes).is_ok() => Ok(Self(bytes)),
            _ => Err(too_large()),
        }
    }
}

impl fmt::Display for ByteSize {
    /// Prints with the largest unit that leaves a number of at least one: `1.5GiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{}B", self.0);
        }
        let exponent = usize::try_from(self.0.ilog2() / 10)
            .unwrap_or(0)
            .min(UNITS.len());
        let tenths = u128::from(self.0) * 10 / (1u128 << (10 * exponent));
        match (tenths / 10, tenths % 10) {
            (whole, 0) => write!(f, "{whole}{}", UNITS[exponent - 1]),
            (whole, tenth) => write!(f, "{whole}.{tenth}{}", UNITS[exponent - 1]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_as_docker_reads_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1", 1),
            ("1b", 1),
            ("1k", 1024),
            ("64m", 64 << 20),
            ("1.5g", 3 << 29),
            ("512KiB", 512 << 10),
            ("10 MB", 10 << 20),
            ("2T", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for bad in ["", "m", "-1", "1x", "1..5g", ".5g", "1e3", "k1", "1 k k"] {
            assert!(bad.parse::<ByteSize>().is_err(), "{bad}");
        }
        assert!(matches!(
            "9999999999999g".parse::<ByteSize>(),
            Err(InvalidSize::TooLarge(_))
        ));
    }

    #[test]
    fn sizes_print_short() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1KiB"),
            (1536, "1.5KiB"),
            (64 << 20, "64MiB"),
        ] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn plain_numbers_round_trip(bytes in 0..i64::MAX as u64) {
            prop_assert_eq!(bytes.to_string().parse(), Ok(ByteSize(bytes)));
        }
        #[test]
        fn any_text_is_a_size_or_an_error(text in ".{0,40}") {
            drop(text.parse::<ByteSize>());
        }
    }
}
