use std::{ffi::OsString, process::ExitCode};

use hull_engine::{
    Created, Engine, EngineError, How,
    request::{Session, Streams},
};

use super::{
    Verb,
    attached::{self, Wanted},
};
use crate::{
    Failure,
    args::{Globals, Run, options::Caller},
    help, output, progress,
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
    let process = &meant.request.process;
    let (terminal, interactive) = (process.terminal, process.interactive);
    let session = meant.request.session.clone();
    let streams = streams(&session, interactive);
    if !session.detach {
        attached::terminal_agrees("run", terminal, streams.stdin)?;
    }
    let engine = meant.globals.or(before).engine()?;
    progress::of_container(&engine, meant.quiet, &meant.insecure);
    let created = engine.create(meant.request)?;
    output::notes(&created.notes);
    if session.detach {
        behind(&engine, created)
    } else if terminal || session.attach.is_some() || !session.pass_signals {
        let code = client(&engine, created, session, streams)?;
        engine.leave();
        Ok(code)
    } else {
        foreground(engine, created)
    }
}

/// Says which of the caller's streams take part: those named, or the usual ones.
fn streams(session: &Session, interactive: bool) -> Streams {
    let streams = session.attach.unwrap_or(Streams {
        stdin: interactive,
        stdout: true,
        stderr: true,
    });
    Streams {
        stdin: streams.stdin && interactive,
        ..streams
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
    let started = engine.hand_over(order)?;
    output::notes(&started.warnings);
    output::print(&format!("{id}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// A monitor stays behind, and this process is its client: it may be killed, or leave.
fn client(
    engine: &Engine,
    created: Created,
    session: Session,
    streams: Streams,
) -> Result<ExitCode, Failure> {
    let terminal = created.config.request.process.terminal;
    if !streams.stdout && !streams.stderr {
        output::print(&format!("{}\n", created.id))?;
    }
    let wanted = Wanted {
        streams,
        keys: session.detach_keys.unwrap_or_default(),
        passing: attached::passing(session.pass_signals, terminal, streams.stdin),
        ends_input: true,
    };
    attached::start(engine, created, wanted)
}

/// This process becomes the monitor.
fn foreground(engine: Engine, created: Created) -> Result<ExitCode, Failure> {
    let (name, config) = (&created.name, &created.config);
    let order = engine.order(created.held, created.id, name, config, How::Foreground)?;
    let code = hull_monitor::supervise(&order.handover, order.descriptors, |warnings| {
        output::notes(warnings);
    });
    engine.leave();
    // The process ends now: to take apart what it knew would be for nothing.
    std::mem::forget((created.config, order.handover));
    Ok(ExitCode::from(code.map_err(EngineError::from)?))
}
