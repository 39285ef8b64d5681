//! `@host`: the host's own files under a throw-away layer, for root and for everybody else.

use std::process::Command;

use hull_runtime::{RootFs, StartError};
use hull_spec::runtime::{NamespaceKind, Spec};
use rustix::process::geteuid;

use crate::support::{Ended, run_with, spec};
use hull_suites::Case;

pub(crate) const CASES: &[Case] = &[
    ("host_runs_the_hosts_programs", runs),
    ("host_refuses_what_the_host_refuses", refuses),
    ("host_keeps_its_directories_to_itself", own_directories),
    ("host_is_not_changed", not_changed),
    ("root_host_as_an_ordinary_user", as_user),
];

/// A spec for the host's files: an ordinary user gets the single-id map by giving none.
fn host_spec(script: &str) -> Spec {
    let mut spec = spec(&["/bin/sh", "-c", script]);
    if !geteuid().is_root() {
        let linux = spec.linux.as_mut().unwrap();
        (linux.uid_mappings, linux.gid_mappings) = Default::default();
        linux
            .namespaces
            .retain(|namespace| namespace.kind != NamespaceKind::Cgroup);
        spec.mounts
            .retain(|mount| mount.kind.as_deref() != Some("cgroup"));
    }
    spec
}

fn run(script: &str) -> Result<Ended, StartError> {
    let hide = vec!["/var/lib".into()];
    run_with(&host_spec(script), RootFs::HostOverlay { hide }, |launch| {
        launch.files = vec![("/etc/hostname".into(), b"inside\n".to_vec())];
    })
}

fn runs() {
    let ended = run("cat /etc/os-release; cat /etc/hostname; id -u; echo x > /dev/null && head -c 3 /dev/zero | wc -c").unwrap();
    let release = std::fs::read_to_string("/etc/os-release").unwrap();
    assert_eq!(
        (ended.out, ended.err.as_str()),
        (format!("{release}inside\n0\n3\n"), "")
    );
}

fn refuses() {
    let ended = run("cat /etc/shadow 2>/dev/null || echo refused; cp /etc/shadow /tmp/s 2>/dev/null || echo refused; chmod 666 /etc/shadow 2>/dev/null || echo refused; chown 0 /etc/shadow 2>/dev/null || echo refused").unwrap();
    assert_eq!(ended.out, "refused\nrefused\nrefused\nrefused\n");
}

fn own_directories() {
    let ended = run("for dir in /home /root /boot /mnt /media /run /tmp /var/lib; do ls -A $dir 2>/dev/null | head -3; done
        cd /root && touch x && cat /proc/1/comm; ls /proc | grep -c '^[0-9]*$'; stat -c %a /tmp /root").unwrap();
    assert_eq!(
        (ended.out.as_str(), ended.err.as_str()),
        ("sh\n3\n1777\n700\n", "")
    );
}

fn not_changed() {
    let name = format!("hull-host-test-{}", std::process::id());
    let ended = run(&format!("touch /{name} /tmp/{name} /run/{name} && ls /tmp; touch /usr/bin/true /usr/{name}; ls -d /usr/{name}; true")).unwrap();
    assert!(ended.out.contains(&name), "{ended:?}");
    for dir in ["/", "/tmp", "/run", "/usr"] {
        assert!(!std::path::Path::new(dir).join(&name).exists(), "{dir}");
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("overlay"), "{mounts}");
}

/// The cases above once more, without privilege.
fn as_user() {
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let program = place.path().join("it");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for (name, _) in CASES.iter().filter(|(name, _)| name.starts_with("host_")) {
        let output = Command::new("setpriv")
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(&program)
            .args(["--case", name])
            .current_dir("/")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{name} as a user: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
