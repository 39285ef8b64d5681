//! What a start costs: `it --cost [STARTS [IDLE-MILLISECONDS]]`, nothing a test judges.
//!
//! CPU is that of a cpuacct cgroup around this process and its containers (which have none of their own there), so the
//! exit of the app is in it and the kernel's deferred work is not; wall is from before `create` to the app's end reaped.

use std::time::{Duration, Instant};

use crate::support::{Group, Home, run_with, spec};

pub(crate) fn measure(starts: usize, idle: Duration) {
    std::fs::create_dir_all(ACCOUNT).unwrap();
    let put = |group: &str| {
        let file = std::fs::File::options()
            .write(true)
            .open(format!("{group}/tasks"))
            .unwrap();
        rustix::io::write(file, b"0").unwrap();
    };
    put(ACCOUNT);
    let home = Home::new();
    // What images have: nothing has to be made before it is mounted on.
    for name in ["proc", "sys", "dev"] {
        std::fs::create_dir(home.layer().join(name)).unwrap();
    }
    for name in ["hosts", "hostname", "resolv.conf"] {
        home.write(&format!("etc/{name}"), "", 0o644);
    }
    let spec = spec(&["true"]);
    let mut walls = Vec::new();
    let mut cpus = Vec::new();
    for _ in 0..starts {
        std::thread::sleep(idle);
        let group = Group::new("cost");
        let (cpu, wall) = (used(), Instant::now());
        let ended = run_with(&spec, home.overlay(), |launch| {
            launch.cgroup = Some(&group.0);
            launch.filter = hull_runtime::Filter::Default;
            launch.files = ["hosts", "hostname", "resolv.conf"]
                .map(|name| (format!("/etc/{name}").into(), b"text\n".to_vec()))
                .to_vec();
        });
        assert_eq!(ended.unwrap().code, 0);
        walls.push(wall.elapsed());
        cpus.push(used() - cpu);
    }
    for (what, values) in [("wall", &mut walls), ("cpu", &mut cpus)] {
        values.sort();
        let at = |part: usize| values[(values.len() - 1) * part / 100].as_micros();
        println!("{what}: min {} p50 {} p90 {} us", at(0), at(50), at(90));
    }
    put("/sys/fs/cgroup/cpuacct");
    std::fs::remove_dir(ACCOUNT).unwrap();
}

const ACCOUNT: &str = "/sys/fs/cgroup/cpuacct/hull-runtime-cost";

fn used() -> Duration {
    let text = std::fs::read_to_string(format!("{ACCOUNT}/cpuacct.usage")).unwrap();
    Duration::from_nanos(text.trim().parse().unwrap())
}
