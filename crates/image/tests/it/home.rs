//! A root of its own, archives written as readable text, and the programs of others.

use std::{
    collections::{BTreeMap, HashSet},
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use hull_image::{Image, ImageError, Images, Input, Limits};
use hull_types::{Digest, Platform, Reference, ShortNames};
use sha2::Digest as _;

/// One installation in a temporary directory.
pub(crate) struct Home {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) images: Images,
}

/// Says why a test is not run, if it is not.
pub(crate) fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: unpacking with owners needs root");
    }
    is_root
}

impl Home {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let images = open(dir.path());
        // What is made at the first use is there from now on, so that trees can be compared.
        images.collect().unwrap();
        Self { dir, images }
    }

    pub(crate) fn limited(limits: Limits) -> Self {
        let Self { dir, images } = Self::new();
        let images = images.with_limits(limits);
        Self { dir, images }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn load(&self, bytes: &[u8]) -> Result<Vec<Image>, ImageError> {
        let mut bytes = bytes;
        self.images
            .load(Input::Stream(&mut bytes), &Platform::host())
    }

    pub(crate) fn load_path(&self, path: &Path) -> Result<Vec<Image>, ImageError> {
        self.images.load(Input::Path(path), &Platform::host())
    }

    /// Imports a tar under a name.
    pub(crate) fn import(&self, bytes: &[u8], name: &str) -> Result<Image, ImageError> {
        let name: Reference = name.parse().unwrap();
        let import = hull_image::Import {
            name: Some(&name),
            ..Default::default()
        };
        let mut bytes = bytes;
        self.images.import(Input::Stream(&mut bytes), &import)
    }

    /// The directory of an unpacked layer.
    pub(crate) fn tree_of(&self, image: &Image, layer: usize) -> PathBuf {
        let digest = &image.layers()[layer].0;
        let name = format!("{}-{}", digest.algorithm().as_str(), digest.hex());
        self.dir.path().join("layers").join(name).join("fs")
    }

    /// Everything below the root but the ledger, which remembers failures too.
    pub(crate) fn everything(&self) -> BTreeMap<PathBuf, String> {
        let mut found = tree(self.dir.path());
        found.retain(|path, _| !path.starts_with("ledger"));
        found
    }

    /// Runs something that must fail and must leave nothing.
    pub(crate) fn refuses<T: std::fmt::Debug>(
        &self,
        what: &str,
        outcome: impl FnOnce() -> Result<T, ImageError>,
    ) -> String {
        let before = self.everything();
        let error = match outcome() {
            Ok(done) => panic!("{what} was accepted: {done:?}"),
            Err(error) => error,
        };
        let mut after = self.everything();
        if before != after {
            // Other tests start programs, and a forked child has copies of our locks until its exec: what was held a moment
            // ago is collected now.
            self.images.collect().unwrap();
            after = self.everything();
        }
        if before != after {
            let keys =
                |tree: &BTreeMap<PathBuf, String>| tree.keys().cloned().collect::<HashSet<_>>();
            let (old, new) = (keys(&before), keys(&after));
            panic!(
                "{what} left something: {:?}",
                new.symmetric_difference(&old)
            );
        }
        chain(&error)
    }
}

pub(crate) fn open(root: &Path) -> Images {
    Images::open(root, ShortNames::default(), Default::default()).unwrap()
}

/// An error with its causes, as a person sees it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

/// What is below a path: kind, mode, owner, size or link target, and content.
pub(crate) fn tree(top: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![top.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let data = path.symlink_metadata().unwrap();
            let content = if data.is_dir() {
                left.push(path.clone());
                String::new()
            } else if data.is_symlink() {
                format!("{:?}", std::fs::read_link(&path).unwrap())
            } else if data.is_file() {
                let bytes = std::fs::read(&path).unwrap();
                format!("{:x}", sha2::Sha256::digest(bytes)[0]) + &format!(" {}", data.size())
            } else {
                String::from("special")
            };
            let line = format!("{:o} {}:{} {content}", data.mode(), data.uid(), data.gid());
            found.insert(path.strip_prefix(top).unwrap().to_owned(), line);
        }
    }
    found
}

/// Runs a program of somebody else and returns what it printed.
pub(crate) fn run(program: &[&str]) -> Vec<u8> {
    pipe(program, b"")
}

/// Runs a program over bytes.
pub(crate) fn pipe(program: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{} cannot be started: {error}", program[0]));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program:?} failed");
    output.stdout
}

/// A tar with the names and contents given, as GNU tar's own header would have them.
pub(crate) fn files(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        archive
            .append(
                &header(name, tar::EntryType::Regular, content.len(), ""),
                *content,
            )
            .unwrap();
    }
    archive.into_inner().unwrap()
}

/// A header with any name, checked by nobody.
pub(crate) fn header(name: &str, kind: tar::EntryType, size: usize, link: &str) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(size as u64);
    header.set_cksum();
    header
}

/// A tar of entries without content.
pub(crate) fn entries(list: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, kind, link) in list {
        archive
            .append(&header(name, *kind, 0, link), &b""[..])
            .unwrap();
    }
    archive.into_inner().unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digest::sha256(&sha2::Sha256::digest(bytes).into())
}

/// An image as its blobs: what an OCI layout holds. Tests bend it before they pack it.
pub(crate) struct Parts {
    pub(crate) layers: Vec<Vec<u8>>,
    pub(crate) diff_ids: Vec<String>,
    pub(crate) name: Option<String>,
}

impl Parts {
    /// An image of uncompressed layers.
    pub(crate) fn of(layers: &[Vec<u8>]) -> Self {
        Self {
            layers: layers.to_vec(),
            diff_ids: layers
                .iter()
                .map(|layer| sha256(layer).to_string())
                .collect(),
            name: Some("example.org/x:1".to_owned()),
        }
    }

    pub(crate) fn config(&self) -> Vec<u8> {
        serde_json::json!({
            "architecture": Platform::host().architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
        })
        .to_string()
        .into_bytes()
    }

    pub(crate) fn manifest(&self) -> serde_json::Value {
        let config = self.config();
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|layer| {
                serde_json::json!({
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": sha256(layer).to_string(),
                    "size": layer.len(),
                })
            })
            .collect();
        serde_json::json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": sha256(&config).to_string(),
                "size": config.len(),
            },
            "layers": layers,
        })
    }

    /// The members of an OCI archive whose manifest is this one.
    pub(crate) fn members(&self, manifest: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut blobs = vec![self.config(), manifest.to_vec()];
        blobs.extend(self.layers.clone());
        let mut members: Vec<(String, Vec<u8>)> = blobs
            .into_iter()
            .map(|blob| (format!("blobs/sha256/{}", sha256(&blob).hex()), blob))
            .collect();
        let mut entry = serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": sha256(manifest).to_string(),
            "size": manifest.len(),
        });
        if let Some(name) = &self.name {
            entry["annotations"] = serde_json::json!({"org.opencontainers.image.ref.name": name});
        }
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [entry]});
        members.push(("index.json".into(), index.to_string().into_bytes()));
        let marker = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
        members.push(("oci-layout".into(), marker));
        members
    }

    pub(crate) fn oci_archive(&self) -> Vec<u8> {
        pack(&self.members(self.manifest().to_string().as_bytes()))
    }

    /// The members of a docker archive in the style of docker 1.10 to 24.
    pub(crate) fn docker_members(&self) -> Vec<(String, Vec<u8>)> {
        let config = self.config();
        let config_name = format!("{}.json", sha256(&config).hex());
        let mut members = vec![(config_name.clone(), config)];
        let mut layers = Vec::new();
        for layer in &self.layers {
            let name = format!("{}/layer.tar", sha256(layer).hex());
            members.push((name.clone(), layer.clone()));
            layers.push(name);
        }
        let manifest = serde_json::json!([{
            "Config": config_name, "RepoTags": self.name.iter().collect::<Vec<_>>(), "Layers": layers,
        }]);
        members.push(("manifest.json".into(), manifest.to_string().into_bytes()));
        members
    }
}

/// Packs members in the order given; long names go into GNU's own headers.
pub(crate) fn pack(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = header("", tar::EntryType::Regular, content.len(), "");
        archive
            .append_data(&mut header, name, &content[..])
            .unwrap();
    }
    archive.into_inner().unwrap()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    pipe(&["gzip", "-c"], bytes)
}

/// A small root file system with a program that runs anywhere, as a directory.
pub(crate) fn busybox(at: &Path) {
    for dir in ["bin", "etc", "usr/share/doc/a", "usr/share/doc/b", "tmp"] {
        std::fs::create_dir_all(at.join(dir)).unwrap();
    }
    std::fs::copy("/bin/busybox", at.join("bin/busybox")).unwrap();
    for name in ["sh", "ls", "true"] {
        std::os::unix::fs::symlink("busybox", at.join("bin").join(name)).unwrap();
    }
    write(&at.join("etc/passwd"), b"root:x:0:0:root:/:/bin/sh\n");
    for number in 0..200 {
        let dir = if number % 2 == 0 { "a" } else { "b" };
        let text = format!("document {number}\n").repeat(number);
        write(
            &at.join(format!("usr/share/doc/{dir}/{number}")),
            text.as_bytes(),
        );
    }
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::File::create(path)
        .unwrap()
        .write_all(bytes)
        .unwrap();
}
