use std::{
    io::{self, IsTerminal},
    path::Path,
    process::ExitCode,
};

use hull_engine::{Copied, CopyFrom, CopyTo, Engine, EngineError, Manner};

use super::{
    Perform,
    streams::{self, Destination, unless_nobody_reads},
};
use crate::{
    Failure, UsageError,
    args::{Copy, Globals, Place},
    format::human,
    output,
};

impl Perform for Copy {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let manner = Manner {
            keep_owners: self.archive,
            follow: self.follow_link,
        };
        let engine = globals.engine()?;
        let copied = match (&self.from, &self.to) {
            (Place::Container { container, path }, to) => {
                out_of(&engine, container.as_str(), path, to, manner)?
            }
            (from, Place::Container { container, path }) => {
                into(&engine, from, container.as_str(), path, manner)?
            }
            _ => return Err(neither("copies nothing between two places on the host").into()),
        };
        for device in &copied.left_out {
            let note = format!("{} is a device and was left out", device.display());
            output::notes(&[note]);
        }
        // As with docker, only somebody who looks on is told. Standard output may be the archive.
        if !self.quiet && io::stderr().is_terminal() {
            let size = human::size(copied.bytes);
            output::complain(&format!(
                "Successfully copied {size} to {}\n",
                name(&self.to)
            ));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn out_of(
    engine: &Engine,
    container: &str,
    path: &Path,
    to: &Place,
    manner: Manner,
) -> Result<Copied, Failure> {
    match to {
        Place::Host(to) => Ok(engine.copy_from(container, path, CopyTo::Path(to), manner)?),
        Place::Archive => {
            let mut out = Destination::open("cp", None)?;
            let copied = engine.copy_from(container, path, CopyTo::Archive(&mut out), manner);
            let copied = copied.map_err(|error| unless_nobody_reads(error.into()))?;
            out.finish()?;
            Ok(copied)
        }
        Place::Container { .. } => Err(neither("copies nothing between two containers").into()),
    }
}

fn into(
    engine: &Engine,
    from: &Place,
    container: &str,
    path: &Path,
    manner: Manner,
) -> Result<Copied, Failure> {
    let copied: Result<Copied, EngineError> = match from {
        Place::Host(from) => engine.copy_to(CopyFrom::Path(from), container, path, manner),
        Place::Archive => {
            let mut archive = streams::archive_in("cp")?;
            engine.copy_to(CopyFrom::Archive(&mut archive), container, path, manner)
        }
        Place::Container { .. } => {
            return Err(neither("copies nothing between two containers").into());
        }
    };
    Ok(copied?)
}

fn neither(problem: &str) -> UsageError {
    UsageError::Words {
        verb: "cp".to_owned(),
        problem: problem.to_owned(),
        hint: "one of the two is CONTAINER:PATH, the other a path or -".to_owned(),
    }
}

fn name(place: &Place) -> String {
    match place {
        Place::Container { container, path } => {
            format!("{}:{}", container.as_str(), path.display())
        }
        Place::Host(path) => path.display().to_string(),
        Place::Archive => "standard output".to_owned(),
    }
}
