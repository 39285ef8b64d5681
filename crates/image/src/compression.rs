//! Compression, told by the first bytes and never by a name: names lie, and pipes have none.

use std::{
    fmt,
    io::{self, BufReader, Chain, Cursor, Read},
};

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// What is read at once from a file or pipe.
const BUFFER: usize = 256 << 10;

/// The most memory an xz stream may ask for. `xz -9` needs 65 MiB; the format allows 4 GiB.
const XZ_MEMORY: u64 = 256 << 20;

/// The largest zstd window, as a power of two: 128 MiB, the format's own recommendation for `--long`.
const ZSTD_WINDOW: u32 = 27;

impl Compression {
    /// Tells the compression from the first bytes of a stream; six are enough.
    pub fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame in front (RFC 8878 §3.1.2), as some writers of zstd:chunked put it.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        })
    }
}

/// Gives a stream uncompressed, whatever its first bytes say it is. There is no limit on what comes out: who reads sets one.
pub fn decompress<'a>(from: impl Read + 'a) -> io::Result<impl Read + 'a> {
    Decoder::new(from)
}

/// Reads a stream uncompressed, to its very end: several gzip members or zstd frames behind each other are one stream, and
/// what follows the last and is none is an error, so that no byte of a blob goes unseen.
pub(crate) struct Decoder<R> {
    compression: Compression,
    format: Format<R>,
}

enum Format<R> {
    Plain(Input<R>),
    Gzip(flate2::bufread::MultiGzDecoder<Input<R>>),
    Zstd(zstd::stream::read::Decoder<'static, Input<R>>),
    Bzip2(bzip2::bufread::MultiBzDecoder<Input<R>>),
    Xz(liblzma::bufread::XzDecoder<Input<R>>),
}

/// The bytes that were looked at, put back in front of the others.
type Input<R> = BufReader<Chain<Cursor<Vec<u8>>, R>>;

impl<R: Read> Decoder<R> {
    /// Looks at the first bytes and chooses.
    pub(crate) fn new(mut inner: R) -> io::Result<Self> {
        let mut start = Vec::new();
        // A pipe may give bytes one by one; this waits for six or the end.
        inner.by_ref().take(6).read_to_end(&mut start)?;
        let compression = Compression::of(&start);
        let inner = BufReader::with_capacity(BUFFER, Cursor::new(start).chain(inner));
        let format = match compression {
            Compression::None => Format::Plain(inner),
            Compression::Gzip => Format::Gzip(flate2::bufread::MultiGzDecoder::new(inner)),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(inner)?;
                decoder.window_log_max(ZSTD_WINDOW)?;
                Format::Zstd(decoder)
            }
            Compression::Bzip2 => Format::Bzip2(bzip2::bufread::MultiBzDecoder::new(inner)),
            Compression::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, flags)?;
                Format::Xz(liblzma::bufread::XzDecoder::new_stream(inner, stream))
            }
        };
        Ok(Self {
            compression,
            format,
        })
    }

    /// Returns what was found.
    pub(crate) fn compression(&self) -> Compression {
        self.compression
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.format {
            Format::Plain(inner) => inner.read(buffer),
            Format::Gzip(inner) => inner.read(buffer),
            Format::Zstd(inner) => inner.read(buffer),
            Format::Bzip2(inner) => inner.read(buffer),
            Format::Xz(inner) => inner.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    fn compressed_by(program: &[&str], content: &[u8]) -> Vec<u8> {
        let mut child = Command::new(program[0])
            .args(&program[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(content).unwrap());
            child.wait_with_output().unwrap().stdout
        })
    }

    fn decode(bytes: &[u8]) -> io::Result<(Compression, Vec<u8>)> {
        /// Gives one byte at a time, as a slow pipe does.
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let count = buffer.len().min(1);
                self.0.read(&mut buffer[..count])
            }
        }
        let mut decoder = Decoder::new(Slow(bytes))?;
        let mut out = Vec::new();
        decoder.read_to_end(&mut out)?;
        Ok((decoder.compression(), out))
    }

    const PROGRAMS: [(&[&str], Compression); 5] = [
        (&["cat"], Compression::None),
        (&["gzip", "-c"], Compression::Gzip),
        (&["zstd", "-q", "-c"], Compression::Zstd),
        (&["bzip2", "-c"], Compression::Bzip2),
        (&["xz", "-c"], Compression::Xz),
    ];

    #[test]
    fn streams_in_several_parts_are_read_to_the_end() {
        let (first, second) = (b"hull ".repeat(999), b"hold ".repeat(7));
        for (program, expected) in PROGRAMS {
            let mut bytes = compressed_by(program, &first);
            bytes.extend(compressed_by(program, &second));
            let (compression, content) = decode(&bytes).unwrap();
            assert_eq!(compression, expected);
            assert_eq!(content, [&first[..], &second[..]].concat(), "{expected}");
        }
    }

    #[test]
    fn what_is_cut_off_is_an_error() {
        let content: Vec<u8> = (0..20_000u32).flat_map(u32::to_le_bytes).collect();
        for (program, compression) in &PROGRAMS[1..] {
            let bytes = compressed_by(program, &content);
            for length in [7, bytes.len() / 2, bytes.len() - 1] {
                assert!(decode(&bytes[..length]).is_err(), "{compression} {length}");
            }
        }
    }

    #[test]
    fn what_follows_and_is_not_compressed_is_an_error() {
        for (program, compression) in &PROGRAMS[1..] {
            let mut bytes = compressed_by(program, b"content");
            bytes.extend(b"something else entirely");
            assert!(decode(&bytes).is_err(), "{compression}");
        }
    }

    #[test]
    fn short_and_empty_streams_are_plain() {
        for bytes in [&b""[..], b"B", b"\x1f", b"BZh", b"PK\x03\x04"] {
            assert_eq!(decode(bytes).unwrap(), (Compression::None, bytes.to_vec()));
        }
    }
}
