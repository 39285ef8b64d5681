use std::process::ExitCode;

use super::Perform;
use crate::{
    Failure,
    args::{Globals, Pull},
    output,
    progress::{self, Voice},
};

impl Perform for Pull {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        if !self.quiet {
            engine.report_to(progress::to(Voice::Output));
        }
        engine.allow_plain_http(&self.insecure_registry);
        let pulled = engine.pull(&self.name, self.platform.as_ref())?;
        let full = &pulled.name;
        let text = if self.quiet {
            format!("{full}\n")
        } else {
            let status = if pulled.changed {
                "Downloaded newer image"
            } else {
                "Image is up to date"
            };
            let name = full.familiar(engine.images()?.short_names());
            let digest = pulled.image.registry_digest();
            format!("Digest: {digest}\nStatus: {status} for {name}\n{full}\n")
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
