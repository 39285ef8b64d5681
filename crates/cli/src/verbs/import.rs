use std::{path::Path, process::ExitCode};

use hull_engine::{Import as What, Input};

use super::{Perform, streams};
use crate::{
    Failure, UsageError,
    args::{Globals, Import},
    output,
};

impl Perform for Import {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        refuse_url(&self.source)?;
        let what = What {
            name: None,
            changes: &self.change,
            message: self.message,
            platform: self.platform,
        };
        let name = self.name.as_deref();
        let engine = globals.engine()?;
        let image = if self.source == Path::new("-") {
            let mut archive = streams::archive_in("import")?;
            engine.import_image(Input::Stream(&mut archive), name, what)?
        } else {
            engine.import_image(Input::Path(&self.source), name, what)?
        };
        output::print(&format!("{}\n", image.id))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Docker's `import` fetches; here only registries are fetched from.
fn refuse_url(source: &Path) -> Result<(), UsageError> {
    let text = source.to_string_lossy();
    let is_url = ["http://", "https://", "ftp://"].iter().any(|scheme| {
        text.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    if !is_url || source.exists() {
        return Ok(());
    }
    Err(UsageError::Words {
        verb: "import".to_owned(),
        problem: format!("does not fetch `{text}`"),
        hint: format!("`curl -fL {text} | hull import - NAME` does"),
    })
}
