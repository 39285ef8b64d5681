//! From rules to classic BPF. Pure, and free of other crates: the build script runs it too, to make the default filter.
//!
//! ```text
//! Policy ── resolve ──▶ a verdict per number ── arguments ──▶ graph ◀── ranges ── … ── emit ──▶ Vec<Instruction>
//! names, per profile    per ABI                 conditions     shared nodes  search tree         jumps resolved
//! ```
//! A filter first asks for the ABI, then finds the number's range by a search tree, then looks at arguments where a rule
//! wants it. Only loads of the number and the ABI, jumps and `and` with a constant stand on the way to a verdict that does
//! not depend on arguments: the kernel (since 5.11) recognises such calls and stops running the filter for them.

mod abi;
mod arguments;
mod graph;
mod profile;
mod ranges;
mod resolve;

pub use abi::Abi;
pub(crate) use abi::{Table, X32_BIT, is_unimplemented};
pub(crate) use graph::Instruction;
pub use profile::DEFAULT_CAPABILITIES;
pub(crate) use profile::{conditional_capabilities, default_rules};
pub(crate) use resolve::{Verdict, Verdicts};

use graph::{Graph, Node, NodeId, Test};

/// What the kernel is told: `SECCOMP_RET_*` of <linux/seccomp.h>, the errno or trace word in the low 16 bits.
pub(crate) mod result {
    pub(crate) const KILL_PROCESS: u32 = 0x8000_0000;
    pub(crate) const KILL_THREAD: u32 = 0;
    pub(crate) const TRAP: u32 = 0x0003_0000;
    pub(crate) const ERRNO: u32 = 0x0005_0000;
    pub(crate) const USER_NOTIF: u32 = 0x7fc0_0000;
    pub(crate) const TRACE: u32 = 0x7ff0_0000;
    pub(crate) const LOG: u32 = 0x7ffc_0000;
    pub(crate) const ALLOW: u32 = 0x7fff_0000;
    /// The number of `EPERM`, what a refusal says when the profile does not say.
    pub(crate) const EPERM: u32 = 1;
    /// The number of `ENOSYS`.
    pub(crate) const ENOSYS: u32 = 38;
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// `argument & value == value_two & value`
    MaskedEqual,
}

/// A comparison of one argument of the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// Which argument: 0 to 5.
    pub(crate) argument: u8,
    pub(crate) op: Op,
    pub(crate) value: u64,
    /// The value under the mask, for [`Op::MaskedEqual`] only.
    pub(crate) value_two: u64,
}

/// One call's rule: `result` where every condition holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) result: u32,
    pub(crate) conditions: Vec<Condition>,
}

/// What a filter shall do.
///
/// Rules that overlap are settled as libseccomp settles them for runc and crun: a rule that says what `default` says is
/// dropped; of the rules of a call, the first without conditions decides alone, else the first in order whose conditions
/// all hold; a rule that compares the same argument twice is one rule for each comparison; on i386 a comparison sees 32
/// bits. (Where rules with *different* results overlap, libseccomp's order follows from its tree; no known profile does it.)
///
/// Where `default` is an errno, numbers newer than the newest call the rules name on that ABI get `ENOSYS`, as with runc:
/// a C library then falls back, where `EPERM` would make it fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) default: u32,
    /// ABIs whose programs may run; calls by any other kill the process.
    pub(crate) abis: Vec<Abi>,
    pub(crate) rules: Vec<Rule>,
}

/// Why a policy cannot become a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The kernel takes 4,096 instructions.
    TooLong { instructions: usize },
    /// One call has more comparisons than any sensible profile.
    TooManyConditions { name: String },
}

/// The kernel's limit, `BPF_MAXINSNS`.
const MAX_INSTRUCTIONS: usize = 4096;

/// Compiles `policy`.
pub(crate) fn compile(policy: &Policy) -> Result<Vec<Instruction>, Refusal> {
    let table = Table::embedded();
    let mut graph = Graph::default();
    // A program that switches its ABI, or a foreign binary, is either an attack or does not work anyway.
    let mut entry = graph.add(Node::Return(result::KILL_PROCESS));
    for abi in [Abi::Aarch64, Abi::I386, Abi::X86_64] {
        if policy.abis.contains(&abi) {
            let numbers = numbers(&mut graph, policy, &table, abi)?;
            let number = graph.load(NUMBER, numbers);
            entry = graph.test(Test::Equal, abi.audit(), number, entry);
        }
    }
    let start = graph.load(ARCH, entry);
    let program = graph.emit(start);
    if program.len() > MAX_INSTRUCTIONS {
        return Err(Refusal::TooLong {
            instructions: program.len(),
        });
    }
    Ok(program)
}

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENTS: u32 = 16;

/// Builds the search for a call's number, which the accumulator holds.
fn numbers(graph: &mut Graph, policy: &Policy, table: &Table, abi: Abi) -> Result<NodeId, Refusal> {
    let verdicts = resolve::verdicts(policy, table, abi)?;
    let native = tree(graph, &verdicts, abi, 0);
    if abi != Abi::X86_64 {
        return Ok(native);
    }
    // x32 says the same audit architecture and sets bit 30 of the number.
    let x32 = if policy.abis.contains(&Abi::X32) {
        x32_numbers(graph, policy, table, native)?
    } else {
        // -1 is what a tracer writes to skip a call, and no ABI's.
        let skipped = graph.add(Node::Return(verdicts.beyond));
        let foreign = graph.add(Node::Return(result::KILL_PROCESS));
        graph.test(Test::Equal, u32::MAX, skipped, foreign)
    };
    Ok(graph.test(Test::GreaterOrEqual, X32_BIT, x32, native))
}

/// Numbers from here on x32 does not share with x86-64.
const X32_OWN: u32 = 512;

/// Builds the search for x32: below 512 its numbers are x86-64's, so the same tree answers. (x86-64 numbers that x32 lacks
/// get x86-64's verdict there, and then `ENOSYS` from every kernel since 5.4.)
fn x32_numbers(
    graph: &mut Graph,
    policy: &Policy,
    table: &Table,
    native: NodeId,
) -> Result<NodeId, Refusal> {
    let verdicts = resolve::verdicts(policy, table, Abi::X32)?;
    let own = tree(graph, &verdicts, Abi::X32, X32_OWN);
    let either = graph.test(Test::GreaterOrEqual, X32_OWN, own, native);
    Ok(graph.add(Node::And(!X32_BIT, either)))
}

/// Builds the search among the numbers from `first` up.
fn tree(graph: &mut Graph, verdicts: &Verdicts, abi: Abi, first: u32) -> NodeId {
    let end = verdicts.newest.map_or(0, |newest| newest + 1).max(first);
    let mut segments: Vec<(u32, NodeId)> = Vec::new();
    for number in first..end {
        let last = segments.last().map(|segment| segment.1);
        let node = match verdicts.calls.get(&number) {
            Some(Verdict::Fixed(result)) => graph.add(Node::Return(*result)),
            Some(Verdict::Ask(rules)) => arguments::ask(graph, rules, verdicts.default, abi),
            // Whatever the filter says, the kernel says ENOSYS: say what makes the tree smaller.
            None if is_unimplemented(abi, number) && last.is_some() => continue,
            None => graph.add(Node::Return(verdicts.default)),
        };
        if last != Some(node) {
            segments.push((number, node));
        }
    }
    let beyond = graph.add(Node::Return(verdicts.beyond));
    if segments.last().is_none_or(|segment| segment.1 != beyond) {
        segments.push((end, beyond));
    }
    ranges::tree(graph, &segments)
}
