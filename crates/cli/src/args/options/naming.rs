use std::path::PathBuf;

use hull_engine::request::{Label, RunRequest};

use super::{Caller, lines};
use crate::usage::{self, UsageError};

/// What the container is called and says about itself.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Name")]
pub struct NamingOptions {
    /// Call the container NAME instead of something random
    #[arg(long)]
    name: Option<String>,
    /// Attach a label
    #[arg(short, long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Attach the labels in a file, one a line
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Attach an annotation of the runtime specification
    #[arg(long, value_name = "NAME=VALUE")]
    annotation: Vec<String>,
    /// Write the container's id to a new file
    #[arg(long, value_name = "FILE")]
    cidfile: Option<PathBuf>,
}

impl NamingOptions {
    pub(super) fn put(
        self,
        request: &mut RunRequest,
        caller: Caller<'_>,
    ) -> Result<(), UsageError> {
        request.name = usage::optional("--name", self.name.as_deref())?;
        for path in &self.label_file {
            for line in lines("--label-file", path, caller)? {
                let label: Label = line
                    .text
                    .parse()
                    .map_err(|error| usage::line("--label-file", path, line.number, error))?;
                request.labels.insert(label.name, label.value);
            }
        }
        for label in usage::all::<Label>("--label", &self.label)? {
            request.labels.insert(label.name, label.value);
        }
        for annotation in usage::all::<Label>("--annotation", &self.annotation)? {
            request
                .annotations
                .insert(annotation.name, annotation.value);
        }
        request.session.cidfile = self.cidfile;
        Ok(())
    }
}
