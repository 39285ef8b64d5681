use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A moment: nanoseconds since 1970-01-01T00:00:00Z. Printed and read as RFC 3339 in UTC with nine digits of fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i128);

/// Why a text is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time: write RFC 3339, such as 2016-01-31T09:00:00Z")]
pub struct InvalidTimestamp(pub String);

const SECOND: i128 = 1_000_000_000;
/// The years that four digits can print: 0000-01-01 to 9999-12-31, in seconds since the epoch.
const YEARS: std::ops::RangeInclusive<i128> = -62_167_219_200..=253_402_300_799;

impl Timestamp {
    /// The length of the printed form, which is always the same.
    pub const PRINTED: usize = "2016-01-31T09:00:00.000000000Z".len();

    /// Reads the clock.
    pub fn now() -> Self {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Self(i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)),
            Err(before) => Self(-i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX)),
        }
    }

    /// Makes a moment from seconds and nanoseconds since the epoch; years beyond 9999 become the last moment of 9999.
    pub fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        let seconds = i128::from(seconds).clamp(*YEARS.start(), *YEARS.end());
        Self(seconds * SECOND + i128::from(nanoseconds.min(999_999_999)))
    }

    /// Returns whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        i64::try_from(self.0.div_euclid(SECOND)).unwrap_or(i64::MAX)
    }

    /// Returns how long ago `earlier` was, or zero if it is later.
    pub fn since(self, earlier: Self) -> Duration {
        let nanos = (self.0 - earlier.0).max(0);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Returns the moment this much earlier.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0 - i128::try_from(span.as_nanos()).unwrap_or(0))
    }

    /// Writes the printed form into a buffer: no allocation, for one line of a log.
    pub fn print_into(self, out: &mut [u8; Self::PRINTED]) {
        let seconds = self
            .0
            .div_euclid(SECOND)
            .clamp(*YEARS.start(), *YEARS.end());
        let (days, clock) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let mut put = |at: usize, width: usize, mut value: i128| {
            for digit in out[at..at + width].iter_mut().rev() {
                *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
                value /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, clock / 3600);
        put(14, 2, clock / 60 % 60);
        put(17, 2, clock % 60);
        put(20, 9, self.0.rem_euclid(SECOND));
        for (at, byte) in [
            (4, b'-'),
            (7, b'-'),
            (10, b'T'),
            (13, b':'),
            (16, b':'),
            (19, b'.'),
            (29, b'Z'),
        ] {
            out[at] = byte;
        }
    }
}

/// Turns days since 1970-01-01 into (year, month, day) of the Gregorian calendar. Years are counted from 1 March, so that the
/// leap day comes last and months have a linear formula.
fn civil_from_days(days: i128) -> (i128, i128, i128) {
    let days = days + 719_468; // days from 0000-03-01 to 1970-01-01
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i128::from(month <= 2), month, day)
}

/// The inverse of [`civil_from_days`].
fn days_from_civil(year: i128, month: i128, day: i128) -> i128 {
    let year = year - i128::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; Self::PRINTED];
        self.print_into(&mut text);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;
    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text).ok_or_else(|| InvalidTimestamp(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i128> {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0, |sum, b| {
            b.is_ascii_digit().then(|| sum * 10 + i128::from(b - b'0'))
        })
    };
    let at = |index: usize, allowed: &[u8]| bytes.get(index).is_some_and(|b| allowed.contains(b));
    if !(at(4, b"-") && at(7, b"-") && at(10, b"Tt ") && at(13, b":") && at(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let days = days_from_civil(year, month, day);
    // A day that does not exist (31 February) comes back as another one. Second 60 is a leap second: it counts as the next.
    if !(1..=12).contains(&month) || civil_from_days(days) != (year, month, day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let rest = &text[19..];
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(
            rest.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len()),
        ),
        None => ("0", rest),
    };
    if fraction.is_empty() {
        return None;
    }
    let nanos: i128 = format!("{fraction:0<9}")[..9].parse().ok()?;
    let offset = match zone.as_bytes() {
        b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let pair = |a: &u8, b: &u8| -> Option<i128> {
                (a.is_ascii_digit() && b.is_ascii_digit())
                    .then(|| i128::from(a - b'0') * 10 + i128::from(b - b'0'))
            };
            let (hours, minutes) = (pair(h1, h2)?, pair(m1, m2)?);
            let seconds = hours * 3600 + minutes * 60;
            if hours > 23 || minutes > 59 {
                return None;
            }
            if *sign == b'+' { seconds } else { -seconds }
        }
        _ => return None,
    };
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    YEARS
        .contains(&seconds)
        .then(|| Timestamp(seconds * SECOND + nanos))
}

crate::serde_through_text!(Timestamp);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn moments_are_read_and_printed() {
        for (text, printed) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000000Z"),
            ("2016-02-29T23:59:59.5Z", "2016-02-29T23:59:59.500000000Z"),
            (
                "2016-01-31T09:00:00+01:30",
                "2016-01-31T07:30:00.000000000Z",
            ),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000000Z"),
            (
                "9999-12-31T23:59:59.999999999999Z",
                "9999-12-31T23:59:59.999999999Z",
            ),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), printed);
        }
        for bad in [
            "",
            "2015-02-29T00:00:00Z",
            "2016-13-01T00:00:00Z",
            "2016-01-01",
            "2016-01-01T24:00:00Z",
            "2016-01-01T00:00:00",
            "2016-01-01T00:00:00.Z",
            "2016-01-01T00:00:00+1:00",
            "9999-12-31T23:59:59-01:00",
        ] {
            assert!(bad.parse::<Timestamp>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn moments_round_trip(seconds in -62_167_219_200i64..=253_402_300_799, nanos in 0u32..1_000_000_000) {
            let moment = Timestamp::from_unix(seconds, nanos);
            prop_assert_eq!(moment.to_string().parse(), Ok(moment));
            prop_assert_eq!((moment.seconds(), moment.0.rem_euclid(SECOND)), (seconds, i128::from(nanos)));
        }
        #[test]
        fn any_text_is_a_moment_or_an_error(text in ".{0,40}") {
            drop(text.parse::<Timestamp>());
        }
    }
}
