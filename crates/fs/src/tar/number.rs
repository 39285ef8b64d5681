//! Numbers as tar spells them: octal text, base-256, decimal text in PAX records, decimal fractions of seconds.

use super::Mtime;

/// Reads a numeric header field: octal digits between blanks and NULs (nothing at all is zero), or base-256.
pub(super) fn field(bytes: &[u8]) -> Option<i64> {
    match bytes.first() {
        Some(head) if head & 0x80 != 0 => base256(bytes),
        _ => octal(bytes),
    }
}

/// Reads a numeric header field that cannot be negative.
pub(super) fn unsigned(bytes: &[u8]) -> Option<u64> {
    field(bytes).and_then(|number| u64::try_from(number).ok())
}

fn octal(bytes: &[u8]) -> Option<i64> {
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let Some(start) = bytes.iter().position(|byte| !blank(byte)) else {
        return Some(0);
    };
    let digits = &bytes[start..];
    let end = digits.iter().position(blank).unwrap_or(digits.len());
    // What lies behind the terminator must be blank too: readers that go on there see another number.
    if !digits[end..].iter().all(blank) {
        return None;
    }
    digits[..end]
        .iter()
        .try_fold(0i64, |number, digit| match digit {
            b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
            _ => None,
        })
}

/// Two's complement, big endian, in all bits but the first. GNU tar and star write it where octal is too narrow.
fn base256(bytes: &[u8]) -> Option<i64> {
    let negative = bytes[0] & 0x40 != 0;
    // The marker bit is replaced by the sign before the usual sum.
    let head = if negative {
        i128::from(bytes[0]) - 0x100
    } else {
        i128::from(bytes[0] & 0x7f)
    };
    let number = bytes[1..].iter().try_fold(head, |number, byte| {
        number.checked_mul(256)?.checked_add(i128::from(*byte))
    })?;
    i64::try_from(number).ok()
}

/// Reads a decimal number of a PAX record: digits only, no sign, no blanks.
pub(super) fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// Reads a PAX time: `-12.34`. Digits below the nanosecond are dropped, rounding down in the direction of the past.
pub(super) fn time(bytes: &[u8]) -> Option<Mtime> {
    let (negative, digits) = match bytes.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, bytes),
    };
    let (whole, fraction) = match digits.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&digits[..dot], &digits[dot + 1..]),
        None => (digits, &[][..]),
    };
    let seconds = i64::try_from(decimal(whole)?).ok()?;
    let nanoseconds = nanoseconds(fraction)?;
    Some(match (negative, nanoseconds) {
        (false, nanoseconds) => Mtime {
            seconds,
            nanoseconds,
        },
        (true, 0) => Mtime {
            seconds: -seconds,
            nanoseconds: 0,
        },
        (true, nanoseconds) => Mtime {
            seconds: -seconds - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

fn nanoseconds(fraction: &[u8]) -> Option<u32> {
    let mut number = 0;
    let mut scale = 100_000_000;
    for digit in fraction {
        let b'0'..=b'9' = digit else { return None };
        number += u32::from(digit - b'0') * scale;
        scale /= 10;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields() {
        for (bytes, expected) in [
            (&b"0000644\0"[..], Some(0o644)),
            (b"    644 ", Some(0o644)),
            (b"00000000010\0", Some(8)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"\0\0\0\0", Some(0)),
            (b"        ", Some(0)),
            (b"-1\0\0", None),
            (b"+1\0\0", None),
            (b"12\x0034", None),
            (b"189\0", None),
            (b"0x1\0", None),
            (b"\x80\0\0\0\0\0\0\x01\0\0\0\0", Some(1 << 32)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe",
                Some(-2),
            ),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
        ] {
            assert_eq!(field(bytes), expected, "{}", bytes.escape_ascii());
        }
        assert_eq!(unsigned(b"\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }

    #[test]
    fn pax_numbers() {
        for (text, expected) in [
            ("0", Some(0)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("", None),
            ("-1", None),
            (" 1", None),
            ("1e3", None),
        ] {
            assert_eq!(decimal(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn pax_times() {
        let at = |seconds, nanoseconds| {
            Some(Mtime {
                seconds,
                nanoseconds,
            })
        };
        for (text, expected) in [
            ("1", at(1, 0)),
            ("1.", at(1, 0)),
            ("1.5", at(1, 500_000_000)),
            ("1.0000000019", at(1, 1)),
            ("-1.5", at(-2, 500_000_000)),
            ("-1", at(-1, 0)),
            ("-0.1", at(-1, 900_000_000)),
            (".5", None),
            ("1.x", None),
            ("--1", None),
            ("", None),
        ] {
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
    }
}
