use std::{fmt::Write as _, fs::File, io::Write as _, path::Path, process::ExitCode};

use clap::Command;
use clap_mangen::Man as Page;

use super::{Perform, Section, VERBS, Verb};
use crate::{
    Failure,
    args::{Globals, Man},
    output,
};

impl Perform for Man {
    fn perform(self, _: &Globals) -> Result<ExitCode, Failure> {
        let directory = &self.directory;
        std::fs::create_dir_all(directory).map_err(|source| Failure::Write {
            what: directory.display().to_string(),
            source,
        })?;
        let mut count = 0;
        for (name, text) in pages() {
            write(&self.directory, &name, &text)?;
            count += 1;
        }
        output::print(&format!("{count} pages in {}\n", self.directory.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns every page with its name: `hull`, and one for each verb (`hull-volume-ls`).
fn pages() -> impl Iterator<Item = (String, Vec<u8>)> {
    let overview = std::iter::once(("hull".to_owned(), overview()));
    overview.chain(VERBS.iter().map(|verb| (page_name(verb), page(verb))))
}

fn page_name(verb: &Verb) -> String {
    format!("hull-{}", verb.name.replace(' ', "-"))
}

/// The page of all verbs.
fn overview() -> Vec<u8> {
    let hull = Command::new("hull")
        .about("Containers without a daemon")
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("hull [--root DIR] COMMAND [OPTIONS] ...");
    let page = Page::new(<Globals as clap::Args>::augment_args(hull));
    let mut verbs = String::new();
    for (section, title) in Section::ALL {
        let _ = writeln!(verbs, ".SH {}", title.to_uppercase());
        for verb in VERBS.iter().filter(|verb| verb.section == section) {
            let name = page_name(verb).replace('-', "\\-");
            let _ = writeln!(verbs, ".TP\n\\fB{name}\\fR(1)\n{}", roff(&verb.about()));
        }
    }
    let mut text = Vec::new();
    page.render_title(&mut text)
        .and_then(|()| page.render_name_section(&mut text))
        .and_then(|()| page.render_synopsis_section(&mut text))
        .and_then(|()| text.write_all(verbs.as_bytes()))
        .and_then(|()| page.render_options_section(&mut text))
        .expect("memory takes everything");
    text.extend_from_slice(
        b".SH FILES\n.TP\n/var/lib/hull, /run/hull\nWhat root's installation keeps; elsewhere by \\fB\\-\\-root\\fR or \
          HULL_ROOT, and for ordinary users below $XDG_DATA_HOME and $XDG_RUNTIME_DIR.\n.TP\n/etc/hull/config.json\n\
          Settings.\n.SH EXIT STATUS\nThat of the container for verbs that wait for one, 128 and the signal's number when a \
          signal ended it; 125, 126 and 127 when Hull failed, the command cannot be run, or is not there; 1 when another \
          verb failed.\n",
    );
    text
}

/// The page of one verb.
fn page(verb: &Verb) -> Vec<u8> {
    let mut text = Vec::new();
    Page::new(verb.page().display_name(page_name(verb)))
        .render(&mut text)
        .expect("memory takes everything");
    text.extend_from_slice(b".SH SEE ALSO\n\\fBhull\\fR(1)\n");
    text
}

/// Escapes what roff would take for an order.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}

/// Writes one page. Half a page after a crash is written again by the next call: no record, so no rename.
fn write(directory: &Path, name: &str, text: &[u8]) -> Result<(), Failure> {
    let path = directory.join(format!("{name}.1"));
    let written = File::create(&path).and_then(|mut file| file.write_all(text));
    written.map_err(|source| Failure::Write {
        what: path.display().to_string(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_that_says_how_it_is_typed() {
        let pages: Vec<(String, Vec<u8>)> = pages().collect();
        assert_eq!(pages.len(), VERBS.len() + 1);
        for verb in VERBS {
            let (_, text) = pages
                .iter()
                .find(|(name, _)| *name == page_name(verb))
                .unwrap();
            let text = String::from_utf8_lossy(text);
            assert!(
                text.contains(&format!("hull {}", verb.name)),
                "{}: {text}",
                verb.name
            );
        }
        let overview = String::from_utf8_lossy(&pages[0].1);
        assert!(overview.contains("hull\\-volume\\-ls"), "{overview}");
    }
}
