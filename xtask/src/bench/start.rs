//! `hull run --rm --network none IMAGE true` beside the floor and beside other runtimes.
//!
//! Rounds are interleaved and their order is shuffled; once back to back, once with an idle gap before every start, in which
//! the kernel's grace periods get long: a tight loop hides what a `cgroup.procs` write then waits for.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Outcome;
use super::budgets::{Budgets, Verdict};
use super::floor::{Floor, Group, groups_of};
use super::ground::{Ground, IMAGE};
use super::meter::{Meter, Mounts, Sample, Traces, Worker};
use super::numbers::{Random, median, milliseconds};
use super::peers::{self, Peer};
use super::probe::Probe;
use super::table::Table;

const ROUNDS: usize = 40;
const GAP: Duration = Duration::from_millis(300);
/// Starts that are not counted: caches fill, directories are made.
const WARM_UP: usize = 3;

/// One that is measured, with what was.
struct Contestant {
    peer: Peer,
    traces: Traces,
    busy: Vec<Sample>,
    idle: Vec<Sample>,
}

impl Contestant {
    fn new(peer: Peer) -> Self {
        let traces = Traces {
            directories: peer.directories.clone(),
        };
        Self {
            peer,
            traces,
            busy: Vec::new(),
            idle: Vec::new(),
        }
    }
}

/// Medians of one contestant.
#[derive(Clone, Debug, PartialEq)]
struct Figures {
    name: String,
    /// CPU, wall; back to back and after a gap.
    busy: (Duration, Duration),
    idle: (Duration, Duration),
}

pub(crate) fn measure(ground: &Ground, budgets: &Budgets) -> Result<Outcome> {
    let probe = Probe::take(ground).context("cannot look at a running container")?;
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo")?;
    let groups = groups_of(&probe.cgroup, &mountinfo);
    let (peers, missing) = peers::prepare(ground, &probe.spec, budgets)?;
    let mut contestants = vec![
        Contestant::new(floor(ground, &groups)?),
        Contestant::new(hull(ground, &groups)?),
    ];
    contestants.extend(peers.into_iter().map(Contestant::new));
    race(&mut contestants)?;
    let figures: Vec<Figures> = contestants.iter().map(figures).collect();
    let mut table = table(&figures);
    let names: Vec<&str> = groups
        .iter()
        .map(|group| {
            if group.name.is_empty() {
                "unified"
            } else {
                &group.name
            }
        })
        .collect();
    table.note(format!(
        "cgroup directories of Hull and of the floor: {}",
        names.join(", ")
    ));
    for peer in &missing {
        table.note(format!("not measured: {peer}"));
    }
    for Contestant {
        peer, busy, idle, ..
    } in &contestants
    {
        let left: Vec<&String> = busy
            .iter()
            .chain(idle)
            .flat_map(|sample| &sample.left)
            .collect();
        if let Some(first) = left.first() {
            table.note(format!(
                "{} left something behind for 10 s, {} times: {first}",
                peer.name,
                left.len()
            ));
        }
    }
    Ok(Outcome {
        table,
        verdicts: verdicts(&figures, budgets),
    })
}

fn floor(ground: &Ground, groups: &[Group]) -> Result<Peer> {
    let floor = Floor::prepare(ground, groups)?;
    Ok(Peer {
        name: "floor".to_owned(),
        mounts: Mounts::Ours,
        meter: Meter::lasting("floor")?,
        directories: floor.traces(),
        command: Box::new(move |_| floor.command()),
    })
}

fn hull(ground: &Ground, groups: &[Group]) -> Result<Peer> {
    let (program, root) = (ground.program().to_owned(), ground.root());
    let own = ["pods", "prepare", "garbage"]
        .map(|name| root.join(name))
        .into_iter();
    Ok(Peer {
        name: "hull run".to_owned(),
        mounts: Mounts::Ours,
        meter: Meter::lasting("hull")?,
        directories: own
            .chain(groups.iter().map(|group| group.parent.clone()))
            .collect(),
        command: Box::new(move |_| {
            let mut command = Command::new(&program);
            command.env("HULL_ROOT", &root).args([
                "run",
                "--rm",
                "--network",
                "none",
                IMAGE,
                "true",
            ]);
            command
        }),
    })
}

fn race(contestants: &mut [Contestant]) -> Result<()> {
    let (ours, without) = (
        Worker::start(Mounts::Ours)?,
        Worker::start(Mounts::WithoutUnified)?,
    );
    let mut random = Random::new(3);
    let mut number = 0;
    let mut start = |Contestant { peer, traces, .. }: &Contestant| -> Result<Sample> {
        number += 1;
        let worker = if peer.mounts == Mounts::Ours {
            &ours
        } else {
            &without
        };
        let sample = worker.measure(peer.meter, (peer.command)(number), traces);
        sample.with_context(|| format!("cannot measure {}", peer.name))
    };
    for contestant in contestants.iter() {
        for _ in 0..WARM_UP {
            start(contestant)?;
        }
    }
    let mut order: Vec<usize> = (0..contestants.len()).collect();
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for &place in &order {
            let sample = start(&contestants[place])?;
            contestants[place].busy.push(sample);
        }
    }
    for _ in 0..ROUNDS {
        random.shuffle(&mut order);
        for &place in &order {
            std::thread::sleep(GAP);
            let sample = start(&contestants[place])?;
            contestants[place].idle.push(sample);
        }
    }
    Ok(())
}

fn figures(contestant: &Contestant) -> Figures {
    let of = |samples: &[Sample]| {
        let median_of =
            |time: fn(&Sample) -> Duration| median(&samples.iter().map(time).collect::<Vec<_>>());
        (
            median_of(|sample| sample.cpu),
            median_of(|sample| sample.wall),
        )
    };
    Figures {
        name: contestant.peer.name.clone(),
        busy: of(&contestant.busy),
        idle: of(&contestant.idle),
    }
}

fn table(figures: &[Figures]) -> Table {
    let mut table = Table::new(
        "Start of a container: `true`, no network, removed again",
        &[
            "who",
            "CPU ms",
            "wall ms",
            "CPU ms, idle before",
            "wall ms, idle before",
        ],
    );
    for one in figures {
        table.row([
            one.name.clone(),
            milliseconds(one.busy.0),
            milliseconds(one.busy.1),
            milliseconds(one.idle.0),
            milliseconds(one.idle.1),
        ]);
    }
    table.note(format!(
        "{ROUNDS} rounds in shuffled order, medians; CPU until no process, cgroup, mount or directory of the start was left; \
         \"idle before\": {} ms",
        GAP.as_millis()
    ));
    table
}

fn verdicts(figures: &[Figures], budgets: &Budgets) -> Vec<Verdict> {
    let find = |name: &str| figures.iter().find(|one| one.name == name);
    let (Some(floor), Some(hull)) = (find("floor"), find("hull run")) else {
        return Vec::new();
    };
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let above = |hull, floor| ms(hull) - ms(floor);
    let mut verdicts = vec![
        Verdict::new(
            "start, CPU ms above the floor",
            above(hull.busy.0, floor.busy.0),
            budgets.start.cpu_ms_above_floor,
        ),
        Verdict::new(
            "start after idle, CPU ms above the floor",
            above(hull.idle.0, floor.idle.0),
            budgets.start.cpu_ms_above_floor,
        ),
    ];
    for peer in budgets.start.below.iter().filter_map(|name| find(name)) {
        for (what, ours, theirs) in [
            ("CPU ms", hull.busy.0, peer.busy.0),
            ("wall ms", hull.busy.1, peer.busy.1),
            ("CPU ms after idle", hull.idle.0, peer.idle.0),
            ("wall ms after idle", hull.idle.1, peer.idle.1),
        ] {
            verdicts.push(Verdict::new(
                format!("start, {what}, against {}", peer.name),
                ms(ours),
                ms(theirs),
            ));
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_cover_both_paces_and_both_clocks() {
        let ms = Duration::from_millis;
        let figures = |name: &str, busy: (u64, u64), idle: (u64, u64)| Figures {
            name: name.to_owned(),
            busy: (ms(busy.0), ms(busy.1)),
            idle: (ms(idle.0), ms(idle.1)),
        };
        let all = [
            figures("floor", (4, 5), (4, 6)),
            figures("hull run", (5, 6), (6, 7)),
            figures("crun", (9, 20), (9, 5)),
        ];
        let verdicts = verdicts(&all, &Budgets::read().unwrap());
        let broken: Vec<&str> = verdicts
            .iter()
            .filter(|one| !one.holds())
            .map(|one| one.what.as_str())
            .collect();
        assert_eq!(verdicts.len(), 6);
        assert_eq!(
            broken,
            [
                "start after idle, CPU ms above the floor",
                "start, wall ms after idle, against crun"
            ]
        );
    }
}
