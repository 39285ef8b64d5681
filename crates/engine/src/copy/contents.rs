//! What is in a file, on its way to another: holes stay holes, and the kernel copies where it can.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
};

use hull_fs::tar::{Chunk, EntryPath, Reader, TarError};
use rustix::{
    fs::{SeekFrom, copy_file_range, ftruncate, seek},
    io::Errno,
};

use super::{CopyError, Side, walk::errno};

/// The most that is read of a file that does not know its size: those that the kernel makes up when they are read.
const UNSIZED: u64 = 16 << 20;

/// The contents of an entry.
pub(crate) enum Contents<'a, 'r> {
    Nothing,
    File(&'a File),
    /// The archive stands at the entry.
    Archive(&'a mut (dyn Chunks + 'r)),
}

/// An archive whose entries' contents can be read piece by piece.
pub(crate) trait Chunks {
    fn next(&mut self) -> Result<Option<Chunk<'_>>, TarError>;
}

impl<R: Read> Chunks for Reader<R> {
    fn next(&mut self) -> Result<Option<Chunk<'_>>, TarError> {
        self.chunk()
    }
}

/// Why contents did not arrive.
pub(crate) enum Failure {
    Read(Errno),
    Write(Errno),
    Archive(TarError),
}

impl Failure {
    pub(crate) fn at(self, side: &Side<'_>, path: &EntryPath) -> CopyError {
        let (action, source) = match self {
            Self::Read(source) => ("read what shall become", source),
            Self::Write(source) => ("write", source),
            Self::Archive(error) => return CopyError::Archive(error),
        };
        CopyError::Access {
            action,
            path: side.at(path),
            source,
        }
    }
}

impl Contents<'_, '_> {
    /// Writes them to an empty file; returns how many bytes that were.
    pub(crate) fn copy_to(self, to: &mut File, size: u64) -> Result<u64, Failure> {
        match self {
            Self::Nothing => Ok(0),
            Self::File(from) if size == 0 => {
                let mut from = from.take(UNSIZED);
                io::copy(&mut from, to).map_err(|error| Failure::Read(errno(&error)))
            }
            Self::File(from) => {
                copy_data(from, to, size)?;
                ftruncate(&*to, size).map_err(Failure::Write)?;
                Ok(size)
            }
            Self::Archive(archive) => {
                while let Some(chunk) = archive.next().map_err(Failure::Archive)? {
                    to.write_all_at(chunk.bytes, chunk.offset)
                        .map_err(|error| Failure::Write(errno(&error)))?;
                }
                ftruncate(&*to, size).map_err(Failure::Write)?;
                Ok(size)
            }
        }
    }
}

/// Copies the pieces of a file that are no holes, up to `size`: a file that grows meanwhile does not keep us.
fn copy_data(from: &File, to: &File, size: u64) -> Result<(), Failure> {
    let mut end = 0;
    while end < size {
        let start = match seek(from, SeekFrom::Data(end)) {
            Ok(start) => start,
            // Nothing but a hole, or nothing at all any more.
            Err(Errno::NXIO) => return Ok(()),
            // A file system that does not know.
            Err(_) => return copy_piece(from, to, end, size),
        };
        end = seek(from, SeekFrom::Hole(start)).map_or(size, |hole| hole.min(size));
        if start < end {
            copy_piece(from, to, start, end)?;
        }
    }
    Ok(())
}

fn copy_piece(from: &File, to: &File, start: u64, end: u64) -> Result<(), Failure> {
    let (mut read, mut written) = (start, start);
    while read < end {
        let length = usize::try_from(end - read)
            .unwrap_or(usize::MAX)
            .min(1 << 30);
        match copy_file_range(from, Some(&mut read), to, Some(&mut written), length) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                return Err(Failure::Write(errno));
            }
            // Other file systems, or one that cannot.
            Err(_) => return copy_bytes(from, to, read, end),
        }
    }
    Ok(())
}

fn copy_bytes(from: &File, to: &File, mut at: u64, end: u64) -> Result<(), Failure> {
    let mut buffer = vec![0; 256 << 10];
    while at < end {
        let most = usize::try_from(end - at)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        match from.read_at(&mut buffer[..most], at) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                to.write_all_at(&buffer[..count], at)
                    .map_err(|error| Failure::Write(errno(&error)))?;
                at += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::Read(errno(&error))),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn copied(make: impl FnOnce(&File), size: u64) -> (Vec<u8>, u64) {
        let home = tempfile::tempdir_in("/var/tmp").unwrap();
        let file = |name: &str| {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(home.path().join(name))
                .unwrap()
        };
        let (from, mut to) = (file("from"), file("to"));
        make(&from);
        let made = Contents::File(&from).copy_to(&mut to, size);
        assert!(made.is_ok_and(|bytes| bytes == size));
        let text = std::fs::read(home.path().join("to")).unwrap();
        (text, to.metadata().unwrap().blocks())
    }

    #[test]
    fn holes_stay_holes() {
        let size = 8 << 20;
        let (bytes, blocks) = copied(
            |file| {
                file.write_all_at(b"start", 0).unwrap();
                file.write_all_at(b"middle", 4 << 20).unwrap();
                file.set_len(size).unwrap();
            },
            size,
        );
        assert_eq!(bytes.len() as u64, size);
        assert_eq!(&bytes[..5], b"start");
        assert_eq!(&bytes[4 << 20..][..6], b"middle");
        assert!(blocks < 100, "{blocks}");
    }

    #[test]
    fn a_file_that_became_shorter_or_longer_has_the_size_it_had() {
        let (bytes, _) = copied(|file| file.write_all_at(b"abc", 0).unwrap(), 5);
        assert_eq!(bytes, b"abc\0\0");
        let (bytes, _) = copied(|file| file.write_all_at(b"abcdef", 0).unwrap(), 4);
        assert_eq!(bytes, b"abcd");
    }

    #[test]
    fn files_without_a_size_are_read() {
        let mut to = tempfile::tempfile().unwrap();
        let from = File::open("/proc/self/status").unwrap();
        let Ok(bytes) = Contents::File(&from).copy_to(&mut to, 0) else {
            panic!("not copied");
        };
        assert!(bytes > 100);
    }
}
