//! A registry of the test's own, which serves an image layout: with a login, with faults, as told.
//!
//! Debian's docker-registry is the honest one; this is for what that cannot do: hand out tokens, and lie.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::sha256;

/// Changes what is sent for a path.
pub type Change = fn(&str, &mut Vec<u8>);

/// How it serves.
#[derive(Clone, Copy, Debug)]
pub struct Serving {
    pub login: Login,
    /// Is applied when the length has been stated.
    pub change: Change,
}

/// What it wants before it gives anything. The user is `alice`, the password `secret`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    Nothing,
    /// A token, which its token server gives to everybody.
    Token,
    /// A token, which its token server gives for the password.
    TokenForPassword,
}

/// The registry, on a port of 127.0.0.1, until the test ends.
#[derive(Debug)]
pub struct Registry {
    /// `127.0.0.1:PORT`.
    pub host: String,
}

/// `alice:secret`, as HTTP says it.
const PASSWORD: &str = "Basic YWxpY2U6c2VjcmV0";
const TOKEN: &str = "Bearer granted";

impl Registry {
    /// Serves the images of a layout, by their names there as tags, under the repository `team/shop`.
    pub fn serve(layout: &Path, serving: Serving) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is up");
        let host = listener.local_addr().expect("it is bound").to_string();
        let shop = Arc::new(Shop {
            layout: layout.to_owned(),
            host: host.clone(),
            serving,
        });
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shop = Arc::clone(&shop);
                // A client that hangs up early is part of the test.
                std::thread::spawn(move || drop(shop.answer(stream)));
            }
        });
        Self { host }
    }
}

struct Shop {
    layout: PathBuf,
    host: String,
    serving: Serving,
}

struct Answer {
    status: &'static str,
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Answer {
    fn json(status: &'static str, value: &Value) -> Self {
        Self {
            status,
            headers: vec!["Content-Type: application/json".to_owned()],
            body: value.to_string().into_bytes(),
        }
    }

    fn error(status: &'static str, code: &str) -> Self {
        let message = code.to_lowercase().replace('_', " ");
        Self::json(
            status,
            &json!({"errors": [{"code": code, "message": message}]}),
        )
    }
}

impl Shop {
    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut writer = stream.try_clone()?;
        let mut reader = BufReader::new(stream);
        if reader.fill_buf()?.first() == Some(&0x16) {
            // A TLS greeting: what a plain server makes of it.
            return writer.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n");
        }
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let mut authorization = String::new();
        for header in reader.by_ref().lines() {
            let header = header?;
            match header.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                    value.clone_into(&mut authorization);
                }
                _ if header.is_empty() => break,
                _ => {}
            }
        }
        let mut answer = self.answer_to(&path, &authorization);
        let mut head = format!(
            "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            answer.status,
            answer.body.len()
        );
        for header in &answer.headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        writer.write_all(head.as_bytes())?;
        writer.write_all(b"\r\n")?;
        if method == "HEAD" {
            return Ok(());
        }
        (self.serving.change)(&path, &mut answer.body);
        writer.write_all(&answer.body)
    }

    fn answer_to(&self, path: &str, authorization: &str) -> Answer {
        if path.starts_with("/token") {
            let known = self.serving.login == Login::Token || authorization == PASSWORD;
            return match known {
                true => Answer::json("200 OK", &json!({"token": "granted"})),
                false => Answer::error("401 Unauthorized", "UNAUTHORIZED"),
            };
        }
        if self.serving.login != Login::Nothing && authorization != TOKEN {
            let mut answer = Answer::error("401 Unauthorized", "UNAUTHORIZED");
            answer.headers.push(format!(
                "WWW-Authenticate: Bearer realm=\"http://{}/token\",service=\"test\",scope=\"repository:team/shop:pull\"",
                self.host
            ));
            return answer;
        }
        if path == "/v2/" {
            return Answer::json("200 OK", &json!({}));
        }
        let asked = path.strip_prefix("/v2/team/shop/");
        match asked {
            Some(rest) => self.object(rest),
            None => Answer::error("404 Not Found", "NAME_UNKNOWN"),
        }
    }

    fn object(&self, asked: &str) -> Answer {
        let (kind, name) = asked.split_once('/').unwrap_or((asked, ""));
        let digest = match kind {
            "manifests" => self.tagged(name).unwrap_or_else(|| name.to_owned()),
            _ => name.to_owned(),
        };
        let file = self
            .layout
            .join("blobs/sha256")
            .join(digest.trim_start_matches("sha256:"));
        match std::fs::read(file) {
            Err(_) => Answer::error("404 Not Found", "MANIFEST_UNKNOWN"),
            Ok(body) => {
                let document: Value = serde_json::from_slice(&body).unwrap_or_default();
                let media_type = match kind {
                    "manifests" => document["mediaType"].as_str().unwrap_or_default(),
                    _ => "application/octet-stream",
                };
                let headers = vec![
                    format!("Content-Type: {media_type}"),
                    format!("Docker-Content-Digest: {digest}"),
                ];
                Answer {
                    status: "200 OK",
                    headers,
                    body,
                }
            }
        }
    }

    fn tagged(&self, tag: &str) -> Option<String> {
        let index = std::fs::read(self.layout.join("index.json")).ok()?;
        let index: Value = serde_json::from_slice(&index).ok()?;
        let mut entries = index["manifests"].as_array()?.iter();
        let entry = entries
            .find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == tag)?;
        Some(entry["digest"].as_str()?.to_owned())
    }
}

/// Joins layouts of one image each into one whose image is for the platforms of all; returns the index's digest.
pub fn join_platforms(layouts: &[(&str, PathBuf)], into: &Path, name: &str) -> String {
    let read = |path: PathBuf| std::fs::read(path).expect("the test has written it");
    let blobs = into.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).expect("the test's own directory is writable");
    let put = |path: PathBuf, bytes: &[u8]| {
        let mut file = std::fs::File::create(path).expect("the test's own directory is writable");
        file.write_all(bytes).expect("the disk has room");
    };
    let mut manifests = Vec::new();
    for (architecture, layout) in layouts {
        let index: Value =
            serde_json::from_slice(&read(layout.join("index.json"))).expect("it is JSON");
        let mut manifest = index["manifests"][0].clone();
        manifest["platform"] = json!({"architecture": architecture, "os": "linux"});
        manifests.push(manifest);
        for blob in std::fs::read_dir(layout.join("blobs/sha256")).expect("it has blobs") {
            let blob = blob.expect("the directory can be read");
            put(blobs.join(blob.file_name()), &read(blob.path()));
        }
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
    let index = index.to_string();
    let digest = sha256(index.as_bytes());
    put(blobs.join(&digest), index.as_bytes());
    let outer = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": [{
        "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": index.len(),
        "annotations": {"org.opencontainers.image.ref.name": name}
    }]});
    put(into.join("index.json"), outer.to_string().as_bytes());
    put(
        into.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    );
    format!("sha256:{digest}")
}
