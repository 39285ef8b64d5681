use std::process::ExitCode;

use serde_json::json;

use super::Perform;
use crate::{
    Failure,
    args::{Globals, Version},
    format, output,
};

impl Perform for Version {
    fn perform(self, _: &Globals) -> Result<ExitCode, Failure> {
        let system = rustix::system::uname();
        let platform = hull_types::Platform::host();
        let mut version = json!({
            "Version": env!("CARGO_PKG_VERSION"),
            "Os": platform.os,
            "Arch": platform.architecture,
            "KernelVersion": system.release().to_string_lossy(),
        });
        // Docker's templates ask one of its two programs; here both are this one.
        let both = version.clone();
        version["Client"] = both.clone();
        version["Server"] = both;
        let text = match &self.format {
            Some(format) => format::one(format, &version)?,
            None => format::one(
                r"Version:  {{.Version}}\nOS/Arch:  {{.Os}}/{{.Arch}}\nKernel:   {{.KernelVersion}}",
                &version,
            )?,
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
