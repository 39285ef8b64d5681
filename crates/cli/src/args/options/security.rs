//! What the container may do to the kernel and the host.

use hull_engine::request::{RunRequest, Seccomp, SecurityOption, Sysctl};

use super::{Caller, Group, Opt, Typed};
use crate::usage::{self, UsageError};

const CAP_ADD: Opt = Opt::values("cap-add", "CAPABILITY", "Add a capability, or ALL");
const CAP_DROP: Opt = Opt::values("cap-drop", "CAPABILITY", "Drop a capability, or ALL");
const SECURITY_OPT: Opt = Opt::values(
    "security-opt",
    "OPTION",
    "Choose seccomp=FILE, seccomp=unconfined, no-new-privileges or systempaths=unconfined",
);
const PRIVILEGED: Opt = Opt::switch(
    "privileged",
    "Give it every capability and device, and the host's user namespace",
);
const SYSCTL: Opt = Opt::values(
    "sysctl",
    "NAME=VALUE",
    "Set a kernel parameter of its namespaces",
);

pub(super) const GROUP: Group = Group {
    heading: "Security",
    options: &[&CAP_ADD, &CAP_DROP, &SECURITY_OPT, &PRIVILEGED, &SYSCTL],
};

pub(super) fn put(
    typed: &Typed<'_>,
    request: &mut RunRequest,
    caller: Caller<'_>,
    notes: &mut Vec<String>,
) -> Result<(), UsageError> {
    let security = &mut request.security;
    security.add = typed.all(&CAP_ADD)?;
    security.drop = typed.all(&CAP_DROP)?;
    security.privileged = typed.on(&PRIVILEGED);
    for word in typed.texts(&SECURITY_OPT) {
        match usage::value("--security-opt", word)? {
            SecurityOption::Seccomp(Seccomp::Profile(path)) if path.is_relative() => {
                let directory = (caller.directory)().map_err(UsageError::NoDirectory)?;
                security.seccomp = Seccomp::Profile(directory.join(path));
            }
            SecurityOption::Seccomp(seccomp) => security.seccomp = seccomp,
            SecurityOption::NoNewPrivileges(none) => security.no_new_privileges = Some(none),
            SecurityOption::SystemPaths(paths) => security.system_paths = paths,
            SecurityOption::Ignored(reason) => {
                notes.push(format!("`--security-opt {word}` changes nothing: {reason}"));
            }
        }
    }
    for setting in typed.all::<Sysctl>(&SYSCTL)? {
        request.sysctls.insert(setting.name, setting.value);
    }
    Ok(())
}
