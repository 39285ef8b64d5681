//! Where the image comes from.

use hull_engine::request::RunRequest;

use super::{Group, Opt, Typed};
use crate::usage::UsageError;

const PULL: Opt = Opt::value(
    "pull",
    "WHEN",
    "When to ask the registry for the image: always, missing (the default) or never",
);
const PLATFORM: Opt = Opt::value(
    "platform",
    "OS/ARCH",
    "Take the image for another platform, such as linux/arm64",
);
pub(super) const INSECURE: Opt = Opt::values(
    "insecure-registry",
    "HOST",
    "Speak plain HTTP to this registry (loopback needs no naming)",
);
pub(super) const QUIET: Opt =
    Opt::switch("quiet", "Show no progress while the image is pulled").short('q');

pub(super) const GROUP: Group = Group {
    heading: "Image",
    options: &[&PULL, &PLATFORM, &INSECURE, &QUIET],
};

pub(super) fn put(typed: &Typed<'_>, request: &mut RunRequest) -> Result<(), UsageError> {
    request.pull = typed.one(&PULL)?.unwrap_or_default();
    request.platform = typed.one(&PLATFORM)?;
    Ok(())
}
