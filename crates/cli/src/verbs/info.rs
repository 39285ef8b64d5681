use std::process::ExitCode;

use serde_json::Value;

use super::Perform;
use crate::{
    Failure,
    args::{Globals, Info},
    format::{self, human},
    output,
};

/// Field, and what the reader is told it is.
const LINES: [(&str, &str); 18] = [
    ("Containers", "Containers"),
    ("ContainersRunning", " Running"),
    ("ContainersPaused", " Paused"),
    ("ContainersStopped", " Stopped"),
    ("ContainersLost", " Lost"),
    ("Images", "Images"),
    ("ServerVersion", "Version"),
    ("Driver", "Storage driver"),
    ("LoggingDriver", "Logging driver"),
    ("CgroupMode", "Cgroup version"),
    ("CgroupControllers", "Cgroup controllers"),
    ("SecurityOptions", "Security"),
    ("KernelVersion", "Kernel"),
    ("OperatingSystem", "Operating system"),
    ("Architecture", "Architecture"),
    ("NCPU", "CPUs"),
    ("MemTotal", "Total memory"),
    ("HullRootDir", "Root directory"),
];

impl Perform for Info {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let info = globals.engine()?.info()?;
        let text = match &self.format {
            Some(format) => format::one(format, &info)?,
            None => text(&info),
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn text(info: &Value) -> String {
    let line = |(field, name): &(&str, &str)| {
        let value = match (&info[*field], *field) {
            (Value::Number(bytes), "MemTotal") => human::size(bytes.as_u64().unwrap_or(0)),
            (Value::String(text), _) => text.clone(),
            (Value::Array(list), _) => {
                let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                texts.join(if *field == "SecurityOptions" {
                    "; "
                } else {
                    " "
                })
            }
            (other, _) => other.to_string(),
        };
        format!("{name}: {value}\n")
    };
    LINES.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_sizes_are_words() {
        let info = serde_json::json!({
            "Containers": 2, "CgroupControllers": ["cpu", "memory"], "MemTotal": 8_000_000_000_u64,
            "SecurityOptions": ["a b", "c"],
        });
        let text = text(&info);
        for line in [
            "Containers: 2\n",
            "Cgroup controllers: cpu memory\n",
            "Total memory: 8GB\n",
            "Security: a b; c\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
