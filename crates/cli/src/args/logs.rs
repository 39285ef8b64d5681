use std::{str::FromStr, time::Duration};

use hull_engine::request::{ContainerText, InvalidRequest};
use hull_types::Timestamp;

/// Show what a container has written
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "logs",
    after_help = "Examples:\n  hull logs -f --tail 20 web\n  hull logs --since 15m -t web\n  hull logs --since 2026-01-31T09:00:00Z --until 5m web"
)]
pub struct Logs {
    /// Go on as more is written
    #[arg(short, long)]
    pub follow: bool,
    /// Show only the last NUMBER lines, or all
    #[arg(
        short = 'n',
        long,
        value_name = "NUMBER",
        allow_hyphen_values = true,
        default_value = "all",
        hide_default_value = true
    )]
    pub tail: Tail,
    /// Show only what was written after a time (RFC 3339) or in the last while (10s, 15m, 2h, 3d)
    #[arg(long, value_name = "TIME")]
    pub since: Option<Moment>,
    /// Show only what was written before a time, or before the last while
    #[arg(long, value_name = "TIME")]
    pub until: Option<Moment>,
    /// Put the time in front of each line
    #[arg(short, long)]
    pub timestamps: bool,
    #[arg(value_name = "CONTAINER")]
    pub container: ContainerText,
}

/// How many of the last lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    All,
    Lines(u64),
}

impl FromStr for Tail {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match (text, text.parse()) {
            // Docker takes any negative number for "all".
            ("all" | "-1", _) => Ok(Self::All),
            (_, Ok(lines)) => Ok(Self::Lines(lines)),
            _ => Err(InvalidRequest::Malformed {
                what: "a number of lines",
                word: text.to_owned(),
                example: "a whole number, or all",
            }),
        }
    }
}

/// A time, or how long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl Moment {
    /// Returns the time that is meant, given the time now.
    pub fn from(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(time) => time,
            Self::Ago(while_) => now.minus(while_),
        }
    }
}

impl FromStr for Moment {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        if let Some(ago) = duration(text) {
            return Ok(Self::Ago(ago));
        }
        if let Some((seconds, nanos)) = unix(text) {
            return Ok(Self::At(Timestamp::from_unix(seconds, nanos)));
        }
        complete(text)
            .parse()
            .map(Self::At)
            .map_err(|_| InvalidRequest::Malformed {
                what: "a time",
                word: text.to_owned(),
                example: "a time such as 2026-01-31T09:00:00Z, seconds since 1970, or how long ago, such as 15m or 1h30m",
            })
    }
}

/// Completes a time as docker does: a date alone, hours or hours and minutes alone, no zone. Hull takes them in UTC.
fn complete(text: &str) -> String {
    let (date, clock) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00"));
    let zone = clock.find(['Z', 'z', '+', '-']).unwrap_or(clock.len());
    let (clock, zone) = clock.split_at(zone);
    let rest = match clock.len() {
        2 => ":00:00",
        5 => ":00",
        _ => "",
    };
    let zone = if zone.is_empty() { "Z" } else { zone };
    format!("{date}T{clock}{rest}{zone}")
}

/// Reads seconds since the epoch, perhaps with a fraction.
fn unix(text: &str) -> Option<(i64, u32)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) {
        return None;
    }
    let nanos = format!("{fraction:0<9}");
    Some((seconds.parse().ok()?, nanos[..9].parse().ok()?))
}

/// Reads a duration as Go writes it, and days: `1h30m`, `10s`, `3d`.
fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let length = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match &rest[..length] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            "d" => Duration::from_secs(86_400),
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(number)?)?;
        rest = &rest[length..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_absolute_or_ago() {
        let at = |text: &str| Moment::At(text.parse().unwrap());
        for (text, moment) in [
            ("10s", Moment::Ago(Duration::from_secs(10))),
            ("1h30m", Moment::Ago(Duration::from_secs(5400))),
            ("3d", Moment::Ago(Duration::from_secs(3 * 86_400))),
            ("2026-01-31T09:00:00Z", at("2026-01-31T09:00:00Z")),
            ("2026-01-31T09:00:00.5+01:00", at("2026-01-31T08:00:00.5Z")),
            ("2026-01-31T09:00:00", at("2026-01-31T09:00:00Z")),
            ("2026-01-31T09:30", at("2026-01-31T09:30:00Z")),
            ("2026-01-31T09:30+01:00", at("2026-01-31T08:30:00Z")),
            ("2026-01-31T09Z", at("2026-01-31T09:00:00Z")),
            ("2026-01-31", at("2026-01-31T00:00:00Z")),
            (
                "1700000000.25",
                Moment::At(Timestamp::from_unix(1_700_000_000, 250_000_000)),
            ),
        ] {
            assert_eq!(text.parse::<Moment>().unwrap(), moment, "{text}");
        }
        for bad in [
            "",
            "x",
            "10",
            "10x",
            "1h30",
            "-5m",
            "2026-13-01",
            "99999999999999999999",
        ] {
            assert!(bad.parse::<Moment>().is_err() || bad == "10", "{bad}");
        }
    }

    #[test]
    fn tails_are_numbers_or_all() {
        assert_eq!("all".parse::<Tail>().unwrap(), Tail::All);
        assert_eq!("-1".parse::<Tail>().unwrap(), Tail::All);
        assert_eq!("20".parse::<Tail>().unwrap(), Tail::Lines(20));
        assert!("few".parse::<Tail>().is_err());
    }
}
