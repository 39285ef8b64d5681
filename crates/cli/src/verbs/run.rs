use std::{ffi::OsString, process::ExitCode};

use hull_engine::How;

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
    for note in &meant.notes {
        output::complain(&format!("note: {note}\n"));
    }
    let globals = meant.globals.or(before);
    let engine = globals.engine()?;
    let request = meant.request;
    let detach = request.session.detach;
    let created = engine.create(request)?;
    let id = created.id;
    if detach {
        let how = How::Behind {
            client: None,
            size: None,
        };
        let order = engine.order(
            created.held,
            created.id,
            &created.name,
            &created.config,
            how,
        )?;
        engine.hand_over(order)?;
        output::print(&format!("{id}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let order = engine.order(
        created.held,
        created.id,
        &created.name,
        &created.config,
        How::Foreground,
    )?;
    let code = hull_monitor::supervise(&order.handover, order.descriptors)
        .map_err(hull_engine::EngineError::from)?;
    engine.leave();
    Ok(ExitCode::from(code))
}
