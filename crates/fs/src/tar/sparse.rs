//! Sparse files: a map of the parts that hold data, in the four spellings GNU tar has used.
//!
//! Old GNU keeps the map in the header and in blocks behind it; PAX 0.0 and 0.1 in records; PAX 1.0 in front of the data.

use super::{Problem, number};

/// A part of a file that holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// The `GNU.sparse.*` records of an entry.
#[derive(Debug, Default)]
pub(super) struct Records {
    major: Option<u64>,
    minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    size: Option<u64>,
    segments: Vec<Segment>,
    /// An offset of format 0.0 whose length has not come yet.
    offset: Option<u64>,
    seen: bool,
}

/// Where the map of a sparse entry is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Map {
    /// In the records, which have been read.
    Here(Vec<Segment>),
    /// In front of the data.
    InData,
}

impl Records {
    pub(super) fn obey(&mut self, key: &[u8], value: &[u8]) -> Result<(), Problem> {
        let invalid = || Problem::PaxValue(key.escape_ascii().to_string());
        let decimal = || number::decimal(value).ok_or_else(invalid);
        self.seen = true;
        match key {
            b"GNU.sparse.major" => self.major = Some(decimal()?),
            b"GNU.sparse.minor" => self.minor = Some(decimal()?),
            b"GNU.sparse.name" => self.name = Some(value.to_vec()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.size = Some(decimal()?),
            // The number of segments says nothing that the segments do not.
            b"GNU.sparse.numblocks" => drop(decimal()?),
            b"GNU.sparse.offset" if self.offset.is_none() => self.offset = Some(decimal()?),
            b"GNU.sparse.numbytes" => {
                let offset = self.offset.take().ok_or_else(invalid)?;
                self.segments.push(Segment {
                    offset,
                    length: decimal()?,
                });
            }
            b"GNU.sparse.map" => self.segments = parse_list(value).ok_or_else(invalid)?,
            _ => return Err(invalid()),
        }
        Ok(())
    }

    /// Returns where the map is and how long the file is, for an entry that is sparse by its records.
    pub(super) fn into_map(self) -> Result<Option<(Map, u64)>, Problem> {
        if !self.seen {
            return Ok(None);
        }
        let size = self
            .size
            .ok_or(Problem::Sparse("it does not say how long the file is"))?;
        if self.offset.is_some() {
            return Err(Problem::Sparse("an offset has no length"));
        }
        match (self.major, self.minor) {
            (None | Some(0), _) => Ok(Some((Map::Here(self.segments), size))),
            (Some(1), None | Some(0)) if self.segments.is_empty() => Ok(Some((Map::InData, size))),
            (Some(1), None | Some(0)) => Err(Problem::Sparse("there are two of them")),
            (Some(major), minor) => Err(Problem::Unsupported(format!(
                "GNU sparse format {major}.{}",
                minor.unwrap_or_default()
            ))),
        }
    }
}

/// Reads the map of format 0.1: `offset,length,offset,length`.
fn parse_list(text: &[u8]) -> Option<Vec<Segment>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let numbers: Vec<u64> = text
        .split(|byte| *byte == b',')
        .map(number::decimal)
        .collect::<Option<_>>()?;
    numbers
        .chunks(2)
        .map(|pair| match pair {
            [offset, length] => Some(Segment {
                offset: *offset,
                length: *length,
            }),
            _ => None,
        })
        .collect()
}

/// Reads the map of format 1.0 as it comes: the number of segments, then offset and length of each, a line each.
#[derive(Debug, Default)]
pub(super) struct Lines {
    number: u64,
    digits: usize,
    announced: Option<u64>,
    offset: Option<u64>,
    segments: Vec<Segment>,
}

impl Lines {
    /// Takes one block. Returns whether the map is complete; the rest of its last block is padding.
    pub(super) fn take(&mut self, block: &[u8], limit: usize) -> Result<bool, Problem> {
        const INVALID: Problem = Problem::Sparse("a line is not a number");
        for byte in block {
            match byte {
                b'0'..=b'9' if self.digits < 20 => {
                    self.digits += 1;
                    let digit = u64::from(byte - b'0');
                    self.number = self
                        .number
                        .checked_mul(10)
                        .and_then(|number| number.checked_add(digit))
                        .ok_or(INVALID)?;
                }
                b'\n' if self.digits > 0 => {
                    let number = std::mem::take(&mut self.number);
                    self.digits = 0;
                    self.line(number, limit)?;
                    if self.announced == Some(self.segments.len() as u64) {
                        return Ok(true);
                    }
                }
                _ => return Err(INVALID),
            }
        }
        Ok(false)
    }

    fn line(&mut self, number: u64, limit: usize) -> Result<(), Problem> {
        match (self.announced, self.offset.take()) {
            (None, _) if number > limit as u64 => {
                return Err(Problem::Sparse("it has too many segments"));
            }
            (None, _) => self.announced = Some(number),
            (Some(_), None) => self.offset = Some(number),
            (Some(_), Some(offset)) => self.segments.push(Segment {
                offset,
                length: number,
            }),
        }
        Ok(())
    }

    pub(super) fn into_segments(self) -> Vec<Segment> {
        self.segments
    }
}

/// Checks a map against the file's length and the number of stored bytes, and drops its empty segments.
pub(super) fn check(
    segments: Vec<Segment>,
    size: u64,
    stored: u64,
) -> Result<Vec<Segment>, Problem> {
    let mut end = 0u64;
    let mut sum = 0u64;
    let mut aligned = true;
    for segment in &segments {
        if segment.offset < end {
            return Err(Problem::Sparse("segments overlap or are out of order"));
        }
        if segment.length > 0 && !aligned {
            // GNU tar pads every segment to a block, Go does not: only where that is the same do they agree.
            return Err(Problem::Sparse(
                "a segment in the middle does not fill its last block",
            ));
        }
        end = segment
            .offset
            .checked_add(segment.length)
            .filter(|end| *end <= size)
            .ok_or(Problem::Sparse("a segment lies outside the file"))?;
        // Cannot overflow: the segments do not overlap and end within `size`.
        sum += segment.length;
        aligned = segment.length.is_multiple_of(super::BLOCK as u64);
    }
    if sum != stored {
        return Err(Problem::Sparse(
            "the segments are not as long as the stored data",
        ));
    }
    Ok(segments
        .into_iter()
        .filter(|segment| segment.length > 0)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(offset: u64, length: u64) -> Segment {
        Segment { offset, length }
    }

    #[test]
    fn good_maps_pass_and_lose_empty_segments() {
        let map = vec![segment(0, 512), segment(4096, 100), segment(8192, 0)];
        assert_eq!(
            check(map, 8192, 612).unwrap(),
            [segment(0, 512), segment(4096, 100)]
        );
        assert_eq!(check(vec![], 1 << 40, 0).unwrap(), []);
    }

    #[test]
    fn bad_maps_are_refused() {
        for (map, size, stored) in [
            (vec![segment(0, 512), segment(511, 1)], 4096, 513),
            (vec![segment(512, 512), segment(0, 512)], 4096, 1024),
            (vec![segment(0, 512)], 511, 512),
            (vec![segment(u64::MAX, 2)], u64::MAX, 2),
            (vec![segment(0, 512)], 4096, 1024),
            (vec![segment(0, 100), segment(4096, 100)], 8192, 200),
        ] {
            assert!(check(map.clone(), size, stored).is_err(), "{map:?}");
        }
    }

    #[test]
    fn lines_are_read_across_blocks() {
        let mut lines = Lines::default();
        assert!(!lines.take(b"2\n0\n51", 10).unwrap());
        assert!(!lines.take(b"2\n4096\n1", 10).unwrap());
        assert!(lines.take(b"\n\0\0\0", 10).unwrap());
        assert_eq!(lines.into_segments(), [segment(0, 512), segment(4096, 1)]);
        assert!(Lines::default().take(b"0\n", 10).unwrap());
    }

    #[test]
    fn bad_lines_are_refused() {
        for text in [
            "11\n",
            "\n",
            "-1\n",
            "1 \n",
            "999999999999999999999\n",
            "1\n\0",
        ] {
            assert!(
                Lines::default().take(text.as_bytes(), 10).is_err(),
                "{text}"
            );
        }
    }

    #[test]
    fn versions_are_told_apart() {
        let records = |pairs: &[(&str, &str)]| {
            let mut records = Records::default();
            for (key, value) in pairs {
                let key = format!("GNU.sparse.{key}");
                records.obey(key.as_bytes(), value.as_bytes()).unwrap();
            }
            records.into_map()
        };
        assert_eq!(records(&[]), Ok(None));
        assert_eq!(
            records(&[
                ("size", "9"),
                ("numblocks", "1"),
                ("offset", "1"),
                ("numbytes", "2")
            ]),
            Ok(Some((Map::Here(vec![segment(1, 2)]), 9)))
        );
        assert_eq!(
            records(&[("size", "9"), ("map", "1,2,5,1")]),
            Ok(Some((Map::Here(vec![segment(1, 2), segment(5, 1)]), 9)))
        );
        assert_eq!(
            records(&[("major", "1"), ("minor", "0"), ("realsize", "9")]),
            Ok(Some((Map::InData, 9)))
        );
        assert!(records(&[("major", "2"), ("minor", "0"), ("realsize", "9")]).is_err());
        assert!(records(&[("map", "1,2")]).is_err());
    }
}
