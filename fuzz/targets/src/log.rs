//! A container's log, damaged or not.

use hull_monitor::{Line, LogOptions, LogParser, LogWriter, Stream};
use hull_types::Timestamp;

use crate::scratch::Scratch;

/// A log reads the same however it arrives, and nothing in it is hidden.
///
/// Then the bytes are taken for what an app wrote: the log gives them back, stream by stream.
pub fn log(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    assert_eq!(whole, read(bytes, 7));
    let shown: usize = whole.iter().map(|line| line.text.len()).sum();
    let lines = bytes.split(|byte| *byte == b'\n');
    let plain: usize = lines
        .filter(|line| !line.contains(&b' '))
        .map(<[u8]>::len)
        .sum();
    assert!(
        bytes.last() != Some(&b'\n') || shown >= plain,
        "lines without a blank are none of ours, and shown as they stand"
    );
    if bytes.len() < 4096 {
        comes_back(bytes);
    }
}

fn comes_back(written: &[u8]) {
    let scratch = Scratch::new();
    let directory = std::fs::File::open(scratch.root()).expect("the directory is there");
    let mut log = LogWriter::new(directory.into(), "log".to_owned(), LogOptions::default());
    let streams = [Stream::Stdout, Stream::Stderr];
    let mut expected = [Vec::new(), Vec::new()];
    for (at, piece) in written.chunks(11).enumerate() {
        let which = usize::from(at % 3 == 1);
        expected[which].extend_from_slice(piece);
        log.write(streams[which], piece, Timestamp::default())
            .expect("memory takes everything");
    }
    let bytes = std::fs::read(scratch.root().join("log")).unwrap_or_default();
    let lines = read(&bytes, 64);
    for (stream, expected) in streams.into_iter().zip(expected) {
        let own = lines.iter().filter(|line| line.stream == stream);
        let text: Vec<u8> = own.flat_map(|line| line.text.clone()).collect();
        assert_eq!(text, expected, "{stream:?}");
    }
}

fn read(bytes: &[u8], piece: usize) -> Vec<Line> {
    let (mut parser, mut lines) = (LogParser::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        parser.push(piece, |line| lines.push(line));
    }
    parser.finish(|line| lines.push(line));
    lines
}
