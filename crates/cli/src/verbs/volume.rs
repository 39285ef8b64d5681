//! `hull volume …`.

use std::process::ExitCode;

use hull_engine::{Engine, EngineError};
use hull_types::ErrorKind;
use serde_json::{Value, json};

use super::{
    Perform,
    confirm::confirmed,
    each::{Each, each},
    inspect::print_objects,
    prune::report,
};
use crate::{
    Failure,
    args::{Globals, VolumeCreate, VolumeInspect, VolumeList, VolumePrune, VolumeRemove},
    format::List,
    output,
};

/// What `volume ls` prints.
const LIST: List = List {
    fields: &[
        ("Driver", "DRIVER"),
        ("Name", "VOLUME NAME"),
        ("Mountpoint", "MOUNTPOINT"),
        ("CreatedAt", "CREATED AT"),
        ("Scope", "SCOPE"),
        ("Anonymous", "ANONYMOUS"),
        ("InUse", "IN USE"),
    ],
    usual: r"{{.Driver}}\t{{.Name}}",
};

impl Perform for VolumeList {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let rows = rows(&globals.engine()?)?;
        let format = match self.quiet {
            true => Some("{{.Name}}"),
            false => self.format.as_deref(),
        };
        output::print(&LIST.text(format, &rows)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Perform for VolumeCreate {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        globals.engine()?.create_volume(&self.name)?;
        output::print(&format!("{}\n", self.name))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Perform for VolumeInspect {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let looked = self.names.iter();
        let looked = looked.map(|name| volume(&engine, name).map_err(Failure::from));
        print_objects(looked, self.format.as_deref())
    }
}

impl Perform for VolumeRemove {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        each(&self.names, |name| match engine.remove_volume(name) {
            Ok(()) => Ok(Each::Named),
            // What was to go is gone.
            Err(error) if self.force && error.kind() == ErrorKind::NotFound => Ok(Each::Silent),
            Err(error) => Err(error),
        })
    }
}

impl Perform for VolumePrune {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let warning = match self.all {
            true => "This will remove all volumes that no container has.",
            false => "This will remove all anonymous volumes that no container has.",
        };
        if !self.force && !confirmed(warning)? {
            return Ok(ExitCode::SUCCESS);
        }
        let gone = globals.engine()?.prune_volumes(self.all)?;
        output::print(&report(&[("Deleted Volumes", gone.removed)], gone.bytes))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns everything about a volume.
pub(super) fn volume(engine: &Engine, name: &str) -> Result<Value, EngineError> {
    let rows = rows(engine)?.into_iter();
    let mut rows = rows.filter(|row| row["Name"] == name);
    rows.next()
        .ok_or_else(|| EngineError::NoVolume(name.to_owned()))
}

fn rows(engine: &Engine) -> Result<Vec<Value>, EngineError> {
    let volumes = engine.volume_list()?.into_iter();
    volumes
        .map(|(volume, used)| {
            Ok(json!({
                "Driver": "local",
                "Mountpoint": engine.volume_data(&volume.name)?,
                "CreatedAt": volume.created,
                "Scope": "local",
                "Anonymous": volume.pod.is_some(),
                "InUse": used,
                "Name": volume.name,
            }))
        })
        .collect()
}
