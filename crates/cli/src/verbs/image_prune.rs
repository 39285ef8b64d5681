use std::process::ExitCode;

use super::{Perform, confirm::confirmed, images, rmi};
use crate::{
    Failure,
    args::{Globals, ImagePrune},
    format::human,
    output,
};

impl Perform for ImagePrune {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let filters = images::filters(&engine, &self.filter)?;
        let warning = if self.all {
            "This will remove all images without at least one container associated to them."
        } else {
            "This will remove all dangling images."
        };
        if !self.force && !confirmed(warning)? {
            return Ok(ExitCode::SUCCESS);
        }
        let removed = engine.prune_images(self.all, &filters)?;
        let mut text = String::new();
        let lines = rmi::lines(&engine, &removed)?;
        if !lines.is_empty() {
            text = format!("Deleted Images:\n{}\n\n", lines.join("\n"));
        }
        let freed = human::size(removed.bytes);
        output::print(&format!("{text}Total reclaimed space: {freed}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}
