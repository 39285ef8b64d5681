//! What is kept of the container's output.

use hull_engine::request::RunRequest;

use super::{Group, Opt, Typed};
use crate::usage::{self, UsageError};

const LOG_DRIVER: Opt = Opt::value(
    "log-driver",
    "DRIVER",
    "Keep the output in files (the default) or not at all (none)",
);
const LOG_OPT: Opt = Opt::values(
    "log-opt",
    "NAME=VALUE",
    "Bound the files: max-size=10m, max-file=3",
);

pub(super) const GROUP: Group = Group {
    heading: "Log",
    options: &[&LOG_DRIVER, &LOG_OPT],
};

pub(super) fn put(typed: &Typed<'_>, request: &mut RunRequest) -> Result<(), UsageError> {
    request.log.driver = typed.filled(&LOG_DRIVER)?.unwrap_or_default();
    for word in typed.texts(&LOG_OPT) {
        let set = request.log.set(word);
        set.map_err(|error| usage::wrong("--log-opt", word, error))?;
    }
    Ok(())
}
