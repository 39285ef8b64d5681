//! Verbs that do the same to several things: what fails is told at once, and the others are done all the same.

use std::{fmt::Display, process::ExitCode};

use hull_engine::EngineError;

use crate::{Failure, output};

/// What became of one of them.
pub(super) enum Each {
    /// Print it as it was typed.
    Named,
    /// Print this.
    Says(String),
    Silent,
}

/// Does something to each thing named. The exit code is 1 if anything failed.
pub(super) fn each<T: Display>(
    things: &[T],
    mut act: impl FnMut(&T) -> Result<Each, EngineError>,
) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    for thing in things {
        match act(thing) {
            Ok(Each::Named) => output::print(&format!("{thing}\n"))?,
            Ok(Each::Says(words)) => output::print(&format!("{words}\n"))?,
            Ok(Each::Silent) => {}
            Err(error) => {
                output::complain(&Failure::from(error).report());
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
