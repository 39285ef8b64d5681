//! `cargo xtask rootfs OUT.tar[.gz]`: a small root file system from Debian's busybox-static.
//!
//! Every applet is a hard link to one file. The same busybox gives the same bytes: no time, no name of this machine is in it.

use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::{options::Options, run};

const BUSYBOX: &str = "/bin/busybox";
/// The last two can be written by everyone.
const DIRECTORIES: [&str; 14] = [
    "bin", "dev", "etc", "home", "proc", "root", "run", "sbin", "sys", "usr", "usr/bin",
    "usr/sbin", "var", "tmp",
];
const FILES: [(&str, &str); 3] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
         nobody:x:65534:65534:nobody:/home:/bin/false\n",
    ),
    (
        "etc/group",
        "root:x:0:\ndaemon:x:1:\nstaff:x:50:\nnobody:x:65534:\n",
    ),
    ("etc/os-release", "ID=busybox\nPRETTY_NAME=\"busybox\"\n"),
];

pub(crate) fn command(words: &[String]) -> Result<ExitCode> {
    let words = Options::new(words).rest()?;
    let [out] = words.as_slice() else {
        bail!("give the archive's name, OUT.tar or OUT.tar.gz")
    };
    write(Path::new(out))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the archive; `.gz` in its name compresses it.
pub(crate) fn write(out: &Path) -> Result<()> {
    let file =
        std::fs::File::create(out).with_context(|| format!("cannot write {}", out.display()))?;
    if out.extension().is_some_and(|extension| extension == "gz") {
        let gzip = GzBuilder::new()
            .mtime(0)
            .write(file, Compression::default());
        archive(gzip)?.finish()?;
    } else {
        archive(file)?;
    }
    Ok(())
}

fn archive<W: Write>(out: W) -> Result<W> {
    let busybox = std::fs::read(BUSYBOX)
        .context("cannot read busybox: install the package busybox-static")?;
    let applets = run::checked(Command::new(BUSYBOX).arg("--list"))?;
    let mut tar = Builder::new(out);
    for dir in DIRECTORIES {
        let mode = if dir == "tmp" { 0o1777 } else { 0o755 };
        tar.append_data(
            &mut header(EntryType::Directory, mode, 0)?,
            format!("{dir}/"),
            std::io::empty(),
        )?;
    }
    for (name, text) in FILES {
        tar.append_data(
            &mut header(EntryType::Regular, 0o644, text.len())?,
            name,
            text.as_bytes(),
        )?;
    }
    let name = "bin/busybox";
    tar.append_data(
        &mut header(EntryType::Regular, 0o755, busybox.len())?,
        name,
        busybox.as_slice(),
    )?;
    for applet in applets.lines().filter(|applet| *applet != "busybox") {
        tar.append_link(
            &mut header(EntryType::Link, 0o755, 0)?,
            format!("bin/{applet}"),
            name,
        )?;
    }
    Ok(tar.into_inner()?)
}

fn header(kind: EntryType, mode: u32, size: usize) -> Result<Header> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size.try_into()?);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    Ok(header)
}
