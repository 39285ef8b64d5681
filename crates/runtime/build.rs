//! Compiles the default system call filter, so that a start only has to load it.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

#[path = "src/seccomp/compiler/mod.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the library uses what the build does not"
)]
mod compiler;

use compiler::{Abi, Policy, result};

fn main() {
    for watched in ["compiler", "default.profile", "syscalls.tsv"] {
        println!("cargo::rerun-if-changed=src/seccomp/{watched}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let arch = env::var("CARGO_CFG_TARGET_ARCH").expect("cargo names the target");
    let native = Abi::of_target(&arch)
        .unwrap_or_else(|| panic!("Hull has no table of system calls for {arch}"));
    let rules = compiler::default_rules(|name| compiler::DEFAULT_CAPABILITIES.contains(&name));
    let policy = Policy {
        default: result::ERRNO | result::EPERM,
        abis: [&[native], native.companions()].concat(),
        rules: rules.into_iter().flatten().collect(),
    };
    let program = compiler::compile(&policy).expect("the default profile compiles");
    let mut text = String::from("[\n");
    for instruction in program {
        let compiler::Instruction { code, jt, jf, k } = instruction;
        writeln!(
            text,
            "    SockFilter {{ code: {code:#04x}, jt: {jt}, jf: {jf}, k: {k:#x} }},"
        )
        .expect("a string takes any text");
    }
    text.push(']');
    let out = env::var_os("OUT_DIR").expect("cargo names the output directory");
    let path = Path::new(&out).join("default_filter.rs");
    #[expect(
        clippy::disallowed_methods,
        reason = "cargo runs the build again if this is cut short"
    )]
    fs::write(path, text).expect("cargo made the output directory");
}
