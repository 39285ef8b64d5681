//! `--format` templates.

use hull_engine::template::Template;
use serde_json::{Value, json};

/// A template is rendered or explained; the same one twice gives the same text.
pub fn template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let template: Template = match text.parse() {
        Ok(template) => template,
        Err(error) => return super::explain(&error),
    };
    for value in [object(), Value::Null, json!([1, "two", null])] {
        match template.render(&value) {
            Ok(rendered) => assert_eq!(template.render(&value).as_ref(), Ok(&rendered)),
            Err(error) => super::explain(&error),
        }
    }
}

fn object() -> Value {
    json!({
        "Name": "/web",
        "State": { "Status": "running", "Running": true, "Pid": 4711, "Load": 0.5 },
        "Mounts": [{ "Source": "/a", "RW": false }, { "Source": "/b", "RW": true }],
        "Config": { "Labels": { "a": "1", "b": "" }, "Cmd": null, "Env": ["A=b", "PATH=/bin"] },
    })
}
