//! `cargo xtask debian-source DIR PACKAGE…`: Debian source packages, for the suites we borrow.
//!
//! From the machine's own mirror, with lists of its own: the machine's apt settings stay as they are.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::{options::Options, run};

pub(crate) fn command(words: &[String]) -> Result<ExitCode> {
    let words = Options::new(words).rest()?;
    let Some((dir, packages)) = words
        .split_first()
        .filter(|(_, packages)| !packages.is_empty())
    else {
        bail!("give a directory and the names of packages");
    };
    for path in unpack(Path::new(dir), packages)? {
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Unpacks the upstream sources of `packages` into directories of their names; returns those.
pub(crate) fn unpack(dir: &Path, packages: &[String]) -> Result<Vec<PathBuf>> {
    let apt = Apt::new(dir)?;
    apt.run(&["update"])?;
    packages.iter().map(|package| apt.source(package)).collect()
}

/// apt-get with its own lists of sources.
struct Apt {
    dir: PathBuf,
    downloads: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(dir: &Path) -> Result<Self> {
        let make = |path: &Path| {
            std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
        };
        make(dir)?;
        let dir = dir.canonicalize()?;
        let (parts, lists, downloads) = (
            dir.join(".apt/parts"),
            dir.join(".apt/lists"),
            dir.join(".apt/downloads"),
        );
        make(&parts)?;
        make(&lists.join("partial"))?;
        make(&downloads)?;
        std::fs::write(parts.join("sources.sources"), source_lists()?)?;
        let options = [
            "Dir::Etc::SourceList=/dev/null".to_owned(),
            format!("Dir::Etc::SourceParts={}", parts.display()),
            format!("Dir::State::Lists={}", lists.display()),
            "Dir::Cache::srcpkgcache=".to_owned(),
            "Dir::Cache::pkgcache=".to_owned(),
        ];
        Ok(Self {
            dir,
            downloads,
            options: options.into(),
        })
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new("apt-get");
        command.arg("-qq").current_dir(&self.downloads);
        for option in &self.options {
            command.arg("-o").arg(option);
        }
        run::checked(command.args(words)).map(drop)
    }

    fn source(&self, package: &str) -> Result<PathBuf> {
        self.run(&["source", "--download-only", package])?;
        let archive = std::fs::read_dir(&self.downloads)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| is_upstream_archive(package, path))
            .with_context(|| format!("the source package {package} has no upstream archive"))?;
        let dir = self.dir.join(package);
        std::fs::create_dir_all(&dir)?;
        run::checked(
            Command::new("tar")
                .arg("-xf")
                .arg(archive)
                .arg("-C")
                .arg(&dir)
                .arg("--strip-components=1"),
        )?;
        Ok(dir)
    }
}

fn is_upstream_archive(package: &str, path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(&format!("{package}_"))
        && name.contains(".orig.tar.")
        && !name.ends_with(".asc")
}

/// The machine's own sources, as sources of sources.
fn source_lists() -> Result<String> {
    let path = "/etc/apt/sources.list.d/debian.sources";
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(text
        .lines()
        .map(|line| {
            if line.starts_with("Types:") {
                "Types: deb-src"
            } else {
                line
            }
        })
        .collect::<Vec<_>>()
        .join("\n")
        + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_archive_is_told_from_the_rest() {
        let is = |name: &str| is_upstream_archive("runc", Path::new(name));
        assert!(is("runc_1.1.5+ds1.orig.tar.xz"));
        assert!(!is("runc_1.1.5+ds1-1+deb12u1.debian.tar.xz"));
        assert!(!is("runc_1.1.5.orig.tar.xz.asc"));
        assert!(!is("crun_1.8.1.orig.tar.gz"));
    }
}
