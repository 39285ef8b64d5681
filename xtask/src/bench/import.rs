//! Importing a large image against `igzip -dc | tar x` of the same file.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::budgets::{Budgets, Verdict};
use super::ground::Ground;
use super::meter::{Meter, Mounts, Sample, Traces, Worker};
use super::numbers::{median, milliseconds};
use super::table::Table;
use super::{Outcome, payload};
use crate::{run, workspace};

const ROUNDS: usize = 5;

pub(crate) fn measure(ground: &Ground, budgets: &Budgets) -> Result<Outcome> {
    let archive = workspace::scratch()?.join("payload.tar.gz");
    payload::write(&archive)?;
    let meter = Meter::lasting("import")?;
    let worker = Worker::start(Mounts::Ours)?;
    let mut samples: [Vec<Sample>; 2] = [Vec::new(), Vec::new()];
    for round in 0..ROUNDS {
        // Turn by turn, and the first one changes.
        for who in [round % 2, 1 - round % 2] {
            let sample = if who == 0 {
                hull(ground, &worker, meter, &archive)?
            } else {
                tar(ground, &worker, meter, &archive)?
            };
            samples[who].push(sample);
        }
    }
    let [hull, tar] = samples.map(|samples| {
        let of =
            |time: fn(&Sample) -> Duration| median(&samples.iter().map(time).collect::<Vec<_>>());
        (of(|sample| sample.cpu), of(|sample| sample.wall))
    });
    let ratio = hull.0.as_secs_f64() / tar.0.as_secs_f64();
    let title = format!(
        "Import of {} MB in {} files, gzip, into directories",
        payload::BYTES / 1_000_000,
        payload::FILES
    );
    let mut table = Table::new(&title, &["who", "CPU ms", "wall ms", "CPU, times tar's"]);
    for (name, (cpu, wall), times) in [
        ("hull import", hull, ratio),
        ("igzip -dc | tar x", tar, 1.0),
    ] {
        table.row([
            name.to_owned(),
            milliseconds(cpu),
            milliseconds(wall),
            format!("{times:.2}"),
        ]);
    }
    table.note(format!("{ROUNDS} rounds, turn by turn, medians; journaled ext4 on a loop device; Hull's time includes both checksums"));
    let verdict = Verdict::new(
        "import, times the CPU of igzip | tar",
        ratio,
        budgets.import.times_igzip_tar,
    );
    Ok(Outcome {
        table,
        verdicts: vec![verdict],
    })
}

fn hull(ground: &Ground, worker: &Worker, meter: &'static Meter, archive: &Path) -> Result<Sample> {
    let mut command = ground.hull();
    command
        .arg("import")
        .arg(archive)
        .arg("payload")
        .stdout(std::process::Stdio::null());
    let sample = worker.measure(meter, command, &Traces::default())?;
    run::checked(ground.hull().args(["rmi", "payload"]))?;
    run::checked(ground.hull().arg("gc"))?;
    settle();
    Ok(sample)
}

fn tar(ground: &Ground, worker: &Worker, meter: &'static Meter, archive: &Path) -> Result<Sample> {
    let dir = ground.directory("tar")?;
    let mut command = Command::new("sh");
    command
        .args(["-c", "igzip -dc \"$1\" | tar -x -C \"$2\"", "sh"])
        .arg(archive)
        .arg(&dir);
    let sample = worker.measure(meter, command, &Traces::default())?;
    std::fs::remove_dir_all(&dir)?;
    settle();
    Ok(sample)
}

/// What was written and removed shall not be the next one's work.
fn settle() {
    rustix::fs::sync();
}
