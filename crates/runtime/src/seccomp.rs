//! System call filters: Hull's own compiler, the default profile, and docker's profile format.
//!
//! ```text
//! default.profile ─┐                                  ┌▶ DEFAULT (compiled when Hull is built)
//! docker's JSON ───┼▶ Seccomp (OCI document) ─▶ Policy ┴▶ Vec<SockFilter> ─▶ hull_sys::seccomp::load
//! config.json ─────┘
//! ```
//! Everything here is pure: no file is read and nothing is loaded. The filters are search trees of some 150 instructions;
//! libseccomp, whose verdicts they give (`tests/seccomp_oracle.rs`), needs 65 ms to make 1,100.

mod compiler;
mod docker;
mod document;
#[cfg(test)]
mod interpreter;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use hull_spec::runtime::{Seccomp, SeccompFlag};
use hull_sys::seccomp::{SeccompFlags, SockFilter};
use hull_types::ErrorKind;

pub use compiler::{Abi, DEFAULT_CAPABILITIES};
pub use docker::{Host, InvalidProfile, KernelVersion, parse_profile};
pub use document::default_profile;

/// The filter for Hull's default profile and [`DEFAULT_CAPABILITIES`], compiled for this machine when Hull was built.
pub static DEFAULT: &[SockFilter] = &include!(concat!(env!("OUT_DIR"), "/default_filter.rs"));

/// Why a profile cannot become a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeccompError {
    /// The kernel's limit.
    #[error("the system call filter would have {instructions} instructions; the kernel takes 4096")]
    TooLong { instructions: usize },
    #[error("the system call filter compares arguments of `{name}` more than 1000 times")]
    TooManyConditions { name: String },
    #[error(
        "the system call filter compares argument {index} of `{name}`; calls have arguments 0 to 5"
    )]
    NoSuchArgument { name: String, index: u32 },
    #[error("the system call filter answers {errno} to `{name}`; error numbers end at 4095")]
    ErrnoTooLarge { name: String, errno: u32 },
    #[error("the system call filter's default is error {errno}; error numbers end at 4095")]
    DefaultErrnoTooLarge { errno: u32 },
}

impl SeccompError {
    /// What sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

impl From<compiler::Refusal> for SeccompError {
    fn from(refusal: compiler::Refusal) -> Self {
        match refusal {
            compiler::Refusal::TooLong { instructions } => Self::TooLong { instructions },
            compiler::Refusal::TooManyConditions { name } => Self::TooManyConditions { name },
        }
    }
}

impl Abi {
    /// The ABI Hull was built for.
    pub fn native() -> Self {
        Self::of_target(std::env::consts::ARCH)
            .expect("the build script refuses targets without a table")
    }
}

/// Compiles an OCI document for a machine whose own ABI is `native`.
///
/// The native ABI is always covered, others if the document lists them and there is a table. Names that no ABI knows are
/// ignored, as runc and crun do.
pub fn compile(profile: &Seccomp, native: Abi) -> Result<Vec<SockFilter>, SeccompError> {
    let policy = document::policy(profile, native)?;
    let program = compiler::compile(&policy)?;
    Ok(program.into_iter().map(sock_filter).collect())
}

fn sock_filter(instruction: compiler::Instruction) -> SockFilter {
    let compiler::Instruction { code, jt, jf, k } = instruction;
    SockFilter { code, jt, jf, k }
}

/// Returns the default profile's filter for a container with these bounding capabilities: [`DEFAULT`] where they make no
/// difference to it, else compiled now.
pub fn default_filter<S: AsRef<str>>(bounding: &[S]) -> Cow<'static, [SockFilter]> {
    let has = |name: &str| bounding.iter().any(|one| one.as_ref() == name);
    let usual = |name: &&str| has(name) == DEFAULT_CAPABILITIES.contains(name);
    if compiler::conditional_capabilities().iter().all(usual) {
        return Cow::Borrowed(DEFAULT);
    }
    let filter = compile(&default_profile(bounding), Abi::native());
    Cow::Owned(filter.expect("a test compiles the default profile with capabilities of all sorts"))
}

/// Returns the flags to load `profile`'s filter with.
///
/// A document without flags means `SPEC_ALLOW`, as with runc: the filter is not a reason to slow the program down with
/// mitigations against itself.
pub fn flags(profile: &Seccomp) -> SeccompFlags {
    if profile.flags.is_empty() {
        return SeccompFlags::SPEC_ALLOW;
    }
    let flag = |flag: &SeccompFlag| match flag {
        SeccompFlag::Tsync => SeccompFlags::TSYNC,
        SeccompFlag::Log => SeccompFlags::LOG,
        SeccompFlag::SpecAllow => SeccompFlags::SPEC_ALLOW,
        SeccompFlag::WaitKillableRecv => SeccompFlags::WAIT_KILLABLE_RECV,
    };
    profile.flags.iter().map(flag).collect()
}
