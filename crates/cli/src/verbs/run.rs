use std::{ffi::OsString, process::ExitCode};

use hull_engine::{Created, Engine, EngineError, How};

use super::Verb;
use crate::{
    Failure,
    args::{Globals, Run, options::Caller},
    help, output,
};

/// Carries out `hull run`.
pub(super) fn perform(
    verb: &Verb,
    words: &[OsString],
    before: Globals,
) -> Result<ExitCode, Failure> {
    let Some(meant) = Run::meant(words, Caller::this_process())? else {
        return help::print(verb);
    };
    output::notes(&meant.notes);
    let engine = meant.globals.or(before).engine()?;
    let detach = meant.request.session.detach;
    let created = engine.create(meant.request)?;
    if detach {
        behind(&engine, created)
    } else {
        foreground(engine, created)
    }
}

/// A monitor stays behind.
fn behind(engine: &Engine, created: Created) -> Result<ExitCode, Failure> {
    let id = created.id;
    let how = How::Behind {
        client: None,
        size: None,
    };
    let order = engine.order(created.held, id, &created.name, &created.config, how)?;
    engine.hand_over(order)?;
    output::print(&format!("{id}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// This process becomes the monitor.
fn foreground(engine: Engine, created: Created) -> Result<ExitCode, Failure> {
    let (name, config) = (&created.name, &created.config);
    let order = engine.order(created.held, created.id, name, config, How::Foreground)?;
    let code = hull_monitor::supervise(&order.handover, order.descriptors);
    engine.leave();
    Ok(ExitCode::from(code.map_err(EngineError::from)?))
}
