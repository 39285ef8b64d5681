//! The words after `hull run`, one a line; after an empty line, what every file they name contains.

use std::{ffi::OsString, path::PathBuf};

use hull_cli::args::{Run, options::Caller};
use hull_engine::request::RunRequest;
use hull_net::parse_publish;

/// What was meant survives the record it is kept in; words that make no sense are explained.
pub fn options(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (words, file) = text.split_once("\n\n").unwrap_or((text, ""));
    let words: Vec<OsString> = words.lines().map(OsString::from).collect();
    let caller = Caller {
        variable: &|name| (name != "UNSET").then(|| "value".to_owned()),
        directory: &|| Ok(PathBuf::from("/here")),
        read: &|_| Ok(file.to_owned()),
    };
    let request = match Run::meant(&words, caller) {
        Ok(Some(meant)) => meant.request,
        Ok(None) => return,
        Err(error) => return super::explain(&error),
    };
    for port in &request.network.ports {
        match parse_publish(&port.to_string()) {
            Ok(maps) => assert_eq!(
                maps,
                std::slice::from_ref(port),
                "`{port}` is not read as it is written"
            ),
            Err(error) => panic!("`{port}` is written and not read: {error}"),
        }
    }
    let record = serde_json::to_string(&request).expect("a request can be written");
    let again: RunRequest = serde_json::from_str(&record)
        .unwrap_or_else(|error| panic!("`{record}` is not read: {error}"));
    let kept = RunRequest {
        session: again.session.clone(),
        ..request
    };
    assert_eq!(again, kept);
}
