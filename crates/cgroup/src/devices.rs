//! Which devices a container may touch: docker's default list, v1's lines, and v2's program.
//!
//! A rule gives or takes each of reading, writing and making nodes by itself, and later rules win. v1 keeps a list and is told each
//! change; v2 asks a program at every `open` and `mknod`, which walks the rules from the last to the first and keeps the
//! accesses that are still undecided in a register:
//!
//! ```text
//! rule matches the device ── allow ──▶ undecided &= !rule; none left: allowed
//!                         └─ deny ───▶ any of them undecided: refused
//! ```

use hull_spec::runtime::{DeviceAccess, DeviceRule, DeviceRuleKind};
use hull_sys::bpf::Instruction;

/// Docker's list: nothing, but making any node (it could not be opened), the six harmless devices and terminals.
pub fn default_rules() -> Vec<DeviceRule> {
    use DeviceRuleKind::{All, Block, Char};
    const RWM: DeviceAccess = DeviceAccess::ALL;
    const M: DeviceAccess = DeviceAccess::MKNOD;
    [
        (false, All, None, None, RWM),
        (true, Char, None, None, M),
        (true, Block, None, None, M),
        (true, Char, Some(1), Some(3), RWM), // null
        (true, Char, Some(1), Some(5), RWM), // zero
        (true, Char, Some(1), Some(7), RWM), // full
        (true, Char, Some(1), Some(8), RWM), // random
        (true, Char, Some(1), Some(9), RWM), // urandom
        (true, Char, Some(5), Some(0), RWM), // tty
        (true, Char, Some(5), Some(1), RWM), // console
        (true, Char, Some(5), Some(2), RWM), // ptmx
        (true, Char, Some(136), None, RWM),  // pts/*
    ]
    .into_iter()
    .map(|(allow, kind, major, minor, access)| DeviceRule {
        allow,
        kind,
        major,
        minor,
        access: Some(access),
    })
    .collect()
}

/// Says what to write to v1's `devices.allow` (true) or `devices.deny` for one rule.
pub(crate) fn v1_lines(rule: &DeviceRule) -> Vec<(bool, String)> {
    let access = rule.access.unwrap_or(DeviceAccess::ALL);
    let number =
        |number: Option<u32>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
    let line = |letter: char| {
        format!(
            "{letter} {}:{} {access}",
            number(rule.major),
            number(rule.minor)
        )
    };
    let lines = match rule.kind {
        DeviceRuleKind::Char => vec![line('c')],
        DeviceRuleKind::Block => vec![line('b')],
        // `a` empties the kernel's list whatever numbers and letters follow it.
        DeviceRuleKind::All if is_everything(rule) => vec!["a".to_owned()],
        DeviceRuleKind::All => vec![line('b'), line('c')],
    };
    lines.into_iter().map(|line| (rule.allow, line)).collect()
}

fn is_everything(rule: &DeviceRule) -> bool {
    rule.kind == DeviceRuleKind::All
        && rule.major.is_none()
        && rule.minor.is_none()
        && rule.access.is_none_or(|access| access == DeviceAccess::ALL)
}

// linux/bpf.h: classes, sizes, operations and sources that the program uses.
const LOAD_WORD: u8 = 0x61; // LDX | MEM | W: dst = *(u32 *)(src + offset)
const MOVE: u8 = 0xbf; // ALU64 | MOV | X
const MOVE_VALUE: u8 = 0xb7; // ALU64 | MOV | K
const AND_VALUE: u8 = 0x57; // ALU64 | AND | K
const SHIFT_RIGHT_VALUE: u8 = 0x77; // ALU64 | RSH | K
const JUMP: u8 = 0x05; // JMP | JA
const JUMP_NOT_EQUAL_VALUE: u8 = 0x55; // JMP | JNE | K
const JUMP_ANY_BIT_VALUE: u8 = 0x45; // JMP | JSET | K
const EXIT: u8 = 0x95;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const UNDECIDED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// Writes the eBPF program that enforces `rules`; what no rule decides is allowed, as in a v1 group below an open one.
pub fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let mut code = prologue();
    let mut open_ended = true;
    for rule in rules.iter().rev() {
        rule_code(rule, &mut code);
        if is_everything(rule) {
            // Earlier rules can decide nothing any more, and the verifier refuses code that is never reached.
            open_ended = false;
            break;
        }
    }
    if open_ended {
        answer(1, &mut code);
    }
    code
}

/// Takes `struct bpf_cgroup_dev_ctx { access_type, major, minor }` apart: kind in the low half, accesses above.
fn prologue() -> Vec<Instruction> {
    vec![
        instruction(LOAD_WORD, KIND, CONTEXT, 0, 0),
        instruction(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        instruction(LOAD_WORD, MINOR, CONTEXT, 8, 0),
        instruction(MOVE, UNDECIDED, KIND, 0, 0),
        instruction(AND_VALUE, KIND, 0, 0, 0xffff),
        instruction(SHIFT_RIGHT_VALUE, UNDECIDED, 0, 0, 16),
    ]
}

fn rule_code(rule: &DeviceRule, code: &mut Vec<Instruction>) {
    let access = access_bits(rule.access.unwrap_or(DeviceAccess::ALL));
    let body = match (rule.allow, is_everything(rule)) {
        (allow, true) => {
            return answer(i32::from(allow), code);
        }
        (true, false) => vec![
            instruction(AND_VALUE, UNDECIDED, 0, 0, 7 & !access),
            instruction(JUMP_NOT_EQUAL_VALUE, UNDECIDED, 0, 2, 0),
            instruction(MOVE_VALUE, RESULT, 0, 0, 1),
            instruction(EXIT, 0, 0, 0, 0),
        ],
        (false, false) => vec![
            instruction(JUMP_ANY_BIT_VALUE, UNDECIDED, 0, 1, access),
            // Nothing that was asked for is denied here: on to the earlier rule.
            instruction(JUMP, 0, 0, 2, 0),
            instruction(MOVE_VALUE, RESULT, 0, 0, 0),
            instruction(EXIT, 0, 0, 0, 0),
        ],
    };
    let mut tests = Vec::new();
    match rule.kind {
        DeviceRuleKind::All => {}
        DeviceRuleKind::Block => tests.push((KIND, 1)),
        DeviceRuleKind::Char => tests.push((KIND, 2)),
    }
    tests.extend(rule.major.map(|major| (MAJOR, major.cast_signed())));
    tests.extend(rule.minor.map(|minor| (MINOR, minor.cast_signed())));
    let count = tests.len();
    for (index, (register, value)) in tests.into_iter().enumerate() {
        let skip =
            i16::try_from(count - index - 1 + body.len()).expect("seven instructions at most");
        code.push(instruction(JUMP_NOT_EQUAL_VALUE, register, 0, skip, value));
    }
    code.extend(body);
}

fn answer(allowed: i32, code: &mut Vec<Instruction>) {
    code.push(instruction(MOVE_VALUE, RESULT, 0, 0, allowed));
    code.push(instruction(EXIT, 0, 0, 0, 0));
}

/// `BPF_DEVCG_ACC_*`.
fn access_bits(access: DeviceAccess) -> i32 {
    i32::from(access.mknod) | i32::from(access.read) << 1 | i32::from(access.write) << 2
}

fn instruction(code: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> Instruction {
    // The two registers share a byte, in the order of the machine's bit fields.
    let registers = if cfg!(target_endian = "little") {
        destination | source << 4
    } else {
        destination << 4 | source
    };
    Instruction {
        code,
        registers,
        offset,
        immediate,
    }
}

#[cfg(test)]
#[path = "devices_tests.rs"]
mod tests;
