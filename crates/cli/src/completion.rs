//! The whole tree of commands, for completions and manual pages.

use clap::Command;

use crate::{args::Globals, verbs::VERBS};

/// Builds every verb's definition below `hull`.
pub(crate) fn tree() -> Command {
    let hull = Command::new("hull")
        .about("Containers without a daemon")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true);
    let hull = <Globals as clap::Args>::augment_args(hull);
    // A verb of two words has a page by itself; a tree knows words only.
    let verbs = VERBS.iter().filter(|verb| !verb.name.contains(' '));
    hull.subcommands(verbs.map(|verb| verb.page()))
}
