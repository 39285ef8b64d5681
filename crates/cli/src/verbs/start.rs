use std::process::ExitCode;

use hull_engine::{Engine, EngineError, How, request::Streams};

use super::{
    Perform,
    attached::{self, Wanted},
    each::{Each, each},
};
use crate::{
    Failure, UsageError,
    args::{Globals, Start},
    output,
};

impl Perform for Start {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        match &self.containers[..] {
            [one] if self.attach || self.interactive => self.attached(&engine, one.as_str()),
            several if self.attach || self.interactive => {
                let error = UsageError::Words {
                    verb: "start".to_owned(),
                    problem: format!("cannot attach to {} containers at once", several.len()),
                    hint: "name one container, or leave -a and -i out".to_owned(),
                };
                Err(error.into())
            }
            several => each(several, |container| {
                start(&engine, container.as_str())?;
                Ok(Each::Named)
            }),
        }
    }
}

impl Start {
    fn attached(&self, engine: &Engine, container: &str) -> Result<ExitCode, Failure> {
        let listed = engine.find(container)?;
        let process = &listed.config.request.process;
        let terminal = process.terminal;
        let stdin = self.interactive && process.interactive;
        attached::terminal_agrees("start", terminal, stdin)?;
        let wanted = Wanted {
            streams: Streams {
                stdin,
                stdout: true,
                stderr: true,
            },
            keys: self.detach_keys.clone().unwrap_or_default(),
            passing: attached::passing(true, terminal, stdin),
            ends_input: true,
        };
        if listed.is_supervised() {
            let socket = engine.attach(&listed)?;
            let container = listed.container();
            let name = attached::Name {
                id: &container.id,
                name: &container.name,
                terminal,
            };
            return attached::join(engine, &name, socket, wanted);
        }
        let created = engine.take_up(container)?;
        attached::start(engine, created, wanted)
    }
}

/// Starts a container in the background, unless it runs already.
pub(super) fn start(engine: &Engine, container: &str) -> Result<(), EngineError> {
    if engine.find(container)?.is_supervised() {
        return Ok(());
    }
    let created = engine.take_up(container)?;
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
    let started = engine.hand_over(order)?;
    output::notes(&started.warnings);
    Ok(())
}
