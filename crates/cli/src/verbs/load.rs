use std::{path::Path, process::ExitCode};

use hull_engine::{Image, Input};
use hull_types::ShortNames;

use super::{Perform, streams};
use crate::{
    Failure,
    args::{Globals, Load},
    output,
};

impl Perform for Load {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let path = self.input.or(self.path);
        let engine = globals.engine()?;
        let platform = self.platform.as_ref();
        let images = match path.as_deref().filter(|path| *path != Path::new("-")) {
            Some(path) => engine.load_images(Input::Path(path), platform)?,
            None => {
                let mut archive = streams::archive_in("load")?;
                engine.load_images(Input::Stream(&mut archive), platform)?
            }
        };
        let short = engine.images()?.short_names();
        output::print(
            &images
                .iter()
                .map(|image| lines(image, short))
                .collect::<String>(),
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Says in docker's words what was loaded.
fn lines(image: &Image, short: &ShortNames) -> String {
    if image.names.is_empty() {
        return format!("Loaded image ID: {}\n", image.id);
    }
    let names = image.names.iter();
    names
        .map(|name| format!("Loaded image: {}\n", name.familiar(short)))
        .collect()
}
