use std::process::ExitCode;

use super::{
    Perform,
    streams::{Destination, unless_nobody_reads},
};
use crate::{
    Failure,
    args::{Export, Globals},
};

impl Perform for Export {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let mut out = Destination::open("export", self.output.as_deref())?;
        let exported = globals.engine()?.export(self.container.as_str(), &mut out);
        exported.map_err(|error| unless_nobody_reads(error.into()))?;
        out.finish()?;
        Ok(ExitCode::SUCCESS)
    }
}
