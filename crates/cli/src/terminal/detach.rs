//! Watches what is typed for the keys that leave a container.
//!
//! ```text
//!         key 1         key 2               key n
//! ( 0 ) ───────▶ ( 1 ) ───────▶ … ( n-1 ) ───────▶ left
//!   ▲ any other   │ any other: what was held back goes to the container, except an end of it
//!   └─────────────┘            that could still be the beginning of the keys
//! ```
//!
//! Keys that may be the beginning are held back, so that the container never sees the sequence; held keys wait for the next
//! one however long it takes, as in docker.

use hull_engine::request::DetachKeys;

/// The state: how many of the keys have been typed.
#[derive(Clone, Debug)]
pub struct Detach {
    keys: Vec<u8>,
    matched: usize,
}

/// What came of some typed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fed {
    /// What the container is to get.
    pub forward: Vec<u8>,
    /// Whether the keys were typed: what followed them is dropped.
    pub left: bool,
}

impl Detach {
    /// Starts watching. No keys: nothing is ever held back.
    pub fn new(keys: &DetachKeys) -> Self {
        Self {
            keys: keys.bytes().to_owned(),
            matched: 0,
        }
    }

    /// Takes what was typed.
    pub fn feed(&mut self, typed: &[u8]) -> Fed {
        let mut forward = Vec::with_capacity(typed.len() + self.matched);
        for byte in typed {
            self.key(*byte, &mut forward);
            if self.matched > 0 && self.matched == self.keys.len() {
                self.matched = 0;
                return Fed {
                    forward,
                    left: true,
                };
            }
        }
        Fed {
            forward,
            left: false,
        }
    }

    /// Returns what is held back: for the container, when the input ends.
    pub fn rest(&mut self) -> Vec<u8> {
        let held = self.keys[..self.matched].to_vec();
        self.matched = 0;
        held
    }

    fn key(&mut self, byte: u8, forward: &mut Vec<u8>) {
        while self.keys.get(self.matched) != Some(&byte) {
            if self.matched == 0 {
                forward.push(byte);
                return;
            }
            // The longest proper end of what is held that is also a beginning of the keys stays held; the rest goes.
            let held = &self.keys[..self.matched];
            let keep = (0..self.matched)
                .rev()
                .find(|length| held.ends_with(&self.keys[..*length]))
                .unwrap_or(0);
            forward.extend_from_slice(&held[..self.matched - keep]);
            self.matched = keep;
        }
        self.matched += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn watch(keys: &str) -> Detach {
        Detach::new(&keys.parse().unwrap())
    }

    #[test]
    fn keys_leave_and_are_never_seen_inside() {
        for (keys, typed, forward, left) in [
            ("ctrl-p,ctrl-q", &b"ls\n"[..], &b"ls\n"[..], false),
            ("ctrl-p,ctrl-q", b"ls\x10\x11more", b"ls", true),
            ("ctrl-p,ctrl-q", b"\x10x", b"\x10x", false),
            ("ctrl-p,ctrl-q", b"\x10\x10\x11", b"\x10", true),
            ("ctrl-p,ctrl-q", b"\x10", b"", false),
            ("a,a,b", b"aaab", b"a", true),
            ("a,b,a,c", b"ababac", b"ab", true),
            ("", b"\x10\x11", b"\x10\x11", false),
            ("ctrl-a", b"\x01", b"", true),
        ] {
            let fed = watch(keys).feed(typed);
            let expected = Fed {
                forward: forward.to_owned(),
                left,
            };
            assert_eq!(fed, expected, "{keys} {typed:?}");
        }
    }

    #[test]
    fn keys_may_come_in_pieces() {
        let mut detach = watch("ctrl-p,ctrl-q");
        assert_eq!(detach.feed(b"x\x10").forward, b"x");
        assert!(detach.feed(b"\x11").left);
        assert_eq!(detach.feed(b"\x10").forward, b"");
        assert_eq!(detach.rest(), b"\x10");
    }

    proptest! {
        /// Against the plain meaning: everything up to the first place where the keys stand goes through, in whatever pieces.
        #[test]
        fn what_goes_through_is_all_before_the_keys(
            keys in prop::collection::vec(prop::sample::select(vec!["a", "b"]), 1..5),
            typed in prop::collection::vec(prop::sample::select(vec![b'a', b'b', b'c']), 0..40),
            piece in 1usize..5,
        ) {
            let mut detach = watch(&keys.join(","));
            let keys: Vec<u8> = keys.concat().into_bytes();
            let place = typed.windows(keys.len()).position(|window| window == keys);
            let (mut through, mut left) = (Vec::new(), false);
            for piece in typed.chunks(piece) {
                let fed = detach.feed(piece);
                through.extend(fed.forward);
                left = fed.left;
                if left {
                    break;
                }
            }
            if !left {
                through.extend(detach.rest());
            }
            prop_assert_eq!(left, place.is_some());
            prop_assert_eq!(&through[..], &typed[..place.unwrap_or(typed.len())]);
        }
    }
}
