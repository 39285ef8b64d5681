//! `hull import`: an image of one layer out of a bare root file system, a tar or a directory.

mod change;
mod sparse;
mod walk;

use std::{fs::File, path::Path};

use hull_spec::image::{History, ImageConfig};
use hull_types::{Platform, Reference, Timestamp};

pub use change::{InvalidChange, apply as apply_changes};

use crate::{Image, ImageError, Images, Input, NewImage, NewLayer};

/// What an imported file system becomes besides a layer.
#[derive(Clone, Debug, Default)]
pub struct Import<'a> {
    pub name: Option<&'a Reference>,
    /// Instructions as in a Dockerfile: `CMD ["sh"]`, `ENV A=b`…
    pub changes: &'a [String],
    /// A comment for the history.
    pub message: Option<String>,
    /// What it runs on; this machine, if nothing is said.
    pub platform: Option<Platform>,
}

impl Images {
    /// Makes an image of one layer.
    ///
    /// A tar is stored as it came, with gzip, zstd or no compression, and read once. Of a directory, what lies on its own file
    /// system is taken; sockets are left out, as tar does.
    pub fn import(&self, input: Input<'_>, import: &Import<'_>) -> Result<Image, ImageError> {
        let label = input.label();
        let (config, history) = describe(import, &label)?;
        let add = |layer| {
            self.add(NewImage {
                base: None,
                layer,
                config,
                history,
                name: import.name,
            })
        };
        match input {
            Input::Path(path) if path.is_dir() => {
                let mut write = |out: &mut dyn std::io::Write| Ok(walk::write_tree(path, out)?);
                add(NewLayer::Write(&mut write))
            }
            Input::Path(path) => {
                let mut file = open(path)?;
                add(NewLayer::Read {
                    label: &label,
                    from: &mut file,
                })
            }
            Input::Stream(from) => add(NewLayer::Read {
                label: &label,
                from,
            }),
        }
    }
}

fn open(path: &Path) -> Result<File, ImageError> {
    File::open(path).map_err(|source| ImageError::Access {
        action: "open",
        path: path.to_owned(),
        source,
    })
}

fn describe(import: &Import<'_>, label: &str) -> Result<(ImageConfig, History), ImageError> {
    let platform = import.platform.clone().unwrap_or_else(Platform::host);
    let created = Some(Timestamp::now().to_string());
    let mut config = ImageConfig {
        created: created.clone(),
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant,
        ..ImageConfig::default()
    };
    apply_changes(&mut config.config, import.changes)?;
    let history = History {
        created,
        created_by: Some(format!("hull import {label}")),
        comment: import.message.clone(),
        ..History::default()
    };
    Ok((config, history))
}
