use std::process::ExitCode;

use hull_engine::request::Streams;

use super::{
    Perform,
    attached::{self, Wanted},
};
use crate::{
    Failure,
    args::{Attach, Globals},
};

impl Perform for Attach {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let listed = engine.find(self.container.as_str())?;
        let socket = engine.attach(&listed)?;
        let process = &listed.config.request.process;
        let stdin = !self.no_stdin && process.interactive;
        attached::terminal_agrees("attach", process.terminal, stdin)?;
        let wanted = Wanted {
            streams: Streams {
                stdin,
                stdout: true,
                stderr: true,
            },
            keys: self.detach_keys.unwrap_or_default(),
            passing: attached::passing(self.sig_proxy, process.terminal, stdin),
            // Whoever comes by must not end what others type into.
            ends_input: false,
        };
        let container = listed.container();
        let name = attached::Name {
            id: &container.id,
            name: &container.name,
            terminal: process.terminal,
        };
        attached::join(&engine, &name, socket, wanted)
    }
}
