//! The default profile held against what it promises, documents and docker's format against what they say.

use std::collections::BTreeSet;
use std::fs;

use super::compiler::{self, Abi, Table, X32_BIT, result};
use super::interpreter::{Call, run};
use super::*;
use hull_spec::runtime::{Seccomp, SeccompAction, SeccompArch, SeccompOp};
use hull_sys::seccomp::{SeccompFlags, SockFilter};
use hull_types::ErrorKind;

pub(super) const EPERM: u32 = result::ERRNO | 1;
pub(super) const ENOSYS: u32 = result::ERRNO | 38;
pub(super) const ALLOW: u32 = result::ALLOW;

fn raw(filter: &[SockFilter]) -> Vec<(u16, u8, u8, u32)> {
    filter
        .iter()
        .map(|one| (one.code, one.jt, one.jf, one.k))
        .collect()
}

fn verdict(filter: &[SockFilter], abi: Abi, number: u32, arguments: [u64; 6]) -> u32 {
    let call = Call {
        arch: abi.audit(),
        number,
        arguments,
    };
    run(&raw(filter), &call).0
}

pub(super) fn number(abi: Abi, name: &str) -> u32 {
    let number = Table::embedded()
        .number(abi, name)
        .unwrap_or_else(|| panic!("{name}"));
    if abi == Abi::X32 {
        number | X32_BIT
    } else {
        number
    }
}

fn arguments(first: u64) -> [u64; 6] {
    [first, 0, 0, 0, 0, 0]
}

// ---- the default profile ----------------------------------------------------------------------------------------------

/// Lists the names that no ABI known here has a call for.
fn unknown_names(profile: &Seccomp) -> Vec<&str> {
    let table = Table::embedded();
    let names = profile.syscalls.iter().flat_map(|rule| &rule.names);
    names
        .map(String::as_str)
        .filter(|name| !table.knows(name))
        .collect()
}

#[test]
fn default_is_what_the_default_profile_compiles_to() {
    let profile = default_profile(&DEFAULT_CAPABILITIES);
    assert_eq!(compile(&profile, Abi::native()).unwrap(), DEFAULT);
    assert!(matches!(
        default_filter(&DEFAULT_CAPABILITIES),
        Cow::Borrowed(_)
    ));
    // Capabilities that the profile does not ask about change nothing.
    assert!(matches!(
        default_filter(&["CAP_SYS_CHROOT", "CAP_NET_ADMIN"]),
        Cow::Borrowed(_)
    ));
    assert!(matches!(
        default_filter(&["CAP_SYS_CHROOT", "CAP_BPF"]),
        Cow::Owned(_)
    ));
    assert!(matches!(default_filter::<&str>(&[]), Cow::Owned(_)));
    assert!(DEFAULT.len() <= 150, "{} instructions", DEFAULT.len());
}

#[test]
fn the_default_profile_compiles_with_any_capabilities() {
    let names = compiler::conditional_capabilities();
    let alone = names.iter().map(|&name| vec![name]);
    let all_but = names
        .iter()
        .map(|&name| names.iter().copied().filter(|&one| one != name).collect());
    for bounding in alone.chain(all_but).chain([vec![], names.clone()]) {
        let profile = default_profile(&bounding);
        assert!(compile(&profile, Abi::native()).unwrap().len() < 200);
        assert_eq!(
            unknown_names(&profile),
            ["riscv_hwprobe"],
            "a slip of the pen in the profile"
        );
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_default_profile_keeps_its_promises() {
    let row = |name, first, verdict| (name, arguments(first), verdict);
    let rows = [
        row("read", 0, ALLOW),
        row("execve", 0, ALLOW),
        row("chroot", 0, ALLOW),
        row("ptrace", 0, ALLOW),
        row("mseal", 0, ALLOW),
        row("statmount", 0, ALLOW),
        row("mount", 0, EPERM),
        row("setns", 0, EPERM),
        row("unshare", 0, EPERM),
        row("bpf", 0, EPERM),
        row("keyctl", 0, EPERM),
        row("add_key", 0, EPERM),
        row("userfaultfd", 0, EPERM),
        row("io_uring_setup", 0, EPERM),
        row("kexec_load", 0, EPERM),
        row("init_module", 0, EPERM),
        row("open_by_handle_at", 0, EPERM),
        row("syslog", 0, EPERM),
        row("move_pages", 0, EPERM),
        row("clone3", 0, ENOSYS),
        row("clone", 0x11, ALLOW),
        row("clone", 0x3d0f00, ALLOW),
        row("clone", 0x1000_0000, EPERM),
        row("clone", 0x0002_0011, EPERM),
        row("clone", 0xffff_ffff_0000_0000, ALLOW),
        row("personality", 0, ALLOW),
        row("personality", 0x0002_0008, ALLOW),
        row("personality", 0xffff_ffff, ALLOW),
        row("personality", 0x0040_0000, EPERM),
        row("file_setattr", 0, ENOSYS),
    ];
    for abi in [Abi::X86_64, Abi::X32, Abi::I386] {
        for (name, arguments, meant) in rows {
            let number = number(abi, name);
            assert_eq!(
                verdict(DEFAULT, abi, number, arguments),
                meant,
                "{name} {abi:?}"
            );
        }
        for family in 0..64 {
            let meant = if matches!(family, 38 | 40 | 48..) {
                EPERM
            } else {
                ALLOW
            };
            let number = number(abi, "socket");
            // The kernel looks at 32 bits of the family, so the filter must not look at more.
            for disguise in [0, 1 << 32, 0xffff_ffff << 32] {
                let said = verdict(DEFAULT, abi, number, arguments(family | disguise));
                assert_eq!(said, meant, "family {family} {abi:?}");
            }
        }
        assert_eq!(verdict(DEFAULT, abi, 9999, [0; 6]), ENOSYS);
    }
    let foreign = verdict(DEFAULT, Abi::Aarch64, 0, [0; 6]);
    assert_eq!(foreign, result::KILL_PROCESS);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn capabilities_open_their_calls_and_only_those() {
    let rows = [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_ADMIN", "clone3"),
        ("CAP_SYS_ADMIN", "bpf"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_MODULE", "finit_module"),
        ("CAP_SYS_PACCT", "acct"),
        ("CAP_SYS_PTRACE", "kcmp"),
        ("CAP_SYS_RAWIO", "iopl"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_SYS_TTY_CONFIG", "vhangup"),
        ("CAP_SYS_NICE", "mbind"),
        ("CAP_SYSLOG", "syslog"),
    ];
    let none = default_filter::<&str>(&[]);
    for (capability, name) in rows {
        let with = default_filter(&[capability]);
        let number = number(Abi::X86_64, name);
        assert_eq!(verdict(&with, Abi::X86_64, number, [0; 6]), ALLOW, "{name}");
        assert_ne!(verdict(&none, Abi::X86_64, number, [0; 6]), ALLOW, "{name}");
    }
    let admin = default_filter(&["CAP_SYS_ADMIN"]);
    let clone = number(Abi::X86_64, "clone");
    assert_eq!(
        verdict(&admin, Abi::X86_64, clone, arguments(0x1000_0000)),
        ALLOW
    );
}

#[test]
fn the_kernels_allow_cache_can_follow_every_constant_verdict() {
    // The kernel follows loads of number and ABI, constant jumps and `and`: so an argument load must come last.
    let constant = |abi: Abi, number: u32| {
        let program = raw(DEFAULT);
        let [low, high] = [0, u64::MAX].map(|value| {
            let arguments = [value; 6];
            run(
                &program,
                &Call {
                    arch: abi.audit(),
                    number,
                    arguments,
                },
            )
        });
        low == high
    };
    let argued: Vec<_> = Table::embedded()
        .names()
        .filter(|name| {
            Table::embedded()
                .number(Abi::native(), name)
                .is_some_and(|number| !constant(Abi::native(), number))
        })
        .collect();
    assert_eq!(argued, ["clone", "personality", "socket"]);
}

// ---- documents --------------------------------------------------------------------------------------------------------

fn document(json: &str) -> Seccomp {
    serde_json::from_str(json).expect("the test's document is right")
}

#[test]
#[cfg(target_arch = "x86_64")]
fn documents_say_every_action() {
    let rows = [
        ("SCMP_ACT_KILL", result::KILL_THREAD),
        ("SCMP_ACT_KILL_THREAD", result::KILL_THREAD),
        ("SCMP_ACT_KILL_PROCESS", result::KILL_PROCESS),
        ("SCMP_ACT_TRAP", result::TRAP),
        ("SCMP_ACT_ERRNO", result::ERRNO | 7),
        ("SCMP_ACT_TRACE", result::TRACE | 7),
        ("SCMP_ACT_LOG", result::LOG),
        ("SCMP_ACT_NOTIFY", result::USER_NOTIF),
        ("SCMP_ACT_ALLOW", ALLOW),
    ];
    for (action, meant) in rows {
        let profile = document(&format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":99,
                "syscalls":[{{"names":["read","no_such_call"],"action":"{action}","errnoRet":7}}]}}"#
        ));
        let filter = compile(&profile, Abi::X86_64).unwrap();
        assert_eq!(verdict(&filter, Abi::X86_64, 0, [0; 6]), meant, "{action}");
        assert_eq!(unknown_names(&profile), ["no_such_call"]);
        assert_eq!(verdict(&filter, Abi::I386, 3, [0; 6]), result::KILL_PROCESS);
    }
}

#[test]
fn documents_that_mean_nothing_are_refused_by_name() {
    let compile_with = |rule: &str| {
        let json = format!(r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{rule}]}}"#);
        compile(&document(&json), Abi::X86_64)
    };
    let name = || "read".to_owned();
    assert_eq!(
        compile_with(r#"{"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":4096}"#),
        Err(SeccompError::ErrnoTooLarge {
            name: name(),
            errno: 4096
        })
    );
    let error = compile_with(
        r#"{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":6,"value":1,"op":"SCMP_CMP_EQ"}]}"#,
    );
    assert_eq!(
        error,
        Err(SeccompError::NoSuchArgument {
            name: name(),
            index: 6
        })
    );
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    for (field, value) in [("action", "SCMP_ACT_SHRUG"), ("op", "SCMP_CMP_ROUGHLY")] {
        let json = r#"{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}"#;
        let old = if field == "op" {
            "SCMP_CMP_EQ"
        } else {
            "SCMP_ACT_LOG"
        };
        let json = format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{}]}}"#,
            json.replace(old, value)
        );
        let error = serde_json::from_str::<Seccomp>(&json)
            .unwrap_err()
            .to_string();
        assert!(error.contains(value), "{error}");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn refusing_a_socket_call_refuses_it_inside_socketcall_too() {
    let filter = |rule: &str| {
        let json = format!(
            r#"{{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"syscalls":[{rule}]}}"#
        );
        compile(&document(&json), Abi::X86_64).unwrap()
    };
    let socketcall = number(Abi::I386, "socketcall");
    let ipc = number(Abi::I386, "ipc");
    let listen = filter(r#"{"names":["listen","semop"],"action":"SCMP_ACT_ERRNO"}"#);
    assert_eq!(
        verdict(&listen, Abi::I386, number(Abi::I386, "listen"), [0; 6]),
        EPERM
    );
    assert_eq!(verdict(&listen, Abi::I386, socketcall, arguments(4)), EPERM);
    assert_eq!(verdict(&listen, Abi::I386, socketcall, arguments(2)), ALLOW);
    assert_eq!(verdict(&listen, Abi::I386, ipc, arguments(0x1_0001)), EPERM);
    assert_eq!(verdict(&listen, Abi::I386, ipc, arguments(2)), ALLOW);
    // What cannot be checked is refused.
    let vsock = filter(
        r#"{"names":["socket"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":40,"op":"SCMP_CMP_EQ"}]}"#,
    );
    assert_eq!(verdict(&vsock, Abi::I386, socketcall, arguments(1)), EPERM);
}

#[test]
fn flags_follow_the_document() {
    let without = document(r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#);
    assert_eq!(flags(&without), SeccompFlags::SPEC_ALLOW);
    let with = document(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_LOG","SECCOMP_FILTER_FLAG_TSYNC"]}"#,
    );
    assert_eq!(flags(&with), SeccompFlags::LOG | SeccompFlags::TSYNC);
}

#[test]
fn the_default_profile_survives_being_written_and_read() {
    let profile = default_profile(&DEFAULT_CAPABILITIES);
    let json = serde_json::to_string(&profile).unwrap();
    assert_eq!(document(&json), profile);
}

// ---- docker's format --------------------------------------------------------------------------------------------------

pub(super) fn host(bounding: &[String]) -> Host<'_> {
    Host {
        native: Abi::X86_64,
        kernel: "6.18".parse().unwrap(),
        bounding,
    }
}

const DOCKERS: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "defaultErrno": "ENOSYS",
    "archMap": [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}],
    "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "", "includes": {}, "excludes": {}},
        {"name": "mount", "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]}},
        {"names": ["bpf"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "errno": "EPERM", "excludes": {"caps": ["CAP_BPF", "CAP_SYS_ADMIN"]}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["mseal"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "7.0"}},
        {"names": ["vmsplice"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "5.0"}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"names": ["cacheflush"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm", "arm64"]}},
        {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]},
         "args": [{"index": 0, "value": 2114060288, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]}
    ]}"#;

#[test]
fn dockers_conditions_are_held_against_the_host() {
    let names = |bounding: &[&str]| -> Vec<String> {
        let bounding: Vec<String> = bounding.iter().map(|&name| name.to_owned()).collect();
        let profile = parse_profile(DOCKERS.as_bytes(), &host(&bounding)).unwrap();
        assert_eq!(profile.default_errno_ret, Some(38));
        let archs = [SeccompArch::X86_64, SeccompArch::X86, SeccompArch::X32];
        assert_eq!(profile.architectures, archs);
        profile
            .syscalls
            .into_iter()
            .flat_map(|rule| rule.names)
            .collect()
    };
    assert_eq!(names(&[]), ["read", "bpf", "ptrace", "arch_prctl"]);
    assert_eq!(names(&["CAP_SYS_ADMIN"]), ["read", "ptrace", "arch_prctl"]);
    let both = names(&["CAP_SYS_ADMIN", "CAP_SYS_CHROOT"]);
    assert_eq!(both, ["read", "mount", "ptrace", "arch_prctl"]);
}

#[test]
fn slips_in_dockers_format_are_refused_by_name() {
    let rows = [
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","sycalls":[]}"#,
            "sycalls",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","arg":[]}]}"#,
            "arg",
        ),
        (r#"{"defaultAction":"SCMP_ACT_NOPE"}"#, "SCMP_ACT_NOPE"),
        (r#"{"syscalls":[]}"#, "defaultAction"),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_Z80"]}"#,
            "SCMP_ARCH_Z80",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],"archMap":[{"architecture":"SCMP_ARCH_X86"}]}"#,
            "archMap",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"read","names":["write"],"action":"SCMP_ACT_LOG"}]}"#,
            "read",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_LOG"}]}"#,
            "names no system call",
        ),
        (
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"read","action":"SCMP_ACT_LOG","includes":{"minKernel":"new"}}]}"#,
            "new",
        ),
        ("", "EOF"),
    ];
    for (json, hint) in rows {
        let error = parse_profile(json.as_bytes(), &host(&[])).unwrap_err();
        let source = std::error::Error::source(&error).map(ToString::to_string);
        let text = format!("{error}: {}", source.unwrap_or_default());
        assert!(text.contains(hint), "{text}");
    }
}

#[test]
fn kernel_versions_are_read_from_releases() {
    for (text, major, minor) in [
        ("4.8", 4, 8),
        ("6.18.44-fc", 6, 18),
        ("6.1.0-56-cloud-amd64", 6, 1),
        ("7.0-rc1", 7, 0),
    ] {
        assert_eq!(
            text.parse::<KernelVersion>().unwrap(),
            KernelVersion { major, minor }
        );
    }
    for text in ["", "6", "six.1", ".1", "6.", "6.x", "-6.1", "+6.1"] {
        assert!(text.parse::<KernelVersion>().is_err(), "{text}");
    }
    assert!("4.18".parse::<KernelVersion>().unwrap() > "4.8".parse().unwrap());
}

// ---- tables -----------------------------------------------------------------------------------------------------------

#[test]
fn the_table_agrees_with_the_kernel_headers_installed_here() {
    let table = Table::embedded();
    for (abi, file) in [(Abi::X86_64, "64"), (Abi::X32, "x32"), (Abi::I386, "32")] {
        let path = format!("/usr/include/x86_64-linux-gnu/asm/unistd_{file}.h");
        let Ok(text) = fs::read_to_string(&path) else {
            eprintln!("skipped: no kernel headers at {path}");
            continue;
        };
        let mut checked = 0;
        for line in text.lines() {
            let Some(definition) = line.strip_prefix("#define __NR_") else {
                continue;
            };
            let (name, number) = definition
                .split_once(' ')
                .expect("a definition has a value");
            let number = number
                .trim_start_matches("(__X32_SYSCALL_BIT + ")
                .trim_end_matches(')');
            assert_eq!(
                table.number(abi, name),
                number.parse().ok(),
                "{name} of {abi:?}"
            );
            checked += 1;
        }
        assert!(checked > 300, "{checked} names in {path}");
    }
}

#[test]
fn numbers_are_unique_in_each_abi() {
    let table = Table::embedded();
    for abi in [Abi::X86_64, Abi::X32, Abi::I386, Abi::Aarch64] {
        let numbers: Vec<_> = table
            .names()
            .filter_map(|name| table.number(abi, name))
            .collect();
        let distinct: BTreeSet<_> = numbers.iter().collect();
        assert_eq!(distinct.len(), numbers.len(), "{abi:?}");
        assert_eq!(
            numbers.iter().max(),
            Some(&if abi == Abi::X32 { 547 } else { 469 })
        );
    }
    // What lets one tree serve both: below 512, x32 has no number that means another call to x86-64.
    for name in table.names() {
        if let Some(number) = table.number(Abi::X32, name).filter(|&number| number < 512) {
            assert_eq!(table.number(Abi::X86_64, name), Some(number), "{name}");
        }
    }
}

#[test]
fn ops_and_actions_are_those_of_the_specification() {
    let profile = document(
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_NOTIFY",
            "args":[{"index":0,"value":15,"valueTwo":3,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#,
    );
    assert_eq!(profile.syscalls[0].action, SeccompAction::Notify);
    assert_eq!(profile.syscalls[0].args[0].op, SeccompOp::MaskedEqual);
    let filter = compile(&profile, Abi::X86_64).unwrap();
    assert_eq!(
        verdict(&filter, Abi::X86_64, 0, arguments(0xf3)),
        result::USER_NOTIF
    );
    assert_eq!(verdict(&filter, Abi::X86_64, 0, arguments(0xf4)), ALLOW);
}
