use std::process::ExitCode;

use super::{
    Perform,
    each::{Each, each},
    start::start,
};
use crate::{
    Failure,
    args::{Globals, Restart},
};

impl Perform for Restart {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        each(&self.containers, |container| {
            let listed = engine.find(container.as_str())?;
            let _stays = engine.restarting(&listed)?;
            let id = listed.container().id.to_string();
            engine.stop(&id, self.signal, self.timeout)?;
            start(&engine, &id)?;
            Ok(Each::Named)
        })
    }
}
