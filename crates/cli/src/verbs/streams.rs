//! Archives on standard input and output, or in files.

use std::{
    error::Error,
    fs::{File, OpenOptions},
    io::{self, IsTerminal, StdinLock, StdoutLock, Write},
    path::{Path, PathBuf},
};

use crate::{Failure, UsageError};

/// Returns standard input to read an archive from; nobody types one.
pub(super) fn archive_in(verb: &str) -> Result<StdinLock<'static>, UsageError> {
    let input = io::stdin();
    if input.is_terminal() {
        return Err(UsageError::Words {
            verb: verb.to_owned(),
            problem: "cannot read an archive from a terminal".to_owned(),
            hint: format!("name a file, or pipe the archive in: `hull {verb} --help`"),
        });
    }
    Ok(input.lock())
}

/// Where an archive goes.
pub(super) enum Destination {
    Standard(StdoutLock<'static>),
    /// A device, a pipe: it is there, and stays.
    There(File),
    /// A file that gets its name when it is complete.
    New {
        file: File,
        unfinished: PathBuf,
        path: PathBuf,
    },
}

impl Destination {
    /// Opens the file that was named, or else standard output, unless that is a terminal.
    pub(super) fn open(verb: &str, path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path.filter(|path| *path != Path::new("-")) else {
            let out = io::stdout();
            if out.is_terminal() {
                return Err(Failure::Usage(UsageError::Words {
                    verb: verb.to_owned(),
                    problem: "does not write an archive to a terminal".to_owned(),
                    hint: "redirect standard output to a file or a program".to_owned(),
                }));
            }
            return Ok(Self::Standard(out.lock()));
        };
        Self::file(path).map_err(|source| cannot_write(path, source))
    }

    fn file(path: &Path) -> io::Result<Self> {
        let is_special = path
            .metadata()
            .is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir());
        if is_special {
            return Ok(Self::There(OpenOptions::new().write(true).open(path)?));
        }
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let mut name = std::ffi::OsString::from(".");
        name.push(path.file_name().ok_or(io::ErrorKind::InvalidInput)?);
        name.push(format!(".{}", std::process::id()));
        let unfinished = path.with_file_name(name);
        Ok(Self::New {
            file: File::create_new(&unfinished)?,
            unfinished,
            path: path.to_owned(),
        })
    }

    /// Gives a complete file its name.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.flush().map_err(|source| Failure::Write {
            what: "the archive".to_owned(),
            source,
        })?;
        if let Self::New {
            unfinished, path, ..
        } = &self
        {
            std::fs::rename(unfinished, path).map_err(|source| cannot_write(path, source))?;
        }
        Ok(())
    }

    fn file_mut(&mut self) -> &mut dyn Write {
        match self {
            Self::Standard(out) => out,
            Self::There(file) | Self::New { file, .. } => file,
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file_mut().flush()
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        if let Self::New { unfinished, .. } = self {
            // Where it has its name by now, there is nothing under this one.
            std::fs::remove_file(unfinished).ok();
        }
    }
}

fn cannot_write(path: &Path, source: io::Error) -> Failure {
    Failure::Write {
        what: path.display().to_string(),
        source,
    }
}

/// Turns a failure to write into silence, where whoever read the archive went away.
pub(super) fn unless_nobody_reads(failure: Failure) -> Failure {
    let mut next: Option<&(dyn Error + 'static)> = Some(&failure);
    while let Some(error) = next {
        let is_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        if error.downcast_ref().is_some_and(is_pipe) {
            return Failure::NobodyReads;
        }
        next = error.source();
    }
    failure
}
