//! Asking before something is removed.

use std::io::{self, BufRead};

use crate::{Failure, output};

/// Says what will happen and asks whether it may. No answer is no.
pub(super) fn confirmed(warning: &str) -> Result<bool, Failure> {
    output::print(&format!(
        "WARNING! {warning}\nAre you sure you want to continue? [y/N] "
    ))?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|source| Failure::Read {
            what: "the answer",
            source,
        })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "Yes"))
}
