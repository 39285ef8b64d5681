use std::{fs::File, io::Write, path::Path, process::ExitCode};

use super::Perform;
use crate::{
    Failure,
    args::{Globals, Man},
    completion::tree,
    output,
};

impl Perform for Man {
    fn perform(self, _: &Globals) -> Result<ExitCode, Failure> {
        let mut root = tree();
        root.build();
        let pages = std::iter::once(("hull".to_owned(), root.clone())).chain(
            root.get_subcommands()
                .map(|verb| (format!("hull-{}", verb.get_name()), verb.clone())),
        );
        let mut count = 0;
        for (name, command) in pages {
            write(&self.directory, &name, command)?;
            count += 1;
        }
        output::print(&format!("{count} pages in {}\n", self.directory.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Writes one page. Half a page after a crash is written again by the next call: no record, so no rename.
fn write(directory: &Path, name: &str, command: clap::Command) -> Result<(), Failure> {
    let path = directory.join(format!("{name}.1"));
    let mut page = Vec::new();
    let written = clap_mangen::Man::new(command.display_name(name.to_owned()))
        .render(&mut page)
        .and_then(|()| File::create(&path)?.write_all(&page));
    written.map_err(|source| Failure::Write {
        what: path.display().to_string(),
        source,
    })
}
