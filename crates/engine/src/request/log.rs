use std::str::FromStr;

use hull_types::ByteSize;
use serde::{Deserialize, Serialize};

use super::InvalidRequest;
use crate::near::near;

/// Where a container's output goes, and how much of it is kept. `None` leaves Hull's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOptions {
    pub driver: LogDriver,
    /// Bytes of one file before the next begins.
    pub max_size: Option<u64>,
    /// How many files are kept, the one being written included.
    pub max_files: Option<u32>,
    pub mode: LogMode,
}

/// Who keeps the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogDriver {
    /// Hull's own files, in CRI's text format.
    #[default]
    Files,
    /// Nobody.
    None,
}

/// What happens when the disk is slower than the container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogMode {
    /// Its writes wait.
    #[default]
    Blocking,
    /// Lines are dropped, and the log says how many.
    NonBlocking,
}

impl FromStr for LogDriver {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match text {
            // The names by which docker, podman and Kubernetes call plain files.
            "files" | "json-file" | "local" | "k8s-file" | "cri" => Ok(Self::Files),
            "none" => Ok(Self::None),
            _ => Err(InvalidRequest::NotSupported {
                what: "other log drivers",
                word: text.to_owned(),
                instead: "Hull writes bounded files that `hull logs` reads; `none` keeps nothing",
            }),
        }
    }
}

impl LogOptions {
    const KNOWN: [&str; 3] = ["max-size", "max-file", "mode"];

    /// Takes one `--log-opt NAME=value`.
    pub fn set(&mut self, text: &str) -> Result<(), InvalidRequest> {
        let malformed = |example| InvalidRequest::Malformed {
            what: "a log option",
            word: text.to_owned(),
            example,
        };
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| malformed("NAME=value, such as max-size=10m"))?;
        match name {
            "max-size" => {
                let bad = |source| InvalidRequest::BadSize {
                    option: "max-size",
                    source,
                };
                let size: ByteSize = value.parse().map_err(bad)?;
                if size.bytes() < 4096 {
                    return Err(malformed("a max-size of at least 4k"));
                }
                self.max_size = Some(size.bytes());
            }
            "max-file" => {
                let files = value
                    .parse()
                    .ok()
                    .filter(|files| (1..=1000).contains(files));
                self.max_files =
                    Some(files.ok_or_else(|| malformed("max-file=1 to max-file=1000"))?);
            }
            "mode" => {
                self.mode = match value {
                    "blocking" => LogMode::Blocking,
                    "non-blocking" => LogMode::NonBlocking,
                    _ => return Err(malformed("mode=blocking or mode=non-blocking")),
                };
            }
            _ => {
                return Err(InvalidRequest::NoSuch {
                    what: "log option",
                    word: name.to_owned(),
                    known: "max-size, max-file, mode",
                    near: near(name, Self::KNOWN),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_options_are_read_as_docker_writes_them() {
        let mut options = LogOptions::default();
        for text in ["max-size=1m", "max-file=5", "mode=non-blocking"] {
            options.set(text).unwrap();
        }
        let expected = LogOptions {
            driver: LogDriver::Files,
            max_size: Some(1 << 20),
            max_files: Some(5),
            mode: LogMode::NonBlocking,
        };
        assert_eq!(options, expected);
        for bad in [
            "",
            "max-size",
            "max-size=1",
            "max-size=x",
            "max-file=0",
            "mode=fast",
            "max-sise=1m",
        ] {
            assert!(LogOptions::default().set(bad).is_err(), "{bad}");
        }
    }
}
