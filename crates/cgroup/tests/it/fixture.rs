//! A group under a parent of its own, gone with the test whatever happens.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use hull_cgroup::{Group, Hierarchies, Limits, Mode};

/// Returns the machine's hierarchies, or says why the test is not run.
pub(crate) fn hierarchies() -> Option<Hierarchies> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    Some(Hierarchies::detect().expect("root tests run where cgroups are mounted"))
}

/// Returns the machine as it is and, where it is hybrid, as it would be without the unified hierarchy.
pub(crate) fn variants(hierarchies: Hierarchies) -> Vec<Hierarchies> {
    let v1 = Hierarchies {
        unified: None,
        ..hierarchies.clone()
    };
    if hierarchies.mode() == Mode::Hybrid {
        vec![hierarchies, v1]
    } else {
        vec![hierarchies]
    }
}

#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) group: Group,
    hierarchies: Hierarchies,
    parent: String,
}

impl Fixture {
    /// Makes a group with `limits`, which all must be kept.
    pub(crate) fn new(hierarchies: Hierarchies, name: &str, limits: &Limits) -> Self {
        let mut fixture = Self::unlimited(hierarchies, name, limits);
        let ignored = fixture.group.apply(limits).unwrap();
        // The guest's kernel has no swap.
        assert!(
            ignored.iter().all(|name| name.contains("swap")),
            "{ignored:?}"
        );
        fixture
    }

    /// Makes a group that is ready for `limits`.
    pub(crate) fn unlimited(hierarchies: Hierarchies, name: &str, limits: &Limits) -> Self {
        let parent = format!("hull-test-{}-{name}", std::process::id());
        let group = Group::create(
            &hierarchies,
            &format!("{parent}/{name}").parse().unwrap(),
            limits,
        )
        .unwrap();
        Self {
            group,
            hierarchies,
            parent,
        }
    }

    /// Waits until no process is in the group; false when the time is over.
    pub(crate) fn is_empty_within(&self, at_most: Duration) -> bool {
        let end = Instant::now() + at_most;
        while !self.group.is_empty().unwrap_or(false) {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    pub(crate) fn parent(&self) -> &str {
        &self.parent
    }

    /// Starts a shell in the group, which joins as a container does: `0` into v1's `tasks`.
    pub(crate) fn spawn(&self, script: &str) -> Child {
        let join = |path: &std::path::Path| {
            format!(
                "if [ -e {0}/tasks ]; then echo 0 > {0}/tasks; else echo 0 > {0}/cgroup.procs; fi; ",
                path.display()
            )
        };
        let joins: String = self.group.paths().map(join).collect();
        Command::new("sh")
            .arg("-ec")
            .arg(format!("{joins} set +e; {script}"))
            .spawn()
            .unwrap()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        // A test may have removed it itself.
        if self.group.kill_all().is_ok() {
            self.is_empty_within(Duration::from_secs(5));
        }
        let removed = self.group.remove();
        let parent = self
            .hierarchies
            .remove_if_empty(&self.parent.parse().unwrap());
        if !std::thread::panicking() {
            removed.unwrap();
            parent.unwrap();
        }
    }
}

/// Waits for something that happens soon.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(
            Instant::now() < end,
            "in 20 s it did not come true that {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
