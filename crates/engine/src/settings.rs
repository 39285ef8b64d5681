//! What an installation's owner decided: `<root>/config.json`, or else `/etc/hull/config.json`.
//!
//! ```json
//! {
//!   "short-names": { "registry": "docker.io", "namespace": "library" },
//!   "insecure-registries": ["registry.lan:5000"],
//!   "certificates": "/etc/ssl/our-authority.pem"
//! }
//! ```

use std::path::{Path, PathBuf};

use hull_types::ShortNames;
use rustix::io::Errno;
use serde::Deserialize;

use crate::EngineError;

/// The settings; what is not said is as the default says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Settings {
    short_names: ShortNamesRule,
    /// Registries (`host` or `host:port`) that may be spoken to without encryption. This machine always may.
    pub insecure_registries: Vec<String>,
    /// Certificate authorities to use instead of the system's, as PEM.
    pub certificates: Option<PathBuf>,
}

/// What names without a registry mean.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShortNamesRule {
    registry: String,
    #[serde(default)]
    namespace: Option<String>,
}

impl Default for ShortNamesRule {
    fn default() -> Self {
        let ShortNames {
            registry,
            namespace,
        } = ShortNames::default();
        Self {
            registry,
            namespace,
        }
    }
}

impl Settings {
    /// Reads the settings of the installation at `root`.
    pub fn read(root: &Path) -> Result<Self, EngineError> {
        for path in [root.join("config.json"), "/etc/hull/config.json".into()] {
            match std::fs::read(&path) {
                Ok(text) => {
                    return serde_json::from_slice(&text)
                        .map_err(|source| EngineError::Settings { path, source });
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(EngineError::File {
                        what: "read",
                        path,
                        source: Errno::from_io_error(&error).unwrap_or(Errno::IO),
                    });
                }
            }
        }
        Ok(Self::default())
    }

    /// Returns what names without a registry mean.
    pub fn short_names(&self) -> ShortNames {
        ShortNames {
            registry: self.short_names.registry.clone(),
            namespace: self.short_names.namespace.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: Option<&str>) -> Result<Settings, EngineError> {
        let home = tempfile::tempdir().unwrap();
        if let Some(text) = text {
            let mode = rustix::fs::Mode::RUSR;
            let cached = hull_fs::Durability::Cached;
            hull_fs::replace(
                &home.path().join("config.json"),
                text.as_bytes(),
                mode,
                cached,
            )
            .unwrap();
        }
        Settings::read(home.path())
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(read(Some("{}")).unwrap(), Settings::default());
        let settings = read(Some(
            r#"{"short-names": {"registry": "registry.lan"}, "insecure-registries": ["registry.lan:5000"]}"#,
        ))
        .unwrap();
        assert_eq!(settings.short_names().registry, "registry.lan");
        assert_eq!(settings.short_names().namespace, None);
        assert_eq!(settings.insecure_registries, ["registry.lan:5000"]);
    }

    #[test]
    fn a_misspelt_setting_is_not_passed_over() {
        let error = read(Some(r#"{"insecure-registry": []}"#)).unwrap_err();
        assert!(
            error.to_string().ends_with("config.json cannot be used"),
            "{error}"
        );
    }
}
