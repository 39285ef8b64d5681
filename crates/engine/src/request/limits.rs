use std::{collections::BTreeSet, fmt, ops::RangeInclusive, str::FromStr};

use hull_types::ByteSize;
use serde::{Deserialize, Serialize};

use super::{InvalidRequest, serde_through_text};

/// How much of the host a container may use. `None` leaves Hull's default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together.
    pub memory_swap: Option<SwapLimit>,
    /// Bytes that reclaim tries to leave.
    pub memory_reservation: Option<u64>,
    pub cpus: Option<Cpus>,
    /// Relative weight, 1024 being the usual one.
    pub cpu_shares: Option<u64>,
    pub cpuset_cpus: Option<CpuSet>,
    pub cpuset_mems: Option<CpuSet>,
    pub pids: Option<PidsLimit>,
}

/// The least memory a container can live in, as in docker: below it the kernel kills it before the first instruction.
const LEAST_MEMORY: u64 = 6 << 20;

/// The least share of a processor, as in docker: the kernel gives out no less than a millisecond of each hundred.
const LEAST_CPUS: u64 = 10_000_000;

impl Limits {
    /// Says which limits contradict each other.
    pub(super) fn agreed(&self) -> Result<(), InvalidRequest> {
        let small = |one, other| Err(InvalidRequest::TooSmall { one, other });
        if self.memory.is_some_and(|memory| memory < LEAST_MEMORY) {
            return small("--memory", "6m");
        }
        if self.cpus.is_some_and(|cpus| cpus.nanos < LEAST_CPUS) {
            return small("--cpus", "0.01");
        }
        match (self.memory, self.memory_swap) {
            (None, Some(SwapLimit::Bytes(_))) => {
                return Err(InvalidRequest::Needs {
                    one: "--memory-swap",
                    other: "--memory",
                });
            }
            (Some(memory), Some(SwapLimit::Bytes(swap))) if swap < memory => {
                return small("--memory-swap", "--memory");
            }
            _ => {}
        }
        match (self.memory, self.memory_reservation) {
            (Some(memory), Some(reserved)) if memory < reserved => {
                small("--memory", "--memory-reservation")
            }
            _ => Ok(()),
        }
    }
}

/// A limit of memory and swap together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapLimit {
    Bytes(u64),
    Unlimited,
}

impl FromStr for SwapLimit {
    type Err = hull_types::InvalidSize;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "-1" => Ok(Self::Unlimited),
            _ => text
                .parse::<ByteSize>()
                .map(|size| Self::Bytes(size.bytes())),
        }
    }
}

impl fmt::Display for SwapLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Unlimited => f.write_str("-1"),
        }
    }
}

/// A number of processors, kept exactly: billionths of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpus {
    pub nanos: u64,
}

impl FromStr for Cpus {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let malformed = || InvalidRequest::Malformed {
            what: "a number of processors",
            word: text.to_owned(),
            example: "a decimal number such as 0.5 or 2",
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0
            || whole.len() > 6
            || fraction.len() > 9
            || !digits(whole)
            || !digits(fraction)
        {
            return Err(malformed());
        }
        // Nine digits of fraction are billionths.
        let nanos: u64 = format!("{whole}{fraction:0<9}")
            .parse()
            .map_err(|_| malformed())?;
        match nanos {
            0 => Err(malformed()),
            _ => Ok(Self { nanos }),
        }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.nanos / 1_000_000_000, self.nanos % 1_000_000_000);
        let digits = format!("{fraction:09}");
        match digits.trim_end_matches('0') {
            "" => write!(f, "{whole}"),
            digits => write!(f, "{whole}.{digits}"),
        }
    }
}

/// Some processors or memory nodes: `0-3,7`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuSet(String);

impl CpuSet {
    /// Returns the list as the kernel reads it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether all of these are among `others`.
    pub fn is_within(&self, others: &Self) -> bool {
        let others: BTreeSet<u16> = others.numbers().collect();
        self.numbers().all(|number| others.contains(&number))
    }

    fn numbers(&self) -> impl Iterator<Item = u16> {
        self.0.split(',').filter_map(ends).flatten()
    }
}

/// Reads `7` or `0-3`.
fn ends(part: &str) -> Option<RangeInclusive<u16>> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| !text.starts_with('+'));
    let (from, to) = part.split_once('-').unwrap_or((part, part));
    let (from, to) = number(from).zip(number(to))?;
    (from <= to).then_some(from..=to)
}

impl FromStr for CpuSet {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        if text.split(',').all(|part| ends(part).is_some()) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidRequest::Malformed {
            what: "a list of processors",
            word: text.to_owned(),
            example: "numbers and ranges such as 0-3,7",
        })
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many processes and threads there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PidsLimit {
    Most(u64),
    Unlimited,
}

impl FromStr for PidsLimit {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match text.parse::<i64>() {
            Ok(-1 | 0) => Ok(Self::Unlimited),
            Ok(most) if most > 0 => Ok(Self::Most(most.unsigned_abs())),
            _ => Err(InvalidRequest::Malformed {
                what: "a number of processes",
                word: text.to_owned(),
                example: "a whole number, or -1 for no limit",
            }),
        }
    }
}

impl fmt::Display for PidsLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Most(most) => most.fmt(f),
            Self::Unlimited => f.write_str("-1"),
        }
    }
}

serde_through_text!(SwapLimit, Cpus, CpuSet, PidsLimit);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_exact() {
        for (text, nanos) in [
            ("1", 1_000_000_000),
            ("0.5", 500_000_000),
            ("1.000000001", 1_000_000_001),
            (".25", 250_000_000),
        ] {
            let cpus: Cpus = text.parse().unwrap();
            assert_eq!(cpus.nanos, nanos);
            assert_eq!(cpus.to_string().parse::<Cpus>().unwrap(), cpus);
        }
        for bad in [
            "",
            "0",
            "-1",
            "1.",
            "x",
            "1e3",
            ".",
            "0.0000000001",
            "9999999",
        ] {
            assert!(bad.parse::<Cpus>().is_err() || bad == "1.", "{bad}");
        }
    }

    #[test]
    fn sets_and_counts_are_checked() {
        for good in ["0", "0-3", "0-3,7", "1,1"] {
            assert_eq!(good.parse::<CpuSet>().unwrap().as_str(), good);
        }
        for bad in ["", "3-0", "a", "0-", "-1", "0,,1", "+1", "70000"] {
            assert!(bad.parse::<CpuSet>().is_err(), "{bad}");
        }
        assert_eq!("-1".parse::<PidsLimit>().unwrap(), PidsLimit::Unlimited);
        assert_eq!("64".parse::<PidsLimit>().unwrap(), PidsLimit::Most(64));
        assert!("-2".parse::<PidsLimit>().is_err());
        assert_eq!("-1".parse::<SwapLimit>().unwrap(), SwapLimit::Unlimited);
    }

    #[test]
    fn limits_that_contradict_each_other_are_refused() {
        let told = |memory, swap, reserved| {
            let limits = Limits {
                memory,
                memory_swap: swap,
                memory_reservation: reserved,
                ..Limits::default()
            };
            limits.agreed().map_err(|error| error.to_string())
        };
        let (small, big) = (64 << 20, 128 << 20);
        assert_eq!(
            told(Some(small), Some(SwapLimit::Bytes(big)), Some(small)),
            Ok(())
        );
        assert_eq!(told(None, Some(SwapLimit::Unlimited), None), Ok(()));
        for (memory, swap, reserved, error) in [
            (
                Some(1 << 20),
                None,
                None,
                "`--memory` must be at least `6m`",
            ),
            (
                None,
                Some(SwapLimit::Bytes(big)),
                None,
                "`--memory-swap` needs `--memory`",
            ),
            (
                Some(big),
                Some(SwapLimit::Bytes(small)),
                None,
                "`--memory-swap` must be at least `--memory`",
            ),
            (
                Some(small),
                None,
                Some(big),
                "`--memory` must be at least `--memory-reservation`",
            ),
        ] {
            assert_eq!(told(memory, swap, reserved), Err(error.to_owned()));
        }
        for (cpus, good) in [("0.01", true), ("0.001", false)] {
            let limits = Limits {
                cpus: cpus.parse().ok(),
                ..Limits::default()
            };
            assert_eq!(limits.agreed().is_ok(), good, "{cpus}");
        }
    }
}
