//! The reader against archives by friends, by GNU tar and by enemies; the writer against the reader.
#![expect(
    clippy::disallowed_methods,
    reason = "trees made for a test need not survive a crash"
)]

use std::io::{Cursor, Read};
use std::process::Command;

use proptest::prelude::*;

use super::*;

type Files = Vec<(Entry, Vec<u8>)>;

fn read_all(bytes: &[u8]) -> Result<Files, TarError> {
    read_with(bytes, Limits::default())
}

fn read_with(bytes: &[u8], limits: Limits) -> Result<Files, TarError> {
    let mut reader = Reader::new(bytes, limits);
    let mut files = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut contents = Vec::new();
        reader
            .contents()
            .read_to_end(&mut contents)
            .map_err(|error| {
                let inner = error.into_inner().expect("a cursor does not fail");
                *inner
                    .downcast::<TarError>()
                    .expect("the reader's own error")
            })?;
        files.push((Entry { offset: 0, ..entry }, contents));
    }
    let rest = reader.finish()?;
    assert!(rest.is_empty());
    Ok(files)
}

fn problem(bytes: &[u8]) -> Problem {
    match read_all(bytes) {
        Err(TarError::Refused { problem, .. }) => problem,
        other => panic!("{other:?}"),
    }
}

fn write_all(files: &[(Entry, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (entry, contents) in files {
        writer.append_file(entry, contents.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

/// An archive built header by header, right or wrong.
#[derive(Default)]
struct Raw(Vec<u8>);

impl Raw {
    fn header(&mut self, change: impl FnOnce(&mut tar::GnuHeader)) -> &mut Self {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(0);
        change(header.as_gnu_mut().unwrap());
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self
    }

    fn entry(&mut self, kind: u8, name: &str, link: &str) -> &mut Self {
        self.header(|header| {
            header.typeflag = [kind];
            header.name[..name.len()].copy_from_slice(name.as_bytes());
            header.linkname[..link.len()].copy_from_slice(link.as_bytes());
        })
    }

    fn data(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        self
    }

    fn extension(&mut self, kind: u8, bytes: &[u8]) -> &mut Self {
        self.header(|header| {
            header.typeflag = [kind];
            header.name[..1].copy_from_slice(b"x");
            header.as_header_mut().set_size(bytes.len() as u64);
        })
        .data(bytes)
    }

    fn pax(&mut self, records: &[(&str, &str)]) -> &mut Self {
        let mut bytes = Vec::new();
        for (key, value) in records {
            super::pax::append(&mut bytes, key.as_bytes(), value.as_bytes());
        }
        self.extension(b'x', &bytes)
    }

    fn end(&mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 2 * BLOCK]);
        std::mem::take(&mut self.0)
    }
}

fn file(path: &str, contents: &[u8]) -> (Entry, Vec<u8>) {
    let mut entry = Entry::new(EntryPath::parse(path.as_bytes()).unwrap(), Kind::File);
    entry.size = contents.len() as u64;
    (entry, contents.to_vec())
}

#[test]
fn names_that_escape_are_refused_wherever_they_stand() {
    for (name, expected) in [
        ("../x", Problem::Climbs),
        ("a/../../x", Problem::Climbs),
        ("/etc/passwd", Problem::Absolute),
        ("", Problem::EmptyName),
    ] {
        assert_eq!(
            problem(&Raw::default().entry(b'0', name, "").end()),
            expected,
            "{name}"
        );
        let long = Raw::default()
            .extension(b'L', format!("{name}\0").as_bytes())
            .entry(b'0', "a", "")
            .end();
        assert_eq!(problem(&long), expected, "long {name}");
        if !name.is_empty() {
            let pax = Raw::default()
                .pax(&[("path", name)])
                .entry(b'0', "a", "")
                .end();
            assert_eq!(problem(&pax), expected, "pax {name}");
            let link = Raw::default().entry(b'1', "a", name).end();
            assert_eq!(problem(&link), expected, "link to {name}");
        }
    }
    let nul = Raw::default()
        .pax(&[("path", "a\0b")])
        .entry(b'0', "a", "")
        .end();
    assert_eq!(problem(&nul), Problem::Nul);
    let nul = Raw::default()
        .extension(b'L', b"a\0b\0")
        .entry(b'0', "a", "")
        .end();
    assert_eq!(problem(&nul), Problem::Nul);
    let nul = Raw::default()
        .pax(&[("linkpath", "a\0b")])
        .entry(b'2', "a", "")
        .end();
    assert_eq!(problem(&nul), Problem::Nul);
}

#[test]
fn links_need_targets() {
    assert_eq!(
        problem(&Raw::default().entry(b'1', "a", "").end()),
        Problem::NoTarget
    );
    assert_eq!(
        problem(&Raw::default().entry(b'2', "a", "").end()),
        Problem::NoTarget
    );
}

#[test]
fn two_names_must_agree() {
    let mut raw = Raw::default();
    raw.pax(&[("path", "one")])
        .extension(b'L', b"two\0")
        .entry(b'0', "a", "");
    assert_eq!(problem(&raw.end()), Problem::TwoNames);
    let mut raw = Raw::default();
    raw.pax(&[("path", "one")])
        .extension(b'L', b"one\0")
        .entry(b'0', "a", "");
    assert_eq!(read_all(&raw.end()).unwrap()[0].0.path.as_bytes(), b"one");
}

#[test]
fn extension_headers_must_have_an_entry_and_come_once() {
    let mut raw = Raw::default();
    assert_eq!(
        problem(&raw.pax(&[("path", "a")]).end()),
        Problem::NothingFollows
    );
    raw.pax(&[("path", "a")])
        .pax(&[("path", "b")])
        .entry(b'0', "a", "");
    assert_eq!(problem(&raw.end()), Problem::Repeated('x'));
    raw.extension(b'L', b"a\0")
        .extension(b'L', b"a\0")
        .entry(b'0', "a", "");
    assert_eq!(problem(&raw.end()), Problem::Repeated('L'));
}

#[test]
fn pax_size_governs_the_stream() {
    // CVE-2025-62518: a reader that goes by the header's size sees an entry inside the file.
    let mut inner = Raw::default();
    let smuggled = inner.entry(b'0', "smuggled", "").end();
    let mut raw = Raw::default();
    raw.pax(&[("size", &smuggled.len().to_string())])
        .entry(b'0', "outer", "")
        .data(&smuggled);
    let files = read_all(&raw.end()).unwrap();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].1, smuggled);
}

#[test]
fn data_on_what_has_none_is_refused() {
    for kind in *b"123456" {
        let mut raw = Raw::default();
        raw.header(|header| {
            header.typeflag = [kind];
            header.name[..1].copy_from_slice(b"a");
            header.linkname[..1].copy_from_slice(b"b");
            header.as_header_mut().set_size(512);
        });
        raw.data(&[7; 512]);
        assert!(
            matches!(problem(&raw.end()), Problem::Data(_, 512)),
            "{kind}"
        );
    }
}

#[test]
fn headers_that_lie_are_refused() {
    let good = Raw::default().entry(b'0', "a", "").end();
    let mut bad = good.clone();
    bad[0] ^= 1;
    assert_eq!(problem(&bad), Problem::Checksum);
    let mut lone = vec![0; BLOCK];
    lone.extend_from_slice(&good);
    assert_eq!(problem(&lone), Problem::LoneZeroBlock);
    for (size, field) in [
        (&b"-1"[..], "size"),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "size"),
    ] {
        let mut raw = Raw::default();
        raw.header(|header| {
            header.name[..1].copy_from_slice(b"a");
            header.size = [0; 12];
            header.size[..size.len()].copy_from_slice(size);
        });
        assert_eq!(problem(&raw.end()), Problem::Number(field));
    }
    for kind in *b"MDVNAX" {
        let raw = Raw::default().entry(kind, "a", "").end();
        assert!(matches!(problem(&raw), Problem::Unsupported(_)));
    }
}

#[test]
fn owners_no_kernel_has_are_refused() {
    for id in ["4294967295", "4294967296", "18446744073709551615"] {
        let raw = Raw::default()
            .pax(&[("uid", id)])
            .entry(b'0', "a", "")
            .end();
        assert_eq!(problem(&raw), Problem::Number("uid"), "{id}");
    }
}

#[test]
fn every_truncation_is_noticed_or_unmarked() {
    let mut entry = Entry::new(EntryPath::parse(b"d/a").unwrap(), Kind::File);
    entry.xattrs.push(Xattr {
        name: b"user.x".to_vec(),
        value: b"y".to_vec(),
    });
    entry.size = 700;
    let whole = write_all(&[(entry, vec![1; 700])]);
    for length in 0..whole.len() {
        let mut reader = Reader::new(&whole[..length], Limits::default());
        let mut walk = || -> Result<(), TarError> {
            while reader.next_entry()?.is_some() {
                while reader.chunk()?.is_some() {}
            }
            Ok(())
        };
        match walk() {
            Err(TarError::Truncated { .. } | TarError::Refused { .. }) => {}
            Ok(()) => assert!(!reader.end_was_marked(), "{length}"),
            Err(error) => panic!("{length}: {error}"),
        }
    }
}

#[test]
fn limits_are_kept_and_named() {
    let limit = |limits, bytes: &[u8]| match read_with(bytes, limits) {
        Err(TarError::Limit { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    let small = Limits {
        entries: 2,
        path_bytes: 20,
        depth: 3,
        pax_bytes: 1000,
        segments: 1,
        total_bytes: 10_000,
    };
    let three = write_all(&[file("a", b""), file("b", b""), file("c", b"")]);
    assert_eq!(limit(small, &three), "entries");
    assert_eq!(
        limit(small, &write_all(&[file("123456789/123456789/1", b"")])),
        "bytes of path"
    );
    assert_eq!(
        limit(small, &write_all(&[file("a/b/c/d", b"")])),
        "levels of directories"
    );
    let comment = "x".repeat(2000);
    let raw = Raw::default()
        .pax(&[("comment", &comment)])
        .entry(b'0', "a", "")
        .end();
    assert_eq!(limit(small, &raw), "bytes of extension header");
    // Announced sizes are refused before a byte of them is waited for.
    for size in [20_000, u64::MAX] {
        let size = size.to_string();
        let raw = Raw::default()
            .pax(&[("size", &size)])
            .entry(b'0', "a", "")
            .end();
        assert_eq!(limit(small, &raw), "bytes of archive");
    }
    let sparse = [("GNU.sparse.size", "99999"), ("GNU.sparse.map", "")];
    let raw = Raw::default().pax(&sparse).entry(b'0', "a", "").end();
    assert_eq!(limit(small, &raw), "bytes of files");
    let mut padded = write_all(&[file("a", b"")]);
    padded.resize(20_000, 0);
    assert_eq!(limit(small, &padded), "bytes of archive");
    // A million comments are entries too.
    let mut raw = Raw::default();
    for _ in 0..3 {
        raw.extension(b'g', b"");
    }
    assert_eq!(limit(small, &raw.entry(b'0', "a", "").end()), "entries");
}

#[test]
fn what_is_behind_the_end_is_read_but_not_obeyed() {
    let mut bytes = write_all(&[file("a", b"1")]);
    bytes.extend_from_slice(&write_all(&[file("hidden", b"2")]));
    let mut stream = Cursor::new(&bytes);
    let mut reader = Reader::new(&mut stream, Limits::default());
    assert!(reader.next_entry().unwrap().is_some());
    assert!(reader.next_entry().unwrap().is_none());
    assert!(reader.next_entry().unwrap().is_none());
    reader.finish().unwrap();
    assert_eq!(stream.position(), bytes.len() as u64);
}

#[test]
fn errors_name_the_entry_and_its_place() {
    let mut raw = Raw::default();
    raw.entry(b'0', "good", "")
        .pax(&[("path", "../\u{1b}[2Jbad")])
        .entry(b'0', "a", "");
    let error = read_all(&raw.end()).unwrap_err();
    assert_eq!(
        error.to_string(),
        r"archive entry `../\x1b[2Jbad` at byte 512 climbs out of the root with `..`"
    );
}

/// Makes a tree, archives it with GNU tar and reads it back.
fn gnu_tar(arguments: &[&str], make: impl FnOnce(&std::path::Path)) -> Files {
    let home = tempfile::tempdir().unwrap();
    make(home.path());
    let output = Command::new("tar")
        .args(["--sort=name", "-C"])
        .arg(home.path())
        .args(arguments)
        .args(["-cf", "-", "."])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    read_all(&output.stdout).unwrap()
}

#[test]
fn all_formats_of_gnu_tar_give_the_same_entries() {
    let long = "n".repeat(150);
    let make = |home: &std::path::Path| {
        std::fs::create_dir(home.join(&long)).unwrap();
        std::fs::write(home.join(&long).join("fil\u{e9}"), b"contents").unwrap();
        std::os::unix::fs::symlink("t".repeat(180), home.join("link")).unwrap();
        std::fs::hard_link(home.join(&long).join("fil\u{e9}"), home.join("same")).unwrap();
    };
    for format in ["gnu", "posix", "oldgnu"] {
        let files = gnu_tar(&["--format", format], make);
        let kinds: Vec<_> = files
            .iter()
            .map(|(entry, contents)| (entry.path.to_string(), entry.kind.word(), contents.len()))
            .collect();
        assert_eq!(
            kinds,
            [
                (".".to_owned(), "directory", 0),
                ("link".to_owned(), "symbolic link", 0),
                (long.clone(), "directory", 0),
                (format!("{long}/fil\\xc3\\xa9"), "file", 8),
                ("same".to_owned(), "hard link", 0),
            ],
            "{format}"
        );
        assert_eq!(files[1].0.kind, Kind::Symlink(vec![b't'; 180]));
    }
}

#[test]
fn all_sparse_formats_of_gnu_tar_give_the_same_contents() {
    let size = 3_000_000;
    let mut expected = vec![0; size];
    for part in 0..30 {
        expected[part * 98_304..part * 98_304 + 700].fill(u8::try_from(part + 1).unwrap());
    }
    let make = |home: &std::path::Path| {
        use std::os::unix::fs::FileExt;
        let file = std::fs::File::create(home.join("holes")).unwrap();
        file.set_len(size as u64).unwrap();
        for (index, piece) in expected.chunks(98_304).enumerate() {
            if piece[0] != 0 {
                file.write_all_at(&piece[..700], index as u64 * 98_304)
                    .unwrap();
            }
        }
        std::fs::write(home.join("z"), b"after").unwrap();
    };
    for arguments in [
        &["--format=gnu", "-S"][..],
        &["--format=posix", "--sparse-version=0.0", "-S"],
        &["--format=posix", "--sparse-version=0.1", "-S"],
        &["--format=posix", "--sparse-version=1.0", "-S"],
    ] {
        let files = gnu_tar(arguments, make);
        assert_eq!(files[1].0.path.as_bytes(), b"holes", "{arguments:?}");
        assert!(files[1].1 == expected, "{arguments:?}");
        assert_eq!(files[2].1, b"after");
    }
}

#[test]
fn contents_can_be_read_in_small_steps_and_left_half_read() {
    let bytes = write_all(&[file("a", &[1; 1500]), file("b", b"next")]);
    let mut reader = Reader::new(bytes.as_slice(), Limits::default());
    reader.next_entry().unwrap();
    let mut some = [0; 7];
    reader.contents().read_exact(&mut some).unwrap();
    reader.contents().read_exact(&mut some).unwrap();
    assert_eq!(some, [1; 7]);
    assert_eq!(reader.next_entry().unwrap().unwrap().path.as_bytes(), b"b");
    let mut rest = String::new();
    reader.contents().read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "next");
}

#[test]
fn the_writer_refuses_contents_that_are_too_short() {
    let (mut entry, _) = file("a", b"");
    entry.size = 10;
    let error = Writer::new(Vec::new())
        .append_file(&entry, &b"123"[..])
        .unwrap_err();
    assert!(matches!(error, TarError::Inexpressible { .. }));
}

fn arbitrary_name() -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![4 => b'a'..=b'f', 1 => 1u8..=255].prop_filter("no slash", |b| *b != b'/');
    prop::collection::vec(byte, 1..120).prop_filter("plain", |name| name != b"." && name != b"..")
}

fn arbitrary_path() -> impl Strategy<Value = EntryPath> {
    prop::collection::vec(arbitrary_name(), 1..5).prop_map(|names| {
        names
            .iter()
            .fold(EntryPath::root(), |path, name| path.join(name))
    })
}

fn arbitrary_kind() -> impl Strategy<Value = Kind> {
    let device = (0u32..1 << 12, 0u32..1 << 20).prop_map(|(major, minor)| Device { major, minor });
    prop_oneof![
        4 => Just(Kind::File),
        2 => Just(Kind::Directory),
        1 => prop::collection::vec(1u8..=255, 1..300).prop_map(Kind::Symlink),
        1 => arbitrary_path().prop_map(Kind::HardLink),
        1 => device.clone().prop_map(Kind::CharDevice),
        1 => device.prop_map(Kind::BlockDevice),
        1 => Just(Kind::Fifo),
    ]
}

prop_compose! {
    fn arbitrary_entry()(
        path in arbitrary_path(),
        kind in arbitrary_kind(),
        mode in 0u32..0o10000,
        uid in 0..u32::MAX,
        gid in prop_oneof![0u32..70_000, 0..u32::MAX],
        seconds in prop_oneof![0i64..2_000_000_000, -(1i64 << 40)..1i64 << 40],
        nanoseconds in prop_oneof![Just(0u32), 0u32..1_000_000_000],
        xattrs in prop::collection::btree_map(
            prop::collection::vec(1u8..=255, 1..30),
            prop::collection::vec(any::<u8>(), 0..40),
            0..4,
        ),
        contents in prop::collection::vec(any::<u8>(), 0..1200),
    ) -> (Entry, Vec<u8>) {
        let contents = if kind == Kind::File { contents } else { Vec::new() };
        let entry = Entry {
            path,
            kind,
            mode,
            uid,
            gid,
            mtime: Mtime { seconds, nanoseconds },
            xattrs: xattrs.into_iter().map(|(name, value)| Xattr { name, value }).collect(),
            size: contents.len() as u64,
            offset: 0,
        };
        (entry, contents)
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(files in prop::collection::vec(arbitrary_entry(), 0..6)) {
        let bytes = write_all(&files);
        prop_assert_eq!(read_all(&bytes).unwrap(), files);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        files in prop::collection::vec(arbitrary_entry(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        fix in any::<bool>(),
    ) {
        let mut bytes = write_all(&files);
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
            if fix {
                // A hostile archive has right checksums.
                let block = at / BLOCK * BLOCK;
                let mut header = tar::Header::new_old();
                header.as_mut_bytes().copy_from_slice(&bytes[block..block + BLOCK]);
                header.set_cksum();
                bytes[block..block + BLOCK].copy_from_slice(header.as_bytes());
            }
        }
        let limits = Limits { total_bytes: 1 << 20, ..Limits::default() };
        read_with(&bytes, limits).ok();
    }
}

#[test]
fn the_last_file_may_lack_its_padding() {
    let mut entry = Entry::new(EntryPath::parse(b"big").unwrap(), Kind::File);
    entry.size = 700;
    let whole = write_all(&[(entry, vec![1; 700])]);
    let read = |length: usize| -> Result<bool, TarError> {
        let mut reader = Reader::new(&whole[..length], Limits::default());
        while reader.next_entry()?.is_some() {
            while reader.chunk()?.is_some() {}
        }
        Ok(reader.end_was_marked())
    };
    let contents_end = BLOCK + 700;
    assert!(!read(contents_end).unwrap());
    assert!(matches!(
        read(contents_end - 1),
        Err(TarError::Truncated { .. })
    ));
    assert!(matches!(
        read(contents_end + 1),
        Err(TarError::Truncated { .. })
    ));
}
