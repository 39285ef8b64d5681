//! PAX records: `LENGTH KEY=VALUE\n`, where LENGTH counts everything and VALUE may hold any byte.
//!
//! Anything malformed is an error, never skipped: a reader that skips what another obeys sees another archive
//! (CVE-2026-32766). Keys that change neither names, sizes nor attributes are ignored, like `comment` and `atime`.

use super::{Mtime, Problem, Xattr, number, sparse};

/// What the records of one extension header say, as far as Hull obeys it.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Mtime>,
    pub(super) xattrs: Vec<Xattr>,
    pub(super) sparse: sparse::Records,
}

const XATTR: &[u8] = b"SCHILY.xattr.";

impl Records {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let mut records = Self::default();
        for record in split(bytes) {
            let (key, value) = record?;
            records.obey(key, value)?;
        }
        records.keep_last_xattrs();
        Ok(records)
    }

    fn obey(&mut self, key: &[u8], value: &[u8]) -> Result<(), Problem> {
        let invalid = || Problem::PaxValue(key.escape_ascii().to_string());
        // POSIX: a later record overrides an earlier one, an empty value takes the record back.
        match key {
            b"path" => self.path = (!value.is_empty()).then(|| value.to_vec()),
            b"linkpath" => self.linkpath = (!value.is_empty()).then(|| value.to_vec()),
            b"size" => self.size = optional(value, number::decimal).ok_or_else(invalid)?,
            b"uid" => self.uid = optional(value, number::decimal).ok_or_else(invalid)?,
            b"gid" => self.gid = optional(value, number::decimal).ok_or_else(invalid)?,
            b"mtime" => self.mtime = optional(value, number::time).ok_or_else(invalid)?,
            // star's own sparse files: the stored bytes are not the file's, so this cannot be ignored.
            b"SCHILY.realsize" => {
                return Err(Problem::Unsupported(
                    "star's format for sparse files".to_owned(),
                ));
            }
            _ if key.starts_with(b"GNU.sparse.") => self.sparse.obey(key, value)?,
            _ if key.starts_with(XATTR) => self.set_xattr(&key[XATTR.len()..], value)?,
            _ => {}
        }
        Ok(())
    }

    fn set_xattr(&mut self, encoded: &[u8], value: &[u8]) -> Result<(), Problem> {
        let name = decode_xattr_name(encoded);
        if name.is_empty() || name.contains(&0) {
            return Err(Problem::PaxRecord);
        }
        self.xattrs.push(Xattr {
            name,
            value: value.to_vec(),
        });
        Ok(())
    }

    /// Sorts by name; of several values for one name the last counts. (Done once: a header may hold 50,000.)
    fn keep_last_xattrs(&mut self) {
        self.xattrs.reverse();
        self.xattrs.sort_by(|a, b| a.name.cmp(&b.name));
        self.xattrs.dedup_by(|later, kept| later.name == kept.name);
    }
}

/// Checks a global header. Readers differ about those (GNU tar obeys, Go does not), so one that would make a difference
/// is refused; what is left, like the commit that `git archive` notes, is of no consequence.
pub(super) fn check_global(bytes: &[u8]) -> Result<(), Problem> {
    const WEIGHTY: [&[u8]; 5] = [b"path", b"linkpath", b"size", b"uid", b"gid"];
    for record in split(bytes) {
        let (key, _) = record?;
        if WEIGHTY.contains(&key) || key.starts_with(b"GNU.sparse.") || key.starts_with(b"SCHILY.")
        {
            return Err(Problem::PaxGlobal(key.escape_ascii().to_string()));
        }
    }
    Ok(())
}

/// Returns nothing for an empty value, and no answer at all for one that is not a number.
fn optional<T>(value: &[u8], parse: impl Fn(&[u8]) -> Option<T>) -> Option<Option<T>> {
    if value.is_empty() {
        Some(None)
    } else {
        parse(value).map(Some)
    }
}

/// Walks the records; ends after the first malformed one.
fn split(mut rest: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), Problem>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let split = split_first(rest);
        rest = split.map_or(&[], |(_, _, rest)| rest);
        Some(
            split
                .map(|(key, value, _)| (key, value))
                .ok_or(Problem::PaxRecord),
        )
    })
}

fn split_first(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(number::decimal(&bytes[..space])?).ok()?;
    let record = bytes.get(..length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (&body[..equals], &body[equals + 1..]);
    (!key.is_empty() && !key.contains(&0)).then_some((key, value, &bytes[length..]))
}

/// Appends a record.
pub(super) fn append(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    // The length counts its own digits, which may add one more.
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

/// Appends a record for an extended attribute.
pub(super) fn append_xattr(records: &mut Vec<u8>, xattr: &Xattr) {
    let mut key = XATTR.to_vec();
    // A key ends at the first `=`; GNU tar escapes it, and the escape character.
    for byte in &xattr.name {
        match byte {
            b'%' => key.extend_from_slice(b"%25"),
            b'=' => key.extend_from_slice(b"%3D"),
            _ => key.push(*byte),
        }
    }
    append(records, &key, &xattr.value);
}

fn decode_xattr_name(encoded: &[u8]) -> Vec<u8> {
    let mut name = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((head, tail)) = rest.split_first() {
        if let Some(tail) = rest.strip_prefix(b"%25") {
            name.push(b'%');
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix(b"%3D") {
            name.push(b'=');
            rest = tail;
        } else {
            name.push(*head);
            rest = tail;
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_any_byte() {
        let mut bytes = Vec::new();
        append(
            &mut bytes,
            b"SCHILY.xattr.security.capability",
            b"\n=\0 12 path=x\n",
        );
        append(&mut bytes, b"path", b"a\nb");
        let records = Records::parse(&bytes).unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"a\nb"[..]));
        assert_eq!(records.xattrs[0].name, b"security.capability");
        assert_eq!(records.xattrs[0].value, b"\n=\0 12 path=x\n");
    }

    #[test]
    fn lengths_count_their_own_digits() {
        for size in [1, 5, 86, 87, 88, 89, 90, 985, 986, 987, 988, 9980, 9990] {
            let mut bytes = Vec::new();
            append(&mut bytes, b"comment", &vec![b'x'; size]);
            let digits = bytes.iter().position(|byte| *byte == b' ').unwrap();
            assert_eq!(
                number::decimal(&bytes[..digits]),
                Some(bytes.len() as u64),
                "{size}"
            );
        }
    }

    #[test]
    fn malformed_records_are_errors() {
        for bytes in [
            &b"x"[..],
            b"5 a=b",
            b"6 abc\n",
            b"6 =bc\n",
            b"0 \n",
            b"-1 a=b\n",
            b"99999999999999999999 a=b\n",
            b"18446744073709551615 a=b\n",
            b"6 a=b\n\0\0",
            b"8 pa\0=x\n",
            b"3 \n",
            b"  6 a=b\n",
        ] {
            let problem = Records::parse(bytes).expect_err(&bytes.escape_ascii().to_string());
            assert_eq!(problem, Problem::PaxRecord);
        }
    }

    #[test]
    fn invalid_values_are_errors_and_name_the_key() {
        for (key, value) in [
            ("size", "-1"),
            ("size", "1x"),
            ("uid", "root"),
            ("mtime", "now"),
        ] {
            let mut bytes = Vec::new();
            append(&mut bytes, key.as_bytes(), value.as_bytes());
            assert_eq!(
                Records::parse(&bytes).unwrap_err(),
                Problem::PaxValue(key.to_owned())
            );
        }
    }

    #[test]
    fn later_records_override_and_empty_ones_take_back() {
        let mut bytes = Vec::new();
        append(&mut bytes, b"path", b"first");
        append(&mut bytes, b"path", b"second");
        append(&mut bytes, b"size", b"1");
        append(&mut bytes, b"size", b"");
        let records = Records::parse(&bytes).unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"second"[..]));
        assert_eq!(records.size, None);
    }

    #[test]
    fn global_headers_may_comment_but_not_rename() {
        let mut harmless = Vec::new();
        append(&mut harmless, b"comment", b"0123abc");
        assert_eq!(check_global(&harmless), Ok(()));
        for key in ["path", "size", "GNU.sparse.major", "SCHILY.xattr.user.a"] {
            let mut bytes = Vec::new();
            append(&mut bytes, key.as_bytes(), b"1");
            assert_eq!(
                check_global(&bytes),
                Err(Problem::PaxGlobal(key.to_owned()))
            );
        }
    }

    #[test]
    fn xattr_names_survive_their_escape() {
        for name in ["user.a", "user.a=b", "user.100%", "user.%3D=%25"] {
            let xattr = Xattr {
                name: name.as_bytes().to_vec(),
                value: vec![1],
            };
            let mut bytes = Vec::new();
            append_xattr(&mut bytes, &xattr);
            assert_eq!(Records::parse(&bytes).unwrap().xattrs, [xattr]);
        }
    }
}
