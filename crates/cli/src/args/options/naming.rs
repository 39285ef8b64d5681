//! What the container is called and says about itself.

use std::path::Path;

use hull_engine::request::{Label, RunRequest};

use super::{Caller, Group, Opt, Typed, lines};
use crate::usage::{self, UsageError};

const NAME: Opt = Opt::value(
    "name",
    "NAME",
    "Call the container NAME instead of something random",
);
const LABEL: Opt = Opt::values("label", "NAME=VALUE", "Attach a label").short('l');
const LABEL_FILE: Opt = Opt::values(
    "label-file",
    "FILE",
    "Attach the labels in a file, one a line",
);
const ANNOTATION: Opt = Opt::values(
    "annotation",
    "NAME=VALUE",
    "Attach an annotation of the runtime specification",
);
const CIDFILE: Opt = Opt::value("cidfile", "FILE", "Write the container's id to a new file");

pub(super) const GROUP: Group = Group {
    heading: "Name",
    options: &[&NAME, &LABEL, &LABEL_FILE, &ANNOTATION, &CIDFILE],
};

pub(super) fn put(
    typed: &Typed<'_>,
    request: &mut RunRequest,
    caller: Caller<'_>,
) -> Result<(), UsageError> {
    request.name = typed.one(&NAME)?;
    for path in typed.texts(&LABEL_FILE).map(Path::new) {
        for line in lines("--label-file", path, caller)? {
            let label: Label = line
                .text
                .parse()
                .map_err(|error| usage::line("--label-file", path, line.number, error))?;
            request.labels.insert(label.name, label.value);
        }
    }
    for label in typed.all::<Label>(&LABEL)? {
        request.labels.insert(label.name, label.value);
    }
    for annotation in typed.all::<Label>(&ANNOTATION)? {
        request
            .annotations
            .insert(annotation.name, annotation.value);
    }
    request.session.cidfile = typed.text(&CIDFILE).map(Into::into);
    Ok(())
}
