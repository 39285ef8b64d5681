//! Where measurements take place: Hull's root and every scratch directory on a loop-mounted ext4 with a journal.
//!
//! The machine's own root file system may have no journal, where making files right after removing many is several times
//! slower. The mount is in a mount namespace of this process: it goes when the process does, however that ends.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{rootfs, run, unified, workspace};

/// The image that is started: busybox, one layer.
pub(crate) const IMAGE: &str = "bench";

/// The place, and the program that is measured.
#[derive(Debug)]
pub(crate) struct Ground {
    dir: PathBuf,
    hull: PathBuf,
}

impl Ground {
    /// Makes the file system and imports the image.
    pub(crate) fn lay(hull: &Path) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!("measuring needs root: cgroups to count in, a file system to mount");
        }
        unified::own_mounts()?;
        let scratch = workspace::scratch()?;
        let (disk, dir) = (scratch.join("ground.ext4"), scratch.join("ground"));
        std::fs::File::create(&disk)?.set_len(8 << 30)?;
        std::fs::create_dir_all(&dir)?;
        run::checked(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk))?;
        run::checked(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(&disk)
                .arg(&dir),
        )?;
        // The file is only kept by its mount from here on.
        std::fs::remove_file(&disk).ok();
        let ground = Self {
            dir,
            hull: hull.to_owned(),
        };
        let archive = ground.archive();
        rootfs::write(&archive)?;
        run::checked(ground.hull().arg("import").arg(&archive).arg(IMAGE))
            .context("cannot import the image")?;
        Ok(ground)
    }

    /// Returns `hull` with its root here.
    pub(crate) fn hull(&self) -> Command {
        let mut command = Command::new(&self.hull);
        command.env("HULL_ROOT", self.root());
        command
    }

    /// Returns the archive the image was imported from.
    pub(crate) fn archive(&self) -> PathBuf {
        self.dir.join("image.tar")
    }

    pub(crate) fn program(&self) -> &Path {
        &self.hull
    }

    /// Returns Hull's root.
    pub(crate) fn root(&self) -> PathBuf {
        self.dir.join("hull")
    }

    /// Returns a new empty directory.
    pub(crate) fn directory(&self, name: &str) -> Result<PathBuf> {
        let dir = self.dir.join(name);
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(dir)
    }

    /// Returns the image's only layer, unpacked.
    pub(crate) fn layer(&self) -> Result<PathBuf> {
        let layers = self.root().join("layers");
        let found = super::meter::directories(&layers)
            .into_iter()
            .map(|dir| dir.join("fs"))
            .find(|dir| dir.is_dir());
        found.with_context(|| format!("{} holds no unpacked layer", layers.display()))
    }

    /// Removes the groups that Hull keeps for containers of a root in another place than usual.
    pub(crate) fn leave(&self) {
        use std::os::unix::fs::MetadataExt as _;
        let (Ok(root), Ok(mounts)) = (
            std::fs::metadata(self.root()),
            std::fs::read_to_string("/proc/self/mountinfo"),
        ) else {
            return;
        };
        let name = format!("hull-{:x}-{:x}", root.dev(), root.ino());
        for (_, hierarchy) in super::meter::hierarchies(&mounts) {
            std::fs::remove_dir(hierarchy.join(&name)).ok();
        }
    }
}
