use std::process::ExitCode;

use hull_engine::ImageFormat;

use super::{
    Perform,
    streams::{Destination, unless_nobody_reads},
};
use crate::{
    Failure,
    args::{ArchiveFormat, Globals, Save},
};

impl Perform for Save {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let format = match self.format {
            ArchiveFormat::DockerArchive => ImageFormat::DockerArchive,
            ArchiveFormat::OciArchive => ImageFormat::OciArchive,
        };
        let engine = globals.engine()?;
        let images: Vec<&str> = self.images.iter().map(String::as_str).collect();
        let mut out = Destination::open("save", self.output.as_deref())?;
        let saved = engine.save_images(&images, &mut out, format);
        saved.map_err(|error| unless_nobody_reads(error.into()))?;
        out.finish()?;
        Ok(ExitCode::SUCCESS)
    }
}
