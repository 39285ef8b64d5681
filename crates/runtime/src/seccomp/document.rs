//! Between OCI's `linux.seccomp` and the compiler's policy.

use hull_spec::runtime::{Seccomp, SeccompAction, SeccompArch, SeccompArg, SeccompOp, SeccompRule};

use super::SeccompError;
use super::compiler::{self, Abi, Condition, Op, Policy, Rule, result};

/// No error number is larger; the kernel would cut it.
const MAX_ERRNO: u32 = 4095;

/// Reads a document as a policy.
pub(super) fn policy(profile: &Seccomp, native: Abi) -> Result<Policy, SeccompError> {
    let default = outcome(profile.default_action, profile.default_errno_ret)
        .map_err(|errno| SeccompError::DefaultErrnoTooLarge { errno })?;
    let mut rules = Vec::new();
    for rule in &profile.syscalls {
        for name in &rule.names {
            rules.push(self::rule(name, rule)?);
        }
    }
    Ok(Policy {
        default,
        abis: abis(&profile.architectures, native),
        rules,
    })
}

fn rule(name: &str, rule: &SeccompRule) -> Result<Rule, SeccompError> {
    let result = outcome(rule.action, rule.errno_ret).map_err(|errno| {
        let name = name.to_owned();
        SeccompError::ErrnoTooLarge { name, errno }
    })?;
    let conditions = rule.args.iter().map(|arg| condition(name, arg));
    Ok(Rule {
        name: name.to_owned(),
        result,
        conditions: conditions.collect::<Result<_, _>>()?,
    })
}

/// The word the kernel gets; `errno` means something to two actions only, and is ignored with others, as by runc.
fn outcome(action: SeccompAction, errno: Option<u32>) -> Result<u32, u32> {
    let errno = errno.unwrap_or(result::EPERM);
    Ok(match action {
        SeccompAction::Kill | SeccompAction::KillThread => result::KILL_THREAD,
        SeccompAction::KillProcess => result::KILL_PROCESS,
        SeccompAction::Trap => result::TRAP,
        SeccompAction::Errno if errno > MAX_ERRNO => return Err(errno),
        SeccompAction::Errno => result::ERRNO | errno,
        SeccompAction::Trace if errno > 0xffff => return Err(errno),
        SeccompAction::Trace => result::TRACE | errno,
        SeccompAction::Allow => result::ALLOW,
        SeccompAction::Log => result::LOG,
        SeccompAction::Notify => result::USER_NOTIF,
    })
}

fn condition(name: &str, arg: &SeccompArg) -> Result<Condition, SeccompError> {
    let argument = u8::try_from(arg.index).ok().filter(|&index| index < 6);
    Ok(Condition {
        argument: argument.ok_or_else(|| SeccompError::NoSuchArgument {
            name: name.to_owned(),
            index: arg.index,
        })?,
        op: match arg.op {
            SeccompOp::NotEqual => Op::NotEqual,
            SeccompOp::Less => Op::Less,
            SeccompOp::LessOrEqual => Op::LessOrEqual,
            SeccompOp::Equal => Op::Equal,
            SeccompOp::GreaterOrEqual => Op::GreaterOrEqual,
            SeccompOp::Greater => Op::Greater,
            SeccompOp::MaskedEqual => Op::MaskedEqual,
        },
        value: arg.value,
        value_two: arg.value_two,
    })
}

/// The native ABI, as libseccomp always adds it, and those listed that this machine can run. (Programs of an ABI that is
/// not among them are killed at their first call, as with runc; that is so for 32-bit ARM, which has no table.)
fn abis(architectures: &[SeccompArch], native: Abi) -> Vec<Abi> {
    let listed = |abi: &Abi| architectures.contains(&architecture(*abi));
    let companions = native.companions().iter().copied().filter(listed);
    [native].into_iter().chain(companions).collect()
}

fn architecture(abi: Abi) -> SeccompArch {
    match abi {
        Abi::X86_64 => SeccompArch::X86_64,
        Abi::X32 => SeccompArch::X32,
        Abi::I386 => SeccompArch::X86,
        Abi::Aarch64 => SeccompArch::Aarch64,
    }
}

/// Returns Hull's default profile for a container with these bounding capabilities (`CAP_CHOWN`), as a document that any
/// OCI runtime takes.
pub fn default_profile<S: AsRef<str>>(bounding: &[S]) -> Seccomp {
    let native = Abi::native();
    let groups = compiler::default_rules(|name| bounding.iter().any(|one| one.as_ref() == name));
    let abis = [native]
        .into_iter()
        .chain(native.companions().iter().copied());
    Seccomp {
        default_action: SeccompAction::Errno,
        default_errno_ret: Some(result::EPERM),
        architectures: abis.map(architecture).collect(),
        flags: Vec::new(),
        listener_path: None,
        listener_metadata: None,
        syscalls: groups.into_iter().filter_map(group).collect(),
    }
}

/// Rules that share result and conditions, as one entry of a document.
fn group(rules: Vec<Rule>) -> Option<SeccompRule> {
    let first = rules.first()?;
    let errno = first.result & 0xffff;
    let (action, errno_ret) = match first.result & !0xffff {
        result::ERRNO => (SeccompAction::Errno, Some(errno)),
        _ => (SeccompAction::Allow, None),
    };
    let args = first.conditions.iter().map(arg).collect();
    Some(SeccompRule {
        names: rules.into_iter().map(|rule| rule.name).collect(),
        action,
        errno_ret,
        args,
    })
}

fn arg(condition: &Condition) -> SeccompArg {
    SeccompArg {
        index: u32::from(condition.argument),
        value: condition.value,
        value_two: condition.value_two,
        op: match condition.op {
            Op::NotEqual => SeccompOp::NotEqual,
            Op::Less => SeccompOp::Less,
            Op::LessOrEqual => SeccompOp::LessOrEqual,
            Op::Equal => SeccompOp::Equal,
            Op::GreaterOrEqual => SeccompOp::GreaterOrEqual,
            Op::Greater => SeccompOp::Greater,
            Op::MaskedEqual => SeccompOp::MaskedEqual,
        },
    }
}
