//! The default profile: reads `default.profile`, whose first lines say what it allows and how it is written.

use super::{Condition, Op, Rule, result};

/// What a container may do when nobody says otherwise: docker's set.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

const TEXT: &str = include_str!("../default.profile");

/// When a section of the profile applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    With(&'static str),
    Without(&'static str),
}

/// Returns the default profile's rules for a container with these bounding capabilities, in groups that share result and
/// conditions, as they are written.
pub(crate) fn default_rules(has: impl Fn(&str) -> bool) -> Vec<Vec<Rule>> {
    let mut when = When::Always;
    let mut groups = Vec::new();
    for line in statements() {
        if let Some(section) = section(&line) {
            when = section;
            continue;
        }
        let applies = match when {
            When::Always => true,
            When::With(capability) => has(capability),
            When::Without(capability) => !has(capability),
        };
        if applies {
            groups.push(rules(&line));
        }
    }
    groups
}

/// Lists the capabilities that make a difference to the profile, each once.
pub(crate) fn conditional_capabilities() -> Vec<&'static str> {
    let mut names: Vec<_> = statements()
        .filter_map(|line| match section(&line)? {
            When::With(name) | When::Without(name) => Some(name),
            When::Always => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A section's head or a rule, with its continuation lines.
type Statement = Vec<&'static str>;

fn statements() -> impl Iterator<Item = Statement> {
    let mut lines = TEXT
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .peekable();
    std::iter::from_fn(move || {
        let mut words: Statement = lines.next()?.split_whitespace().collect();
        while let Some(more) = lines.next_if(|line| line.starts_with(' ')) {
            words.extend(more.split_whitespace());
        }
        Some(words)
    })
}

fn section(statement: &Statement) -> Option<When> {
    match statement.as_slice() {
        ["[always]"] => Some(When::Always),
        ["[with", capability] => Some(When::With(capability.strip_suffix(']')?)),
        ["[without", capability] => Some(When::Without(capability.strip_suffix(']')?)),
        _ => None,
    }
}

fn rules(statement: &Statement) -> Vec<Rule> {
    let (words, condition) = match statement.iter().position(|word| *word == "if") {
        Some(at) => (&statement[..at], Some(condition(&statement[at + 1..]))),
        None => (statement.as_slice(), None),
    };
    let (result, names) = match words {
        ["allow", names @ ..] => (result::ALLOW, names),
        ["errno", number, names @ ..] => (result::ERRNO | small(number), names),
        _ => unreadable(words),
    };
    let rule = |name: &&str| Rule {
        name: (*name).to_owned(),
        result,
        conditions: condition.into_iter().collect(),
    };
    names.iter().map(rule).collect()
}

fn condition(words: &[&str]) -> Condition {
    let (argument, op, value, value_two) = match words {
        [argument, "&", mask, "==", value] => {
            (argument, Op::MaskedEqual, number(mask), number(value))
        }
        [argument, op, value] => (argument, operator(op), number(value), 0),
        _ => unreadable(words),
    };
    let argument = match argument.strip_prefix("arg").map(str::as_bytes) {
        Some([digit @ b'0'..=b'5']) => digit - b'0',
        _ => unreadable(words),
    };
    Condition {
        argument,
        op,
        value,
        value_two,
    }
}

fn operator(text: &str) -> Op {
    match text {
        "==" => Op::Equal,
        "!=" => Op::NotEqual,
        "<" => Op::Less,
        "<=" => Op::LessOrEqual,
        ">" => Op::Greater,
        ">=" => Op::GreaterOrEqual,
        _ => unreadable(&[text]),
    }
}

fn number(text: &str) -> u64 {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.unwrap_or_else(|_| unreadable(&[text]))
}

fn small(text: &str) -> u32 {
    u32::from(u16::try_from(number(text)).unwrap_or_else(|_| unreadable(&[text])))
}

/// The profile is part of the program, and the build reads it too: a slip in it stops the build.
fn unreadable(words: &[&str]) -> ! {
    panic!("default.profile: cannot read `{}`", words.join(" "))
}
