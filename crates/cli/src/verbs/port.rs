use std::process::ExitCode;

use hull_engine::EngineError;
use serde_json::{Value, json};

use super::Perform;
use crate::{
    Failure,
    args::{Globals, Port},
    format::List,
    output,
};

/// What `port` prints: one published port a line.
const LIST: List = List {
    fields: &[
        ("Port", "PORT"),
        ("HostIp", "HOST IP"),
        ("HostPort", "HOST PORT"),
    ],
    usual: r"{{.Port}} -> {{.HostIp}}:{{.HostPort}}",
};

impl Perform for Port {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let listed = engine.find(self.container.as_str())?;
        let asked = self.port.as_deref().map(with_protocol);
        let rows: Vec<Value> = hull_engine::ports(&listed)
            .iter()
            .map(|port| {
                json!({
                    "Port": format!("{}/{}", port.container_port, port.protocol),
                    "HostIp": port.address().to_string(),
                    "HostPort": port.host_port,
                })
            })
            .filter(|row| asked.as_deref().is_none_or(|asked| row["Port"] == asked))
            .collect();
        if let (Some(asked), true) = (&asked, rows.is_empty()) {
            return Err(not_published(asked, &listed.container().name.to_string()));
        }
        let usual = match &asked {
            Some(_) => "{{.HostIp}}:{{.HostPort}}",
            None => LIST.usual,
        };
        let format = self.format.as_deref().unwrap_or(usual);
        output::print(&LIST.text(Some(format), &rows)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn with_protocol(port: &str) -> String {
    match port.contains('/') {
        true => port.to_ascii_lowercase(),
        false => format!("{port}/tcp"),
    }
}

fn not_published(port: &str, container: &str) -> Failure {
    EngineError::NotPublished {
        port: port.to_owned(),
        container: container.to_owned(),
    }
    .into()
}
