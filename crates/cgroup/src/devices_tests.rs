use proptest::prelude::*;

use super::*;

/// What the rules mean: each access by itself, later rules win, allowed when none speaks of it.
fn meant(
    rules: &[DeviceRule],
    kind: DeviceRuleKind,
    major: u32,
    minor: u32,
    wanted: DeviceAccess,
) -> bool {
    let allowed = |bit: fn(&DeviceAccess) -> bool| {
        let speaks = |rule: &&DeviceRule| {
            (rule.kind == DeviceRuleKind::All || rule.kind == kind)
                && rule.major.is_none_or(|number| number == major)
                && rule.minor.is_none_or(|number| number == minor)
                && bit(&rule.access.unwrap_or(DeviceAccess::ALL))
        };
        !bit(&wanted) || rules.iter().rfind(speaks).is_none_or(|rule| rule.allow)
    };
    allowed(|access| access.read)
        && allowed(|access| access.write)
        && allowed(|access| access.mknod)
}

/// Runs the program as the kernel would, and refuses what its verifier refuses: jumps backwards or outside, unset results.
fn run(
    code: &[Instruction],
    kind: DeviceRuleKind,
    major: u32,
    minor: u32,
    wanted: DeviceAccess,
) -> bool {
    let kind_number = match kind {
        DeviceRuleKind::Block => 1,
        _ => 2,
    };
    let context = [
        kind_number | access_bits(wanted).cast_unsigned() << 16,
        major,
        minor,
    ];
    let mut registers: [Option<u64>; 6] = [None; 6];
    let mut at = 0;
    loop {
        let Instruction {
            code: operation,
            registers: pair,
            offset,
            immediate,
        } = code[at];
        let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
        let value = i64::from(immediate).cast_unsigned();
        let mut jump = false;
        match operation {
            LOAD_WORD => {
                assert_eq!(from, usize::from(CONTEXT));
                registers[to] = Some(u64::from(context[usize::try_from(offset).unwrap() / 4]));
            }
            MOVE => registers[to] = registers[from],
            MOVE_VALUE => registers[to] = Some(value),
            AND_VALUE => registers[to] = Some(registers[to].unwrap() & value),
            SHIFT_RIGHT_VALUE => registers[to] = Some(registers[to].unwrap() >> value),
            JUMP => jump = true,
            JUMP_NOT_EQUAL_VALUE => jump = registers[to].unwrap() != value,
            JUMP_ANY_BIT_VALUE => jump = registers[to].unwrap() & value != 0,
            EXIT => return registers[0].unwrap() == 1,
            other => panic!("unknown operation {other:#x}"),
        }
        at += 1 + if jump {
            usize::try_from(offset).unwrap()
        } else {
            0
        };
    }
}

fn access() -> impl Strategy<Value = DeviceAccess> {
    (1u8..8).prop_map(|bits| DeviceAccess {
        read: bits & 1 != 0,
        write: bits & 2 != 0,
        mknod: bits & 4 != 0,
    })
}

fn kind() -> impl Strategy<Value = DeviceRuleKind> {
    prop_oneof![
        Just(DeviceRuleKind::All),
        Just(DeviceRuleKind::Char),
        Just(DeviceRuleKind::Block)
    ]
}

prop_compose! {
    fn rule()(
        allow: bool,
        kind in kind(),
        major in proptest::option::of(0u32..3),
        minor in proptest::option::of(0u32..3),
        access in proptest::option::of(access()),
    ) -> DeviceRule {
        DeviceRule { allow, kind, major, minor, access }
    }
}

proptest! {
    #[test]
    fn the_program_does_what_the_rules_mean(
        rules in proptest::collection::vec(rule(), 0..8),
        block: bool, major in 0u32..4, minor in 0u32..4, wanted in access(),
    ) {
        let kind = if block { DeviceRuleKind::Block } else { DeviceRuleKind::Char };
        let code = program(&rules);
        prop_assert_eq!(run(&code, kind, major, minor, wanted), meant(&rules, kind, major, minor, wanted));
        prop_assert!(code.len() < 4096, "the limit for callers without privilege");
    }
}

#[test]
fn the_default_list_is_dockers() {
    let code = program(&default_rules());
    let char = |major, minor, text: &str| {
        run(
            &code,
            DeviceRuleKind::Char,
            major,
            minor,
            text.parse().unwrap(),
        )
    };
    for (major, minor) in [
        (1, 3),
        (1, 5),
        (1, 7),
        (1, 8),
        (1, 9),
        (5, 0),
        (5, 1),
        (5, 2),
        (136, 0),
        (136, 99),
    ] {
        assert!(char(major, minor, "rwm"), "{major}:{minor}");
    }
    for (major, minor) in [
        (1, 1),
        (1, 2),
        (1, 4),
        (1, 11),
        (4, 0),
        (10, 229),
        (10, 200),
    ] {
        assert!(
            char(major, minor, "m") && !char(major, minor, "r") && !char(major, minor, "w"),
            "{major}:{minor}"
        );
    }
    let block = |text: &str| run(&code, DeviceRuleKind::Block, 8, 0, text.parse().unwrap());
    assert!(block("m") && !block("r") && !block("rw"));
}

#[test]
fn a_later_rule_wins_for_its_accesses_only() {
    let rule = |allow, access: &str| DeviceRule {
        allow,
        access: Some(access.parse().unwrap()),
        ..DeviceRule::default()
    };
    let code = program(&[rule(false, "rwm"), rule(true, "r"), rule(true, "w")]);
    let char = |text: &str| run(&code, DeviceRuleKind::Char, 9, 9, text.parse().unwrap());
    assert!(char("r") && char("w") && char("rw") && !char("m") && !char("rm"));
}

#[test]
fn a_rule_for_all_is_told_to_v1_in_the_kernels_way() {
    let rule = DeviceRule {
        allow: true,
        ..DeviceRule::default()
    };
    assert_eq!(v1_lines(&rule), [(true, "a".to_owned())]);
    let partly = DeviceRule {
        access: Some("rw".parse().unwrap()),
        ..rule
    };
    assert_eq!(
        v1_lines(&partly),
        [(true, "b *:* rw".to_owned()), (true, "c *:* rw".to_owned())]
    );
}
