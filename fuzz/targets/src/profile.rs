//! Seccomp profiles in docker's JSON format.

use hull_runtime::seccomp::{self, Abi, Host, parse_profile};

/// The kernel's bound on a filter, BPF_MAXINSNS.
const LONGEST: usize = 4096;

/// A profile becomes a filter that the kernel would load, or is refused.
pub fn profile(bytes: &[u8]) {
    let bounding = ["CAP_CHOWN".to_owned(), "CAP_SYS_CHROOT".to_owned()];
    let host = Host {
        native: Abi::X86_64,
        kernel: "6.18".parse().expect("it is a version"),
        bounding: &bounding,
    };
    let profile = match parse_profile(bytes, &host) {
        Ok(profile) => profile,
        Err(error) => return super::explain(&error),
    };
    seccomp::flags(&profile);
    match seccomp::compile(&profile, Abi::X86_64) {
        Ok(filter) => assert!(!filter.is_empty() && filter.len() <= LONGEST),
        Err(error) => super::explain(&error),
    }
}
