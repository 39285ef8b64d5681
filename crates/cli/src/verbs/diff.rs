use std::process::ExitCode;

use serde_json::{Value, json};

use super::Perform;
use crate::{
    Failure,
    args::{Diff, Globals},
    format::List,
    output,
};

const LIST: List = List {
    fields: &[("Type", "CHANGE TYPE"), ("Path", "PATH")],
    usual: "{{.Type}}\t{{.Path}}",
};

impl Perform for Diff {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let differences = globals.engine()?.diff(self.container.as_str())?;
        let text = match self.format.as_deref() {
            None => differences.iter().map(|one| format!("{one}\n")).collect(),
            format => {
                let row = |one: &hull_engine::Difference| json!({"Type": one.kind.to_string(), "Path": one.path.to_string_lossy()});
                LIST.text(format, &differences.iter().map(row).collect::<Vec<Value>>())?
            }
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
