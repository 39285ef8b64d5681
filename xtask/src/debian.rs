//! Debian packages the tests need, installed when we may.

pub(crate) mod source;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::run;

/// What for, and which: a suite that misses its package says so by itself; this is only who brings them.
const PACKAGES: &[&str] = &[
    // Peers and oracles.
    "crun",
    "runc",
    "skopeo",
    "umoci",
    "debootstrap",
    "docker-registry",
    "isal",
    "libseccomp-dev",
    // Images and archives.
    "busybox-static",
    "bzip2",
    "xz-utils",
    "zstd",
    "jq",
    // Looking at what was done.
    "attr",
    "curl",
    "iproute2",
    "libcap2-bin",
    "nftables",
    "openssl",
    "procps",
    "strace",
    "valgrind",
    "wget",
    // Ordinary users, the guest, and what the floor program and C test apps are built with.
    "e2fsprogs",
    "gcc",
    "kmod",
    "libc6-dev",
    "make",
    "uidmap",
    "user-mode-linux",
    "util-linux",
    // Shells that complete, pages that are read.
    "bsdextrautils",
    "fish",
    "groff-base",
    "man-db",
    "zsh",
    // Borrowed suites.
    "bats",
    "gawk",
    "python3",
];

/// Engines to be measured beside Hull; CI does not need them.
const ENGINES: &[&str] = &["conmon", "docker.io", "podman"];

/// Installs what the tests need and this machine lacks. Returns the packages that are missing still.
pub(crate) fn install() -> Result<Vec<String>> {
    install_all(PACKAGES)
}

/// Installs the engines that are measured.
pub(crate) fn install_engines() -> Result<Vec<String>> {
    install_all(ENGINES)
}

fn install_all(packages: &[&str]) -> Result<Vec<String>> {
    let mut missing = missing(packages)?;
    if missing.is_empty() || !may_install() {
        return Ok(missing);
    }
    println!("installing: {}", missing.join(" "));
    if !apt_get("install", &missing) {
        apt_get("update", &[]);
        if !apt_get("install", &missing) {
            // One that this Debian does not have must not keep the others out.
            for package in &missing {
                apt_get("install", std::slice::from_ref(package));
            }
        }
    }
    missing.retain(|package| !is_installed(package));
    Ok(missing)
}

fn may_install() -> bool {
    rustix::process::geteuid().is_root() && Path::new("/usr/bin/apt-get").exists()
}

fn missing(packages: &[&str]) -> Result<Vec<String>> {
    if !run::is_installed("dpkg-query") {
        return Ok(packages
            .iter()
            .map(|package| (*package).to_owned())
            .collect());
    }
    let ended = run::ended(
        Command::new("dpkg-query")
            .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
            .args(packages),
    )?;
    Ok(not_in(packages, &ended.text))
}

fn not_in(packages: &[&str], listed: &str) -> Vec<String> {
    let installed: BTreeSet<&str> = listed
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .collect();
    packages
        .iter()
        .filter(|package| !installed.contains(*package))
        .map(|package| (*package).to_owned())
        .collect()
}

fn is_installed(package: &str) -> bool {
    missing(&[package]).is_ok_and(|missing| missing.is_empty())
}

fn apt_get(verb: &str, packages: &[String]) -> bool {
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-qq", "-y", "-o", "Dpkg::Use-Pty=0"])
        .arg(verb);
    if verb == "install" {
        command.arg("--no-install-recommends");
    }
    run::ended(command.args(packages)).is_ok_and(|ended| ended.succeeded())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wholly_installed_counts() {
        let listed =
            "crun installed\nrunc config-files\ndpkg-query: no packages found matching skopeo\n";
        assert_eq!(
            not_in(&["crun", "runc", "skopeo"], listed),
            ["runc", "skopeo"]
        );
    }
}
