//! Help: the overview of all verbs, and one verb's page.

use std::{fmt::Write, process::ExitCode};

use crate::{
    Failure, output,
    verbs::{Section, VERBS, Verb},
};

/// Prints which verbs there are.
pub(crate) fn overview() -> Result<ExitCode, Failure> {
    output::print(&overview_text())?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a verb's page.
pub(crate) fn print(verb: &Verb) -> Result<ExitCode, Failure> {
    let page = verb.page().render_help();
    if output::in_colour() {
        output::print(&page.ansi().to_string())?;
    } else {
        output::print(&page.to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn overview_text() -> String {
    let mut text = String::from(
        "Containers without a daemon\n\nUsage: hull [--root DIR] COMMAND [OPTIONS] ...\n",
    );
    let width = VERBS.iter().map(|verb| verb.name.len()).max().unwrap_or(0);
    for (section, title) in Section::ALL {
        let verbs = VERBS.iter().filter(|verb| verb.section == section);
        for (at, verb) in verbs.enumerate() {
            if at == 0 {
                // Writing to a String cannot fail.
                let _ = write!(text, "\n{title}:\n");
            }
            let _ = writeln!(text, "  {:width$}  {}", verb.name, verb.about());
        }
    }
    text.push_str(
        "\nOptions:\n  --root DIR   Keep everything below this directory [env: HULL_ROOT]\n  --version    Print the version\n  --help       Print this\n\n`hull COMMAND --help` says more. First steps: hull run --rm @host -- cat /etc/os-release\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overview_is_as_reviewed() {
        insta::assert_snapshot!(overview_text());
    }
}
