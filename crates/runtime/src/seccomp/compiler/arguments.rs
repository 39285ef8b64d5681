//! The part of a filter that looks at a call's arguments.
//!
//! Arguments have 64 bits and the machine compares 32, so a comparison asks for the high word and then for the low one. What
//! was learned on the way is used: a word that is in the accumulator is not loaded again, and once a high word is known to
//! be (or not to be) some value, later rules do not ask for it again.

use std::collections::BTreeMap;

use super::abi::Abi;
use super::graph::{Graph, Node, NodeId, Test};
use super::{ARGUMENTS, Condition, Op};

/// Builds the questions for a call with these alternatives: the first that holds decides, else `default` does.
pub(crate) fn ask(
    graph: &mut Graph,
    rules: &[(Vec<Condition>, u32)],
    default: u32,
    abi: Abi,
) -> NodeId {
    let mut asking = Asking {
        graph,
        rules,
        default,
        abi,
        memo: BTreeMap::new(),
    };
    asking.condition(
        At {
            rule: 0,
            condition: 0,
        },
        Known::default(),
    )
}

/// Which condition of which rule is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    rule: usize,
    condition: usize,
}

impl At {
    fn next_condition(self) -> Self {
        Self {
            condition: self.condition + 1,
            ..self
        }
    }

    fn next_rule(self) -> Self {
        Self {
            rule: self.rule + 1,
            condition: 0,
        }
    }
}

/// What is certain when a point is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    /// The word in the accumulator and the mask it went through.
    accumulator: Option<(u32, u32)>,
    /// The high word of this argument is, or is not, this value.
    high: Option<(u8, u32, bool)>,
}

struct Asking<'a> {
    graph: &'a mut Graph,
    rules: &'a [(Vec<Condition>, u32)],
    default: u32,
    abi: Abi,
    memo: BTreeMap<(At, Known), NodeId>,
}

/// Where a comparison leads.
#[derive(Clone, Copy)]
struct Exits {
    yes: At,
    no: At,
}

impl Asking<'_> {
    fn condition(&mut self, at: At, known: Known) -> NodeId {
        if let Some(&node) = self.memo.get(&(at, known)) {
            return node;
        }
        let rules = self.rules;
        let node = match rules.get(at.rule) {
            None => self.graph.add(Node::Return(self.default)),
            Some((conditions, result)) => match conditions.get(at.condition) {
                None => self.graph.add(Node::Return(*result)),
                Some(condition) => self.compare(at, condition, known),
            },
        };
        self.memo.insert((at, known), node);
        node
    }

    fn compare(&mut self, at: At, condition: &Condition, known: Known) -> NodeId {
        let met = Exits {
            yes: at.next_condition(),
            no: at.next_rule(),
        };
        let unmet = Exits {
            yes: met.no,
            no: met.yes,
        };
        let Condition {
            argument, value, ..
        } = *condition;
        match condition.op {
            Op::Equal => self.equal(argument, u64::MAX, value, met, known),
            Op::NotEqual => self.equal(argument, u64::MAX, value, unmet, known),
            Op::MaskedEqual => self.equal(argument, value, condition.value_two, met, known),
            Op::Greater => self.above(argument, Test::Greater, value, met, known),
            Op::LessOrEqual => self.above(argument, Test::Greater, value, unmet, known),
            Op::GreaterOrEqual => self.above(argument, Test::GreaterOrEqual, value, met, known),
            Op::Less => self.above(argument, Test::GreaterOrEqual, value, unmet, known),
        }
    }

    fn equal(&mut self, argument: u8, mask: u64, value: u64, exits: Exits, known: Known) -> NodeId {
        let (high_mask, low_mask) = words(mask);
        let (high, low) = words(value & mask);
        if self.abi == Abi::I386 || high_mask == 0 {
            return self.equal_low(argument, low_mask, low, exits, known);
        }
        if high_mask != u32::MAX {
            let word = Word {
                offset: high_offset(argument),
                mask: high_mask,
            };
            return self.equal_word(word, high, known, |asking, known, equal| {
                if equal {
                    asking.equal_low(argument, low_mask, low, exits, known)
                } else {
                    asking.condition(exits.no, known)
                }
            });
        }
        self.high_is(argument, high, known, |asking, known, equal| {
            if equal {
                asking.equal_low(argument, low_mask, low, exits, known)
            } else {
                asking.condition(exits.no, known)
            }
        })
    }

    fn equal_low(
        &mut self,
        argument: u8,
        mask: u32,
        value: u32,
        exits: Exits,
        known: Known,
    ) -> NodeId {
        let word = Word {
            offset: low_offset(argument),
            mask,
        };
        self.equal_word(word, value, known, |asking, known, equal| {
            asking.condition(if equal { exits.yes } else { exits.no }, known)
        })
    }

    /// `test` is `Greater` or `GreaterOrEqual`.
    fn above(
        &mut self,
        argument: u8,
        test: Test,
        value: u64,
        exits: Exits,
        known: Known,
    ) -> NodeId {
        let (high, low) = words(value);
        if self.abi == Abi::I386 {
            return self.above_low(argument, test, low, exits, known);
        }
        let equal =
            |asking: &mut Self, known: Known| asking.above_low(argument, test, low, exits, known);
        match known.high {
            Some((about, is, true)) if about == argument && is > high => {
                return self.condition(exits.yes, known);
            }
            Some((about, is, true)) if about == argument && is < high => {
                return self.condition(exits.no, known);
            }
            _ => {}
        }
        self.high_is(argument, high, known, |asking, known, is_equal| {
            if is_equal {
                equal(asking, known)
            } else if high == 0 {
                asking.condition(exits.yes, known)
            } else if high == u32::MAX {
                asking.condition(exits.no, known)
            } else {
                let word = Word {
                    offset: high_offset(argument),
                    mask: u32::MAX,
                };
                asking.test_word(
                    word,
                    Test::Greater,
                    high,
                    known,
                    |asking, known, greater| {
                        asking.condition(if greater { exits.yes } else { exits.no }, known)
                    },
                )
            }
        })
    }

    fn above_low(
        &mut self,
        argument: u8,
        test: Test,
        value: u32,
        exits: Exits,
        known: Known,
    ) -> NodeId {
        match (test, value) {
            (Test::GreaterOrEqual, 0) => return self.condition(exits.yes, known),
            (Test::Greater, u32::MAX) => return self.condition(exits.no, known),
            _ => {}
        }
        let word = Word {
            offset: low_offset(argument),
            mask: u32::MAX,
        };
        self.test_word(word, test, value, known, |asking, known, above| {
            asking.condition(if above { exits.yes } else { exits.no }, known)
        })
    }

    /// Asks whether the high word of an argument is `value`, unless that is known.
    fn high_is(
        &mut self,
        argument: u8,
        value: u32,
        known: Known,
        then: impl Fn(&mut Self, Known, bool) -> NodeId,
    ) -> NodeId {
        match known.high {
            Some((about, is, certain)) if about == argument && (is == value || certain) => {
                return then(self, known, is == value && certain);
            }
            _ => {}
        }
        let word = Word {
            offset: high_offset(argument),
            mask: u32::MAX,
        };
        self.equal_word(word, value, known, |asking, known, equal| {
            let high = Some((argument, value, equal));
            then(asking, Known { high, ..known }, equal)
        })
    }

    fn equal_word(
        &mut self,
        word: Word,
        value: u32,
        known: Known,
        then: impl Fn(&mut Self, Known, bool) -> NodeId,
    ) -> NodeId {
        if word.mask == 0 {
            return then(self, known, value == 0);
        }
        if value == 0 && word.mask != u32::MAX {
            // Asking for any bit needs no `and`, and leaves the word as it is.
            let whole = Word {
                mask: u32::MAX,
                ..word
            };
            return self.test_word(
                whole,
                Test::AnyBit,
                word.mask,
                known,
                |asking, known, any| then(asking, known, !any),
            );
        }
        self.test_word(word, Test::Equal, value, known, then)
    }

    fn test_word(
        &mut self,
        word: Word,
        test: Test,
        value: u32,
        known: Known,
        then: impl Fn(&mut Self, Known, bool) -> NodeId,
    ) -> NodeId {
        let after = Known {
            accumulator: Some((word.offset, word.mask)),
            ..known
        };
        let yes = then(self, after, true);
        let no = then(self, after, false);
        let test = self.graph.test(test, value, yes, no);
        if known.accumulator == after.accumulator {
            return test;
        }
        let masked = if word.mask == u32::MAX {
            test
        } else {
            self.graph.add(Node::And(word.mask, test))
        };
        if known.accumulator == Some((word.offset, u32::MAX)) {
            return masked;
        }
        self.graph.load(word.offset, masked)
    }
}

/// A 32-bit word of the call's data, or some of its bits.
#[derive(Clone, Copy)]
struct Word {
    offset: u32,
    mask: u32,
}

fn words(value: u64) -> (u32, u32) {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves are meant")]
    ((value >> 32) as u32, value as u32)
}

/// Every machine with a table here is little-endian.
fn low_offset(argument: u8) -> u32 {
    ARGUMENTS + 8 * u32::from(argument)
}

fn high_offset(argument: u8) -> u32 {
    low_offset(argument) + 4
}
