//! The compiler held against a plain reading of the rules, with random policies and calls.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::compiler::{
    self, Abi, Condition, Op, Policy, Rule, Table, X32_BIT, is_unimplemented, result,
};
use super::interpreter::{Call, Raw, run};
use super::parse_profile;
use super::tests::{ALLOW, ENOSYS, EPERM, host, number};

fn raw(program: &[compiler::Instruction]) -> Vec<Raw> {
    program
        .iter()
        .map(|one| (one.code, one.jt, one.jf, one.k))
        .collect()
}

/// A policy and the numbers of its rules' calls.
struct Plain<'a> {
    policy: &'a Policy,
    numbers: Vec<[Option<u32>; 4]>,
}

const ABIS: [Abi; 4] = [Abi::X86_64, Abi::X32, Abi::I386, Abi::Aarch64];

impl<'a> Plain<'a> {
    fn new(policy: &'a Policy, table: &Table) -> Self {
        let numbers = |rule: &Rule| ABIS.map(|abi| table.number(abi, &rule.name));
        Self {
            policy,
            numbers: policy.rules.iter().map(numbers).collect(),
        }
    }
}

/// What a policy says to a call, or nothing where it may say anything.
fn expected(plain: &Plain<'_>, call: &Call) -> Option<u32> {
    let policy = plain.policy;
    let abi = *policy.abis.iter().find(|abi| abi.audit() == call.arch)?;
    let mut number = call.number;
    let mut abi = abi;
    if abi == Abi::X86_64 && number >= X32_BIT {
        if !policy.abis.contains(&Abi::X32) && number != u32::MAX {
            return Some(result::KILL_PROCESS);
        }
        if policy.abis.contains(&Abi::X32) {
            number &= !X32_BIT;
            abi = if number < 512 { Abi::X86_64 } else { Abi::X32 };
        }
    }
    let mut alternatives = Vec::new();
    let mut newest = None;
    let column = ABIS.iter().position(|&one| one == abi)?;
    for (rule, numbers) in policy.rules.iter().zip(&plain.numbers) {
        let own = numbers[column];
        newest = newest.max(own);
        if rule.result != policy.default && own == Some(number) {
            alternatives.extend(split(rule));
        }
    }
    let holds = |conditions: &[Condition]| conditions.iter().all(|one| is_met(one, call, abi));
    let unconditional = alternatives
        .iter()
        .find(|one| one.0.iter().all(|one| is_idle(one, abi)));
    let chosen = unconditional.or_else(|| alternatives.iter().find(|one| holds(&one.0)));
    if let Some(chosen) = chosen {
        return Some(chosen.1);
    }
    if alternatives.is_empty() && is_unimplemented(abi, number) {
        return None;
    }
    let refuses = policy.default & !0xffff == result::ERRNO;
    let is_newer = newest.is_some_and(|newest| number > newest);
    Some(if refuses && is_newer {
        ENOSYS
    } else {
        policy.default
    })
}

fn split(rule: &Rule) -> Vec<(Vec<Condition>, u32)> {
    let distinct: BTreeSet<_> = rule.conditions.iter().map(|one| one.argument).collect();
    if distinct.len() == rule.conditions.len() {
        return vec![(rule.conditions.clone(), rule.result)];
    }
    rule.conditions
        .iter()
        .map(|one| (vec![*one], rule.result))
        .collect()
}

fn is_idle(condition: &Condition, abi: Abi) -> bool {
    condition.op == Op::MaskedEqual && cut(condition.value, abi) == 0
}

fn cut(value: u64, abi: Abi) -> u64 {
    if abi == Abi::I386 {
        value & 0xffff_ffff
    } else {
        value
    }
}

fn is_met(condition: &Condition, call: &Call, abi: Abi) -> bool {
    let argument = cut(call.arguments[usize::from(condition.argument)], abi);
    let (value, value_two) = (cut(condition.value, abi), cut(condition.value_two, abi));
    match condition.op {
        Op::NotEqual => argument != value,
        Op::Less => argument < value,
        Op::LessOrEqual => argument <= value,
        Op::Equal => argument == value,
        Op::GreaterOrEqual => argument >= value,
        Op::Greater => argument > value,
        Op::MaskedEqual => argument & value == value_two & value,
    }
}

/// Values where comparisons of two 32-bit halves go wrong, if they do.
const EDGES: [u64; 12] = [
    0,
    1,
    2,
    0x7fff_ffff,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x2_0000_0002,
    0xffff_ffff_0000_0000,
    0xffff_ffff_ffff_fffe,
    u64::MAX,
];

fn any_value() -> impl Strategy<Value = u64> {
    prop_oneof![prop::sample::select(EDGES.to_vec()), any::<u64>()]
}

fn any_condition() -> impl Strategy<Value = Condition> {
    let op = prop::sample::select(vec![
        Op::NotEqual,
        Op::Less,
        Op::LessOrEqual,
        Op::Equal,
        Op::GreaterOrEqual,
        Op::Greater,
        Op::MaskedEqual,
    ]);
    (0..3_u8, op, any_value(), any_value()).prop_map(|(argument, op, value, value_two)| Condition {
        argument,
        op,
        value,
        value_two,
    })
}

fn any_result() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![
        ALLOW,
        EPERM,
        ENOSYS,
        result::LOG,
        result::TRAP,
        result::TRACE | 7,
        result::KILL_PROCESS,
        result::KILL_THREAD,
        result::USER_NOTIF,
    ])
}

/// Few names, so that rules meet; among them the first, the last and those that differ between ABIs.
fn any_name() -> impl Strategy<Value = String> {
    let few = prop::sample::select(vec!["read", "write", "clone", "ioctl", "readv", "mseal"]);
    let all: Vec<_> = Table::embedded().names().collect();
    prop_oneof![few, prop::sample::select(all)].prop_map(str::to_owned)
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let conditions = prop::collection::vec(any_condition(), 0..4);
    (any_name(), any_result(), conditions).prop_map(|(name, result, conditions)| Rule {
        name,
        result,
        conditions,
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let abis = prop::sample::select(vec![
        vec![Abi::X86_64],
        vec![Abi::X86_64, Abi::X32],
        vec![Abi::X86_64, Abi::I386],
        vec![Abi::X86_64, Abi::I386, Abi::X32],
        vec![Abi::Aarch64],
    ]);
    let rules = prop::collection::vec(any_rule(), 0..24);
    (any_result(), abis, rules).prop_map(|(default, abis, rules)| Policy {
        default,
        abis,
        rules,
    })
}

/// Each number alone, and those whose rules have conditions with values around the ones compared.
fn interesting_calls(policy: &Policy, table: &Table) -> Vec<Call> {
    let mut calls = Vec::new();
    for abi in [Abi::X86_64, Abi::X32, Abi::I386, Abi::Aarch64] {
        let arch = abi.audit();
        let bit = if abi == Abi::X32 { X32_BIT } else { 0 };
        let plain = (0..620).chain([4096, 0x3fff_ffff, 0x7fff_ffff, 0x8000_0000, u32::MAX]);
        calls.extend(plain.map(|number| Call {
            arch,
            number: number | bit,
            arguments: [0; 6],
        }));
        let asking = policy
            .rules
            .iter()
            .filter(|rule| !rule.conditions.is_empty());
        for rule in asking {
            let Some(number) = table.number(abi, &rule.name) else {
                continue;
            };
            let compared = rule
                .conditions
                .iter()
                .flat_map(|one| [one.value, one.value_two]);
            let around =
                compared.flat_map(|value| [value.wrapping_sub(1), value, value.wrapping_add(1)]);
            let values: BTreeSet<u64> = around.chain(EDGES).collect();
            for &first in &values {
                for second in [first, !first, 1, rule.conditions[0].value] {
                    calls.push(Call {
                        arch,
                        number: number | bit,
                        arguments: [first, second, second.rotate_left(32), 0, 0, 0],
                    });
                }
            }
        }
    }
    calls
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn filters_say_what_their_rules_say(policy in any_policy()) {
        let table = Table::embedded();
        let plain = Plain::new(&policy, &table);
        let multiplexes = [number(Abi::I386, "socketcall"), number(Abi::I386, "ipc")];
        let program = compiler::compile(&policy).expect("small policies fit");
        let program = raw(&program);
        for call in interesting_calls(&policy, &table) {
            if call.arch == Abi::I386.audit() && multiplexes.contains(&call.number) {
                continue;
            }
            let said = run(&program, &call).0;
            if !policy.abis.iter().any(|abi| abi.audit() == call.arch) {
                prop_assert_eq!(said, result::KILL_PROCESS);
            } else if let Some(meant) = expected(&plain, &call) {
                prop_assert_eq!(said, meant, "{:x?} in {:?}", call, program);
            }
        }
    }

    #[test]
    fn any_bytes_are_a_profile_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(parse_profile(&bytes, &host(&[])));
    }
}

#[test]
fn alternating_verdicts_over_all_numbers_make_a_filter_the_kernel_takes() {
    let table = Table::embedded();
    let names: Vec<_> = table.names().collect();
    let rules = names.iter().enumerate().map(|(index, name)| Rule {
        name: (*name).to_owned(),
        result: result::ERRNO | (1 + u32::try_from(index % 100).unwrap()),
        conditions: Vec::new(),
    });
    let policy = Policy {
        default: ALLOW,
        abis: vec![Abi::X86_64, Abi::X32, Abi::I386],
        rules: rules.collect(),
    };
    let program = compiler::compile(&policy).unwrap();
    let program = raw(&program);
    assert!(program.len() < 4096);
    let plain = Plain::new(&policy, &table);
    for call in interesting_calls(&policy, &table) {
        if let Some(meant) = expected(&plain, &call) {
            let (said, steps) = run(&program, &call);
            assert_eq!(said, meant, "{call:x?}");
            assert!(steps < 40, "{steps} steps for {call:x?}");
        }
    }
}

#[test]
fn a_profile_beyond_the_kernels_limit_is_refused() {
    let compile = |names: &[(&str, u8)], count: u64| {
        let rules = names.iter().flat_map(|&(name, argument)| {
            (0..count).map(move |value| Rule {
                name: name.to_owned(),
                result: ALLOW,
                conditions: vec![Condition {
                    argument,
                    op: Op::Equal,
                    value: value * 0x1_0000_0002,
                    value_two: 0,
                }],
            })
        });
        let policy = Policy {
            default: EPERM,
            abis: vec![Abi::X86_64],
            rules: rules.collect(),
        };
        compiler::compile(&policy).map(|program| program.len())
    };
    let name = "read".to_owned();
    let refusal = compiler::Refusal::TooManyConditions { name };
    assert_eq!(compile(&[("read", 1)], 1001), Err(refusal));
    let alone = compile(&[("read", 1)], 800).unwrap();
    let together = compile(&[("read", 1), ("write", 1), ("open", 1)], 800).unwrap();
    assert!(
        together < alone + 10,
        "equal questions are asked by the same code"
    );
    let apart = compile(&[("read", 1), ("write", 2), ("open", 3)], 800);
    assert!(
        matches!(apart, Err(compiler::Refusal::TooLong { .. })),
        "{apart:?}"
    );
}
