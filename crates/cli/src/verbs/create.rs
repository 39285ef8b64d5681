use std::{ffi::OsString, process::ExitCode};

use super::Verb;
use crate::{
    Failure,
    args::{Create, Globals, options::Caller},
    help, output, progress,
};

/// Carries out `hull create`.
pub(super) fn perform(
    verb: &Verb,
    words: &[OsString],
    before: Globals,
) -> Result<ExitCode, Failure> {
    let Some(meant) = Create::meant(words, Caller::this_process())? else {
        return help::print(verb);
    };
    output::notes(&meant.notes);
    let engine = meant.globals.or(before).engine()?;
    progress::of_container(&engine, meant.quiet, &meant.insecure);
    let created = engine.create(meant.request)?;
    output::notes(&created.notes);
    output::print(&format!("{}\n", created.id))?;
    Ok(ExitCode::SUCCESS)
}
