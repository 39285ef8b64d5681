//! From rules by name to a verdict for each number of one ABI.

use std::collections::BTreeMap;

use super::abi::{Abi, Table, multiplexed};
use super::{Condition, Op, Policy, Refusal, Rule, result};

/// What happens to calls of one ABI.
#[derive(Debug)]
pub(crate) struct Verdicts {
    pub(crate) calls: BTreeMap<u32, Verdict>,
    /// For every other number up to the newest one named.
    pub(crate) default: u32,
    /// For the numbers after it.
    pub(crate) beyond: u32,
    pub(crate) newest: Option<u32>,
}

/// What happens to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fixed(u32),
    /// The result of the first alternative whose conditions all hold, else the default.
    Ask(Vec<(Vec<Condition>, u32)>),
}

/// More than this for one call is refused: each costs instructions, and the kernel takes 4,096.
const MAX_CONDITIONS: usize = 1000;

/// Decides every number of `abi` that the rules speak of.
pub(crate) fn verdicts(policy: &Policy, table: &Table, abi: Abi) -> Result<Verdicts, Refusal> {
    let mut calls = BTreeMap::new();
    let mut newest = None;
    for rule in &policy.rules {
        let number = table.number(abi, &rule.name);
        newest = newest.max(number);
        if rule.result == policy.default {
            continue;
        }
        if let Some(number) = number {
            for conditions in alternatives(rule, abi) {
                add(calls.entry(number), conditions, rule)?;
            }
        }
        if let Some((outer, conditions)) = through_another(rule, table, abi) {
            newest = newest.max(Some(outer));
            add(calls.entry(outer), conditions, rule)?;
        }
    }
    let refuses = policy.default & !0xffff == result::ERRNO;
    let beyond = if newest.is_some() && refuses {
        result::ERRNO | result::ENOSYS
    } else {
        policy.default
    };
    Ok(Verdicts {
        calls,
        default: policy.default,
        beyond,
        newest,
    })
}

type Entry<'a> = std::collections::btree_map::Entry<'a, u32, Verdict>;

fn add(entry: Entry<'_>, conditions: Vec<Condition>, rule: &Rule) -> Result<(), Refusal> {
    let verdict = entry.or_insert_with(|| Verdict::Ask(Vec::new()));
    let Verdict::Ask(rules) = verdict else {
        return Ok(());
    };
    if conditions.is_empty() {
        *verdict = Verdict::Fixed(rule.result);
        return Ok(());
    }
    rules.push((conditions, rule.result));
    let count: usize = rules.iter().map(|rule| rule.0.len()).sum();
    if count > MAX_CONDITIONS {
        let name = rule.name.clone();
        return Err(Refusal::TooManyConditions { name });
    }
    Ok(())
}

/// The sets of conditions under which `rule` applies: one, or where an argument comes twice, one for each comparison.
fn alternatives(rule: &Rule, abi: Abi) -> Vec<Vec<Condition>> {
    let mut seen = [false; 6];
    let repeats = rule.conditions.iter().any(|condition| {
        let seen = &mut seen[usize::from(condition.argument % 6)];
        std::mem::replace(seen, true)
    });
    let mut conditions: Vec<_> = rule
        .conditions
        .iter()
        .map(|&condition| narrowed(condition, abi))
        .collect();
    if repeats {
        return conditions
            .into_iter()
            .map(|condition| {
                if is_idle(&condition) {
                    vec![]
                } else {
                    vec![condition]
                }
            })
            .collect();
    }
    conditions.retain(|condition| !is_idle(condition));
    conditions.sort_by_key(|condition| condition.argument);
    vec![conditions]
}

/// Says whether the condition holds for every value.
fn is_idle(condition: &Condition) -> bool {
    condition.op == Op::MaskedEqual && condition.value == 0
}

/// What remains of a comparison where arguments have 32 bits.
fn narrowed(condition: Condition, abi: Abi) -> Condition {
    let low = 0xffff_ffff;
    match abi {
        Abi::I386 => Condition {
            value: condition.value & low,
            value_two: condition.value_two & low,
            ..condition
        },
        Abi::X86_64 | Abi::X32 | Abi::Aarch64 => condition,
    }
}

/// How `rule` looks to a program that makes its call through `socketcall` or `ipc`.
///
/// The inner call's arguments lie in memory, where a filter cannot look: a rule that asks for them counts as met where it
/// refuses, and as not met where it allows. (libseccomp takes it as met in both cases.)
fn through_another(rule: &Rule, table: &Table, abi: Abi) -> Option<(u32, Vec<Condition>)> {
    if abi != Abi::I386 || (rule.result == result::ALLOW && !rule.conditions.is_empty()) {
        return None;
    }
    let inner = multiplexed(&rule.name)?;
    let number = table.number(abi, inner.through)?;
    let which = Condition {
        argument: 0,
        op: Op::MaskedEqual,
        value: inner.mask & 0xffff_ffff,
        value_two: inner.code,
    };
    Some((number, vec![which]))
}
