//! A container's log: the CRI text format, in a small number of files of bounded size.
//!
//! ```text
//! 2016-10-06T00:17:09.669794202Z stdout F a whole line, or the end of one
//! 2016-10-06T00:17:10.113242941Z stderr P the first part of a long line, or of one whose end is not written yet
//! ```
//!
//! What the app writes is logged as it is read, so nothing waits in memory for a line to end: a part without its line feed is
//! marked `P`, and readers join parts until the `F` of the same stream. A part is at most 16 KiB. The current file is `log`,
//! older ones are `log.1`, `log.2`, … (each with what the caller puts in front); when the current one is full they move up and the oldest goes. That is the only loss:
//! when the disk is full or slow the bytes are kept and the app's own write waits.

use std::os::fd::{AsFd, OwnedFd};

use hull_types::Timestamp;
use rustix::{
    fs::{AtFlags, Mode, OFlags, openat, renameat, unlinkat},
    io::Errno,
};
use serde::{Deserialize, Serialize};

/// How much of a container's output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOptions {
    /// The size at which a file is closed, in bytes.
    pub max_size: u64,
    /// How many files are kept, the current one included; at least one.
    pub max_files: u32,
    /// Whether anything is kept at all.
    pub kept: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            max_size: 10 << 20,
            max_files: 3,
            kept: true,
        }
    }
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn word(self) -> &'static [u8; 6] {
        match self {
            Self::Stdout => b"stdout",
            Self::Stderr => b"stderr",
        }
    }
}

/// The longest part of a line, in bytes (CRI's limit, and docker's).
const PART: usize = 16 << 10;

/// Writes a container's log.
#[derive(Debug)]
pub struct LogWriter {
    directory: OwnedFd,
    /// Below the directory.
    path: String,
    options: LogOptions,
    current: Option<Current>,
    /// Encoded, and not yet written: not empty only while the disk refuses.
    pending: Vec<u8>,
}

#[derive(Debug)]
struct Current {
    file: OwnedFd,
    size: u64,
}

impl LogWriter {
    /// Makes a writer of the log at `path` below a directory. No file is made before there is a line.
    pub fn new(directory: OwnedFd, path: String, options: LogOptions) -> Self {
        Self {
            directory,
            path,
            options,
            current: None,
            pending: Vec::new(),
        }
    }

    /// Logs what was read from a stream in one go. An error is a disk that refuses: what was not written is kept; call
    /// [`Self::flush`] later, and read no more from the app until then.
    pub fn write(&mut self, stream: Stream, bytes: &[u8], now: Timestamp) -> Result<(), Errno> {
        if !self.options.kept {
            return Ok(());
        }
        encode(&mut self.pending, stream, bytes, now);
        self.flush()
    }

    /// Returns whether something waits for the disk.
    pub fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Writes what waits: whole lines, as many at a time as the current file may take.
    pub fn flush(&mut self) -> Result<(), Errno> {
        let mut written = 0;
        let result = self.write_lines(&mut written);
        self.pending.drain(..written);
        if self.pending.is_empty() && self.pending.capacity() > 1 << 17 {
            self.pending = Vec::new();
        }
        result
    }

    fn write_lines(&mut self, written: &mut usize) -> Result<(), Errno> {
        while *written < self.pending.len() {
            let current = match &mut self.current {
                Some(current) => current,
                none => none.insert(Current::open(&self.directory, &self.path)?),
            };
            let rest = &self.pending[*written..];
            let room = usize::try_from(self.options.max_size.saturating_sub(current.size))
                .unwrap_or(usize::MAX);
            let fitting = fitting(rest, room);
            if fitting == 0 && current.size > 0 {
                self.current = None;
                rotate(&self.directory, &self.path, self.options.max_files)?;
                continue;
            }
            // A line longer than a whole file is written all the same.
            let take = if fitting == 0 {
                line_length(rest)
            } else {
                fitting
            };
            match rustix::io::write(&current.file, &rest[..take]) {
                Ok(count) => {
                    *written += count;
                    current.size += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Current {
    /// Opens the current file at its end. A line that a crash tore is ended, so that the next stands alone.
    fn open(directory: &OwnedFd, path: &str) -> Result<Self, Errno> {
        let flags =
            OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(directory, path, flags, Mode::RUSR | Mode::WUSR)?;
        let mut size = u64::try_from(rustix::fs::fstat(&file)?.st_size).unwrap_or(0);
        if let Some(last) = size.checked_sub(1) {
            let mut byte = [0];
            rustix::io::pread(&file, &mut byte, last)?;
            if byte != *b"\n" {
                size += rustix::io::write(&file, b"\n")? as u64;
            }
        }
        Ok(Self { file, size })
    }
}

/// Encodes bytes of one stream as lines of the log.
fn encode(out: &mut Vec<u8>, stream: Stream, bytes: &[u8], now: Timestamp) {
    let mut time = [0; Timestamp::PRINTED];
    now.print_into(&mut time);
    out.reserve(bytes.len() + 64);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (text, whole) = match line.strip_suffix(b"\n") {
            Some(text) => (text, true),
            None => (line, false),
        };
        let mut parts = text.chunks(PART).peekable();
        let mut put = |part: &[u8], tag: u8| {
            out.extend_from_slice(&time);
            out.push(b' ');
            out.extend_from_slice(stream.word());
            out.extend_from_slice(&[b' ', tag, b' ']);
            out.extend_from_slice(part);
            out.push(b'\n');
        };
        if text.is_empty() {
            put(b"", b'F');
        }
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            put(part, if whole && last { b'F' } else { b'P' });
        }
    }
}

/// Returns how many bytes of whole lines fit.
fn fitting(lines: &[u8], room: usize) -> usize {
    if lines.len() <= room {
        return lines.len();
    }
    lines[..room]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1)
}

fn line_length(lines: &[u8]) -> usize {
    lines
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(lines.len(), |at| at + 1)
}

/// Moves every file one up; the oldest goes.
fn rotate(directory: &OwnedFd, path: &str, files: u32) -> Result<(), Errno> {
    let gone = |result: Result<(), Errno>| match result {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    };
    if files <= 1 {
        return gone(unlinkat(directory, path, AtFlags::empty()));
    }
    for age in (1..files - 1).rev() {
        gone(renameat(
            directory,
            older(path, age),
            directory,
            older(path, age + 1),
        ))?;
    }
    gone(renameat(directory, path, directory, older(path, 1)))
}

fn older(path: &str, age: u32) -> String {
    format!("{path}.{age}")
}

/// One whole line of a log, its parts joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub time: Timestamp,
    pub stream: Stream,
    /// What the app wrote, with its line feed if it wrote one.
    pub text: Vec<u8>,
}

/// Joins the lines of a log file, given piece by piece.
#[derive(Debug, Default)]
pub struct LogParser {
    /// Bytes after the last line feed.
    rest: Vec<u8>,
    /// Parts that wait for the end of their line: standard output's, standard error's.
    open: [Option<Line>; 2],
}

impl LogParser {
    /// Takes the next bytes of the file, and gives each line that they complete. A line that is not of this format is given as
    /// it stands, so that nothing in a damaged log is hidden.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Line)) {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return;
        };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        for line in whole[..whole.len() - 1].split(|byte| *byte == b'\n') {
            self.line(line, &mut each);
        }
    }

    fn line(&mut self, line: &[u8], each: &mut impl FnMut(Line)) {
        let Some((time, stream, ends, text)) = split(line) else {
            if !line.is_empty() {
                each(Line {
                    time: Timestamp::default(),
                    stream: Stream::Stdout,
                    text: [line, b"\n"].concat(),
                });
            }
            return;
        };
        let slot = &mut self.open[usize::from(stream == Stream::Stderr)];
        let open = slot.get_or_insert_with(|| Line {
            time,
            stream,
            text: Vec::new(),
        });
        open.text.extend_from_slice(text);
        if ends {
            open.text.push(b'\n');
            if let Some(line) = slot.take() {
                each(line);
            }
        }
    }

    /// Gives the parts whose line never ended, such as a prompt.
    pub fn finish(&mut self, mut each: impl FnMut(Line)) {
        let mut open: Vec<Line> = self.open.iter_mut().filter_map(Option::take).collect();
        open.sort_by_key(|line| line.time);
        open.into_iter().for_each(&mut each);
    }
}

fn split(line: &[u8]) -> Option<(Timestamp, Stream, bool, &[u8])> {
    let mut fields = line.splitn(4, |byte| *byte == b' ');
    let time = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let stream = match fields.next()? {
        b"stdout" => Stream::Stdout,
        b"stderr" => Stream::Stderr,
        _ => return None,
    };
    let ends = match fields.next()?.split(|byte| *byte == b':').next()? {
        b"F" => true,
        b"P" => false,
        _ => return None,
    };
    Some((time, stream, ends, fields.next().unwrap_or_default()))
}

/// Opens the files of the log at `path` below a directory, oldest first, each with its number (0 is the current one).
pub fn open_all(directory: impl AsFd, path: &str) -> Result<Vec<(u32, OwnedFd)>, Errno> {
    let mut files = Vec::new();
    for age in 0.. {
        let name = match age {
            0 => path.to_owned(),
            _ => older(path, age),
        };
        match openat(
            &directory,
            &name,
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::empty(),
        ) {
            Ok(file) => files.push((age, file)),
            // Between the two renames of a rotation there is no current file: look one further.
            Err(Errno::NOENT) if age == 0 => {}
            Err(Errno::NOENT) => break,
            Err(error) => return Err(error),
        }
    }
    files.reverse();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn time() -> Timestamp {
        "2016-10-06T00:17:09.5Z".parse().unwrap()
    }

    fn directory() -> (tempfile::TempDir, OwnedFd) {
        let temp = tempfile::tempdir().unwrap();
        let fd = rustix::fs::open(
            temp.path(),
            OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap();
        (temp, fd)
    }

    fn lines(directory: &OwnedFd) -> Vec<Line> {
        let (mut parser, mut lines) = (LogParser::default(), Vec::new());
        for (_, file) in open_all(directory, "log").unwrap() {
            let mut bytes = Vec::new();
            std::fs::File::from(file).read_to_end(&mut bytes).unwrap();
            for piece in bytes.chunks(7) {
                parser.push(piece, |line| lines.push(line));
            }
        }
        parser.finish(|line| lines.push(line));
        lines
    }

    #[test]
    fn lines_are_written_in_the_cri_format() {
        let (temp, fd) = directory();
        let mut log = LogWriter::new(fd, "log".to_owned(), LogOptions::default());
        log.write(Stream::Stdout, b"one\n\ntwo", time()).unwrap();
        log.write(Stream::Stderr, b"err\n", time()).unwrap();
        log.write(Stream::Stdout, b"!\n", time()).unwrap();
        let text = std::fs::read_to_string(temp.path().join("log")).unwrap();
        let t = "2016-10-06T00:17:09.500000000Z";
        assert_eq!(
            text,
            format!(
                "{t} stdout F one\n{t} stdout F \n{t} stdout P two\n{t} stderr F err\n{t} stdout F !\n"
            )
        );
    }

    #[test]
    fn parts_are_joined_and_an_open_line_is_shown() {
        let (_temp, fd) = directory();
        let mut log = LogWriter::new(
            fd.try_clone().unwrap(),
            "log".to_owned(),
            LogOptions::default(),
        );
        let long = vec![b'x'; 3 * PART + 1];
        log.write(Stream::Stdout, &long, time()).unwrap();
        log.write(Stream::Stderr, b"between\n", time()).unwrap();
        log.write(Stream::Stdout, b"end\nprompt> ", time()).unwrap();
        let texts: Vec<Vec<u8>> = lines(&fd).into_iter().map(|line| line.text).collect();
        let joined = [&long[..], b"end\n"].concat();
        assert_eq!(texts, [b"between\n".to_vec(), joined, b"prompt> ".to_vec()]);
    }

    #[test]
    fn rotation_keeps_the_newest_and_loses_only_the_oldest() {
        let (temp, fd) = directory();
        let mut log = LogWriter::new(
            fd.try_clone().unwrap(),
            "log".to_owned(),
            LogOptions {
                max_size: 400,
                max_files: 3,
                kept: true,
            },
        );
        for number in 0..100 {
            log.write(
                Stream::Stdout,
                format!("line {number}\n").as_bytes(),
                time(),
            )
            .unwrap();
        }
        let numbers: Vec<usize> = lines(&fd)
            .iter()
            .map(|line| {
                String::from_utf8_lossy(&line.text)
                    .trim()
                    .replace("line ", "")
                    .parse()
                    .unwrap()
            })
            .collect();
        let first = numbers[0];
        assert_eq!(
            numbers,
            (first..100).collect::<Vec<_>>(),
            "no line torn, dropped or reordered"
        );
        assert!(numbers.len() > 16, "two full files and a part: {numbers:?}");
        for entry in std::fs::read_dir(temp.path()).unwrap() {
            assert!(entry.unwrap().metadata().unwrap().len() <= 400);
        }
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 3);
    }

    #[test]
    fn a_line_larger_than_a_file_is_written_whole() {
        let (_temp, fd) = directory();
        let mut log = LogWriter::new(
            fd.try_clone().unwrap(),
            "log".to_owned(),
            LogOptions {
                max_size: 50,
                max_files: 2,
                kept: true,
            },
        );
        log.write(
            Stream::Stdout,
            &[&[b'y'; 200][..], b"\nshort\n"].concat(),
            time(),
        )
        .unwrap();
        let texts: Vec<usize> = lines(&fd).iter().map(|line| line.text.len()).collect();
        assert_eq!(texts, [201, 6]);
    }

    #[test]
    fn a_torn_line_does_not_swallow_the_next() {
        let (temp, fd) = directory();
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(temp.path().join("log"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, b"2016-10-06T00:1"))
            .unwrap();
        let mut log = LogWriter::new(
            fd.try_clone().unwrap(),
            "log".to_owned(),
            LogOptions::default(),
        );
        log.write(Stream::Stdout, b"after\n", time()).unwrap();
        let texts: Vec<Vec<u8>> = lines(&fd).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, [b"2016-10-06T00:1\n".to_vec(), b"after\n".to_vec()]);
    }
}
