//! `hull export`: a container's files as one archive.

use std::io::{self, Write};

use hull_fs::tar::TarError;
use hull_snapshot::SnapshotError;

use crate::{Engine, EngineError};

impl Engine {
    /// Writes the files of a container, running or not, as a tar archive: its image's and its own, as it sees them, but not
    /// what is in volumes or otherwise mounted.
    pub fn export(&self, asked: &str, out: &mut dyn Write) -> Result<(), EngineError> {
        let parts = self.parts(&self.find(asked)?)?;
        let tree = parts.with(|layers| layers.view())?;
        let out = io::BufWriter::with_capacity(256 << 10, out);
        let mut out = hull_snapshot::export(std::os::fd::AsFd::as_fd(&tree), out)?;
        out.flush()
            .map_err(|source| SnapshotError::Archive(TarError::Write { source }))?;
        Ok(())
    }
}
