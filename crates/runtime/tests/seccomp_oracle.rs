//! libseccomp as the oracle: the same profile, compiled by it and by Hull, must give every call the same verdict.
//!
//! The library is reached through a C program that gcc builds when the test runs; Hull itself does not link it. Where Hull
//! means to differ (`Policy`'s documentation), the comparison says so.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "what goes wrong here fails the test"
)]

#[path = "../src/seccomp/interpreter.rs"]
mod interpreter;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hull_runtime::seccomp::{
    Abi, DEFAULT, DEFAULT_CAPABILITIES, Host, compile, default_profile, parse_profile,
};
use hull_spec::runtime::{Seccomp, SeccompAction, SeccompArch, SeccompOp};
use hull_sys::seccomp::{SeccompFlags, SockFilter, load};
use interpreter::{Call, Raw, run};

const ORACLE: &str = r#"
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lines in: `default ACTION`, `arch NAME`, `rule ACTION NAME [INDEX OP VALUE VALUE2]...`. A filter out. */
int main(void) {
    static char line[65536];
    scmp_filter_ctx context = NULL;
    while (fgets(line, sizeof line, stdin)) {
        char *word = strtok(line, " \n");
        if (!strcmp(word, "default")) {
            context = seccomp_init(strtoul(strtok(NULL, " \n"), NULL, 0));
            seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
        } else if (!strcmp(word, "arch")) {
            int failed = seccomp_arch_add(context, seccomp_arch_resolve_name(strtok(NULL, " \n")));
            if (failed && failed != -EEXIST) return 2;
        } else {
            unsigned action = strtoul(strtok(NULL, " \n"), NULL, 0);
            int call = seccomp_syscall_resolve_name(strtok(NULL, " \n"));
            struct scmp_arg_cmp conditions[6];
            unsigned count = 0;
            if (call == __NR_SCMP_ERROR) continue;
            for (char *index; (index = strtok(NULL, " \n")); count++) {
                conditions[count].arg = strtoul(index, NULL, 0);
                conditions[count].op = strtoul(strtok(NULL, " \n"), NULL, 0);
                conditions[count].datum_a = strtoull(strtok(NULL, " \n"), NULL, 0);
                conditions[count].datum_b = strtoull(strtok(NULL, " \n"), NULL, 0);
            }
            if (seccomp_rule_add_array(context, action, call, count, conditions)) return 3;
        }
    }
    return seccomp_export_bpf(context, 1) ? 4 : 0;
}
"#;

/// Builds the oracle, or says what is missing.
fn oracle(directory: &Path) -> Option<PathBuf> {
    let source = directory.join("oracle.c");
    let program = directory.join("oracle");
    std::fs::File::create(&source)
        .unwrap()
        .write_all(ORACLE.as_bytes())
        .unwrap();
    let gcc = Command::new("gcc")
        .arg("-o")
        .arg(&program)
        .arg(&source)
        .arg("-lseccomp")
        .output();
    match gcc {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            eprintln!("skipped: gcc cannot link libseccomp (Debian: libseccomp-dev): {said}");
            None
        }
        Err(error) => {
            eprintln!("skipped: no gcc: {error}");
            None
        }
    }
}

/// libseccomp's numbers for actions are not all the kernel's.
fn action(action: SeccompAction, errno: Option<u32>) -> u32 {
    let errno = errno.unwrap_or(1);
    match action {
        SeccompAction::Kill | SeccompAction::KillThread => 0,
        SeccompAction::KillProcess => 0x8000_0000,
        SeccompAction::Trap => 0x0003_0000,
        SeccompAction::Errno => 0x0005_0000 | errno,
        SeccompAction::Trace => 0x7ff0_0000 | errno,
        SeccompAction::Allow => 0x7fff_0000,
        SeccompAction::Log => 0x7ffc_0000,
        SeccompAction::Notify => 0x7fc0_0000,
    }
}

/// Writes `profile` for the oracle as runc and crun hand it to libseccomp.
fn script(profile: &Seccomp) -> String {
    let default = action(profile.default_action, profile.default_errno_ret);
    let mut text = format!("default {default}\n");
    for arch in &profile.architectures {
        let name = match arch {
            SeccompArch::X86 => "x86",
            SeccompArch::X86_64 => "x86_64",
            SeccompArch::X32 => "x32",
            other => panic!("no oracle for {other:?}"),
        };
        writeln!(text, "arch {name}").unwrap();
    }
    for rule in &profile.syscalls {
        let action = action(rule.action, rule.errno_ret);
        if action == default {
            continue;
        }
        let mut indexes: Vec<_> = rule.args.iter().map(|arg| arg.index).collect();
        indexes.sort_unstable();
        indexes.dedup();
        // A rule that compares an argument twice is handed over as one rule for each comparison.
        let at_a_time = if indexes.len() == rule.args.len() {
            6
        } else {
            1
        };
        let mut groups: Vec<_> = rule.args.chunks(at_a_time).collect();
        if groups.is_empty() {
            groups.push(&[]);
        }
        for (name, args) in rule
            .names
            .iter()
            .flat_map(|name| groups.iter().map(move |args| (name, *args)))
        {
            write!(text, "rule {action} {name}").unwrap();
            for arg in args {
                let op = match arg.op {
                    SeccompOp::NotEqual => 1,
                    SeccompOp::Less => 2,
                    SeccompOp::LessOrEqual => 3,
                    SeccompOp::Equal => 4,
                    SeccompOp::GreaterOrEqual => 5,
                    SeccompOp::Greater => 6,
                    SeccompOp::MaskedEqual => 7,
                };
                write!(text, " {} {op} {} {}", arg.index, arg.value, arg.value_two).unwrap();
            }
            text.push('\n');
        }
    }
    text
}

fn ask(program: &Path, profile: &Seccomp) -> Vec<Raw> {
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(script(profile).as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "the oracle refuses the profile: {}",
        output.status
    );
    let instruction = |bytes: &[u8]| {
        let code = u16::from_ne_bytes([bytes[0], bytes[1]]);
        let k = u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
        (code, bytes[2], bytes[3], k)
    };
    output.stdout.chunks_exact(8).map(instruction).collect()
}

fn hulls(profile: &Seccomp) -> Vec<Raw> {
    let filter = compile(profile, Abi::X86_64).unwrap();
    filter
        .iter()
        .map(|one| (one.code, one.jt, one.jf, one.k))
        .collect()
}

const X86_64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const AARCH64: u32 = 0xc000_00b7;
const X32_BIT: u32 = 0x4000_0000;

/// The numbers of one ABI, and where its own calls have their own arguments.
#[derive(Clone, Copy, Debug)]
struct Numbers {
    arch: u32,
    bit: u32,
    /// Registers have 32 bits.
    narrow: bool,
}

const ABIS: [Numbers; 3] = [
    Numbers {
        arch: X86_64,
        bit: 0,
        narrow: false,
    },
    Numbers {
        arch: X86_64,
        bit: X32_BIT,
        narrow: true,
    },
    Numbers {
        arch: I386,
        bit: 0,
        narrow: true,
    },
];

/// Libseccomp 2.5.4 knows the calls of Linux 5.17 and no later ones.
const NEWEST_OF_ORACLE: u32 = 449;

/// x86-64's numbers that x32 has not: the kernel answers ENOSYS there, so Hull shares a tree between the two.
fn lacks_in_x32(number: u32) -> bool {
    let number = number.to_string();
    let mut rows = include_str!("../src/seccomp/syscalls.tsv")
        .lines()
        .map(|line| line.split('\t').collect::<Vec<_>>());
    rows.any(|row| row.len() == 5 && row[1] == number && row[2] != number)
}

/// uretprobe and uprobe of x86-64, numbered out of order.
const UNKNOWN_TO_ORACLE: [u32; 2] = [335, 336];

/// Calls that no kernel since 5.10 has: Hull gives them their neighbour's verdict. And those the oracle does not know.
fn is_apart(abi: Numbers, number: u32) -> bool {
    let x86_64 = [
        156, 174, 177, 178, 180, 181, 182, 183, 184, 185, 214, 215, 236,
    ];
    let i386 = [
        17, 31, 32, 35, 44, 53, 56, 58, 98, 112, 127, 130, 137, 149, 167, 169, 188, 189, 273,
    ];
    match abi.arch {
        I386 => i386.contains(&number),
        _ => {
            UNKNOWN_TO_ORACLE.contains(&number)
                || x86_64.contains(&number)
                || abi.bit != 0 && lacks_in_x32(number)
        }
    }
}

/// Compares the verdicts of every number with every interesting argument; `named_after` are calls of later kernels that
/// the profile names.
fn compare(name: &str, profile: &Seccomp, oracle: &[Raw], hull: &[Raw]) {
    let default = action(profile.default_action, profile.default_errno_ret);
    let refuses = default & !0xffff == 0x0005_0000;
    let mut values = vec![
        0,
        1,
        0x11,
        0x1_0000_0000,
        0xffff_ffff,
        0x1000_0000,
        u64::MAX,
    ];
    for arg in profile.syscalls.iter().flat_map(|rule| &rule.args) {
        for value in [arg.value, arg.value_two] {
            values.extend([
                value.wrapping_sub(1),
                value,
                value.wrapping_add(1),
                value ^ 1 << 32,
            ]);
        }
    }
    values.sort_unstable();
    values.dedup();
    let (mut compared, mut differing) = (0_usize, Vec::new());
    for abi in ABIS {
        let listed = match (abi.arch, abi.bit) {
            (I386, _) => profile.architectures.contains(&SeccompArch::X86),
            (_, 0) => true,
            _ => profile.architectures.contains(&SeccompArch::X32),
        };
        let numbers = (0..=NEWEST_OF_ORACLE).chain(500..560);
        for number in numbers.filter(|&number| !is_apart(abi, number)) {
            for first in values
                .iter()
                .filter(|&&value| !abi.narrow || value >> 32 == 0)
            {
                for second in [*first, 0, 40] {
                    let call = Call {
                        arch: abi.arch,
                        number: number | abi.bit,
                        arguments: [*first, second, 9, *first, 0, 0],
                    };
                    let (theirs, ours) = (run(oracle, &call).0, run(hull, &call).0);
                    compared += 1;
                    // As runc does, Hull says ENOSYS to what is newer than anything the profile names.
                    let newer = refuses && listed && theirs == default && ours == 0x0005_0026;
                    if theirs != ours && !newer {
                        differing.push((call, theirs, ours));
                    }
                }
            }
        }
    }
    let foreign = Call {
        arch: AARCH64,
        number: 0,
        arguments: [0; 6],
    };
    assert_eq!(run(oracle, &foreign).0, run(hull, &foreign).0);
    eprintln!(
        "{name}: {compared} verdicts agree; libseccomp {} instructions, Hull {}",
        oracle.len(),
        hull.len()
    );
    assert!(
        differing.is_empty(),
        "{name}: {} differ, first {:x?}",
        differing.len(),
        &differing[..differing.len().min(5)]
    );
}

fn document(json: &str) -> Seccomp {
    serde_json::from_str(json).unwrap()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn hull_and_libseccomp_give_the_same_verdicts() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = oracle(directory.path()) else {
        return;
    };
    let bare: [&str; 0] = [];
    let all = [
        "CAP_SYS_ADMIN",
        "CAP_BPF",
        "CAP_SYS_NICE",
        "CAP_SYS_TIME",
        "CAP_SYS_PTRACE",
        "CAP_SYS_MODULE",
    ];
    let mut profiles = vec![
        ("default", default_profile(&DEFAULT_CAPABILITIES)),
        ("default without capabilities", default_profile(&bare)),
        ("default with capabilities", default_profile(&all)),
    ];
    for (name, json) in CUSTOM {
        profiles.push((name, document(json)));
    }
    if let Ok(json) = std::fs::read("/usr/share/containers/seccomp.json") {
        let bounding: Vec<_> = DEFAULT_CAPABILITIES
            .iter()
            .map(|&name| name.to_owned())
            .collect();
        let host = Host {
            native: Abi::X86_64,
            kernel: "6.18".parse().unwrap(),
            bounding: &bounding,
        };
        profiles.push(("podman's", parse_profile(&json, &host).unwrap()));
    } else {
        eprintln!("skipped: podman's profile (Debian: golang-github-containers-common)");
    }
    for (name, profile) in &profiles {
        compare(name, profile, &ask(&program, profile), &hulls(profile));
    }
}

const CUSTOM: [(&str, &str); 8] = [
    (
        "nothing but the native ABI",
        r#"{"defaultAction":"SCMP_ACT_KILL_PROCESS",
        "syscalls":[{"names":["read","write","exit_group","rt_sigreturn"],"action":"SCMP_ACT_ALLOW"}]}"#,
    ),
    (
        "a list of forbidden calls",
        r#"{"defaultAction":"SCMP_ACT_ALLOW",
        "architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],
        "syscalls":[{"names":["ptrace","mount","keyctl","no_such_call","readv"],"action":"SCMP_ACT_ERRNO","errnoRet":95},
                    {"names":["reboot"],"action":"SCMP_ACT_KILL"}]}"#,
    ),
    (
        "without x32",
        r#"{"defaultAction":"SCMP_ACT_LOG","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
        "syscalls":[{"names":["getpid"],"action":"SCMP_ACT_TRAP"},{"names":["gettid"],"action":"SCMP_ACT_TRACE","errnoRet":3}]}"#,
    ),
    (
        "every comparison of 64 bits",
        r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64"],
        "syscalls":[
        {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":4294967297,"op":"SCMP_CMP_EQ"}]},
        {"names":["write"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":4294967297,"op":"SCMP_CMP_NE"}]},
        {"names":["open"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":4294967297,"op":"SCMP_CMP_LT"}]},
        {"names":["close"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":4294967297,"op":"SCMP_CMP_LE"}]},
        {"names":["stat"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":4294967297,"op":"SCMP_CMP_GE"}]},
        {"names":["fstat"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":4294967297,"op":"SCMP_CMP_GT"}]},
        {"names":["poll"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":18446744069414584321,"valueTwo":4294967297,"op":"SCMP_CMP_MASKED_EQ"}]},
        {"names":["lseek"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":17,"valueTwo":255,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#,
    ),
    (
        "every comparison of 32 bits",
        r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],
        "syscalls":[
        {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":7,"op":"SCMP_CMP_EQ"}]},
        {"names":["write"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":7,"op":"SCMP_CMP_NE"}]},
        {"names":["open"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":7,"op":"SCMP_CMP_LT"}]},
        {"names":["close"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":7,"op":"SCMP_CMP_LE"}]},
        {"names":["stat"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":7,"op":"SCMP_CMP_GE"}]},
        {"names":["fstat"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":7,"op":"SCMP_CMP_GT"}]},
        {"names":["poll"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":6,"valueTwo":2,"op":"SCMP_CMP_MASKED_EQ"}]}]}"#,
    ),
    (
        "rules that meet",
        r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
        "syscalls":[
        {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":1,"value":40,"op":"SCMP_CMP_EQ"}]},
        {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":17,"op":"SCMP_CMP_EQ"},{"index":1,"value":0,"op":"SCMP_CMP_NE"}]},
        {"names":["read"],"action":"SCMP_ACT_ALLOW","args":[{"index":2,"value":8,"op":"SCMP_CMP_EQ"}]},
        {"names":["write"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"},{"index":0,"value":17,"op":"SCMP_CMP_EQ"}]},
        {"names":["open"],"action":"SCMP_ACT_LOG","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
        {"names":["open"],"action":"SCMP_ACT_ALLOW"},
        {"names":["open"],"action":"SCMP_ACT_TRAP"},
        {"names":["close"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]},
        {"names":["close"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":0,"op":"SCMP_CMP_GT"}]}]}"#,
    ),
    (
        "calls inside calls",
        r#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
        "syscalls":[{"names":["socket","accept","recv","shmget"],"action":"SCMP_ACT_ERRNO","errnoRet":13}]}"#,
    ),
    (
        "the same, allowed",
        r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
        "syscalls":[{"names":["connect","semop"],"action":"SCMP_ACT_ALLOW"}]}"#,
    ),
];

#[test]
fn compiling_is_cheap() {
    let profile = default_profile(&DEFAULT_CAPABILITIES);
    let rounds = 50;
    let start = Instant::now();
    for _ in 0..rounds {
        assert_eq!(
            compile(&profile, Abi::native()).unwrap().len(),
            DEFAULT.len()
        );
    }
    let each = start.elapsed() / rounds;
    eprintln!(
        "compiling the default profile: {each:?} for {} instructions",
        DEFAULT.len()
    );
    assert!(each.as_millis() < 50, "libseccomp's time");
}

/// Loads `filter` in a thread of its own, which it binds alone, and says how long that took.
fn load_time(filter: &[SockFilter], then: fn()) -> Duration {
    let filter = filter.to_vec();
    let thread = std::thread::spawn(move || {
        rustix::thread::set_no_new_privs(true).unwrap();
        let start = Instant::now();
        load(&filter, SeccompFlags::SPEC_ALLOW).unwrap();
        let took = start.elapsed();
        then();
        took
    });
    thread.join().unwrap()
}

#[test]
fn the_kernel_takes_the_filter_and_follows_it() {
    load_time(DEFAULT, || {
        use rustix::io::Errno;
        use rustix::mount::{MountFlags, mount};
        use rustix::net::{AddressFamily, SocketType, socket};
        assert!(rustix::process::getpid().as_raw_nonzero().get() > 0);
        let mounted = mount("none", "/nowhere", "tmpfs", MountFlags::empty(), None);
        assert_eq!(mounted, Err(Errno::PERM), "without the filter it is ENOENT");
        let vsock = socket(AddressFamily::VSOCK, SocketType::STREAM, None);
        assert_eq!(
            vsock.map(drop),
            Err(Errno::PERM),
            "without the filter it is a socket, or EAFNOSUPPORT"
        );
        assert!(socket(AddressFamily::UNIX, SocketType::STREAM, None).is_ok());
    });
}

#[test]
fn loading_costs_little() {
    let allow = SockFilter {
        code: 6,
        jt: 0,
        jf: 0,
        k: 0x7fff_0000,
    };
    let directory = tempfile::tempdir().unwrap();
    let profile = default_profile(&DEFAULT_CAPABILITIES);
    let theirs = oracle(directory.path())
        .map(|program| ask(&program, &profile))
        .unwrap_or_default();
    let theirs: Vec<_> = theirs
        .iter()
        .map(|&(code, jt, jf, k)| SockFilter { code, jt, jf, k })
        .collect();
    let filters = [
        ("one instruction", &[allow][..]),
        ("DEFAULT", DEFAULT),
        ("libseccomp's", &theirs[..]),
    ];
    for (name, filter) in filters.into_iter().filter(|(_, filter)| !filter.is_empty()) {
        let mut times: Vec<_> = (0..41).map(|_| load_time(filter, || ())).collect();
        times.sort_unstable();
        let (least, middle) = (times[0], times[times.len() / 2]);
        eprintln!(
            "loading {name} ({} instructions): least {least:?}, median {middle:?}",
            filter.len()
        );
    }
}
