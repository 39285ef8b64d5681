use std::process::ExitCode;

use hull_engine::EngineError;

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
            if listed.config.request.remove && listed.is_alive() {
                return Err(EngineError::WrongState {
                    name: container.to_string(),
                    is: "to be removed when it ends (--rm)",
                    hint: "so it cannot be started again: `hull stop` it and `hull run` another",
                });
            }
            let id = listed.container().id.to_string();
            engine.stop(&id, self.signal, self.timeout)?;
            start(&engine, &id)?;
            Ok(Each::Named)
        })
    }
}
