//! Archives and images written byte by byte, so that they can lie.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::sha256;

/// A tar entry. Nothing in it is checked.
#[derive(Clone, Debug)]
pub struct Entry {
    name: Vec<u8>,
    kind: u8,
    mode: u32,
    owner: (u32, u32),
    link: Vec<u8>,
    body: Vec<u8>,
    device: (u32, u32),
    size: Option<u64>,
    pax: Vec<(String, Vec<u8>)>,
}

impl Entry {
    fn new(name: impl AsRef<[u8]>, kind: u8, mode: u32) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            kind,
            mode,
            owner: (0, 0),
            link: Vec::new(),
            body: Vec::new(),
            device: (0, 0),
            size: None,
            pax: Vec::new(),
        }
    }

    /// A regular file.
    pub fn file(name: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Self {
        Self {
            body: body.as_ref().to_vec(),
            ..Self::new(name, b'0', 0o644)
        }
    }

    /// A directory.
    pub fn dir(name: impl AsRef<[u8]>) -> Self {
        Self::new(name, b'5', 0o755)
    }

    /// A symbolic link.
    pub fn symlink(name: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        Self {
            link: to.as_ref().to_vec(),
            ..Self::new(name, b'2', 0o777)
        }
    }

    /// A hard link.
    pub fn hard_link(name: impl AsRef<[u8]>, to: impl AsRef<[u8]>) -> Self {
        Self {
            link: to.as_ref().to_vec(),
            ..Self::new(name, b'1', 0o644)
        }
    }

    /// A character device.
    pub fn device(name: impl AsRef<[u8]>, major: u32, minor: u32) -> Self {
        Self {
            device: (major, minor),
            ..Self::new(name, b'3', 0o666)
        }
    }

    /// A named pipe.
    pub fn fifo(name: impl AsRef<[u8]>) -> Self {
        Self::new(name, b'6', 0o644)
    }

    /// Sets the permissions.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Sets the owner.
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.owner = (uid, gid);
        self
    }

    /// Claims another size than the content has.
    pub fn claims(mut self, size: u64) -> Self {
        self.size = Some(size);
        self
    }

    /// Adds an extended attribute.
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax(&format!("SCHILY.xattr.{name}"), value)
    }

    /// Adds a PAX record.
    pub fn pax(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.to_owned(), value.as_ref().to_vec()));
        self
    }

    fn write(&self, out: &mut Vec<u8>) {
        if !self.pax.is_empty() {
            let records: Vec<u8> = self.pax.iter().flat_map(pax_record).collect();
            Self {
                body: records,
                ..Self::new("pax", b'x', 0o644)
            }
            .write(out);
        }
        out.extend(self.header());
        out.extend(&self.body);
        out.resize(out.len().next_multiple_of(512), 0);
    }

    fn header(&self) -> [u8; 512] {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name[..self.name.len().min(100)]);
        put(100, format!("{:07o}\0", self.mode).as_bytes());
        put(108, format!("{:07o}\0", self.owner.0).as_bytes());
        put(116, format!("{:07o}\0", self.owner.1).as_bytes());
        let size = self.size.unwrap_or(self.body.len() as u64);
        put(124, format!("{size:011o}\0").as_bytes());
        put(136, format!("{:011o}\0", 1_700_000_000).as_bytes());
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, &self.link[..self.link.len().min(100)]);
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}\0", self.device.0).as_bytes());
        put(337, format!("{:07o}\0", self.device.1).as_bytes());
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header
    }
}

fn pax_record((key, value): &(String, Vec<u8>)) -> Vec<u8> {
    let rest = 1 + key.len() + 1 + value.len() + 1;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend(value);
    record.push(b'\n');
    record
}

/// Writes an archive.
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    entries.iter().for_each(|entry| entry.write(&mut out));
    out.extend([0; 1024]);
    out
}

/// Compresses.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes everything");
    encoder.finish().expect("memory takes everything")
}

/// An image as an OCI layout directory, honest until told otherwise.
#[derive(Clone, Debug)]
pub struct OciLayout {
    /// Each layer as an archive, and as its blob.
    pub layers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The image configuration's `config`.
    pub config: Value,
    /// Changes the image configuration as a whole, the manifest, or a layer's descriptor.
    pub change_config: fn(&mut Value),
    pub change_manifest: fn(&mut Value),
    /// What stands in the file of the first layer's blob instead of the blob.
    pub change_blob: fn(&mut Vec<u8>),
}

impl Default for OciLayout {
    fn default() -> Self {
        Self {
            layers: Vec::new(),
            config: json!({}),
            change_config: |_| {},
            change_manifest: |_| {},
            change_blob: |_| {},
        }
    }
}

impl OciLayout {
    /// Adds a layer, topmost last.
    pub fn layer(self, entries: &[Entry]) -> Self {
        let tar = tar(entries);
        let blob = gzip(&tar);
        self.raw_layer(tar, blob)
    }

    /// Adds a layer that somebody else compressed.
    pub fn raw_layer(mut self, tar: Vec<u8>, blob: Vec<u8>) -> Self {
        self.layers.push((tar, blob));
        self
    }

    /// Adds the file system of Debian's busybox as a layer.
    pub fn busybox(self) -> Self {
        let path = std::env::var_os("HULL_ROOTFS").expect("`cargo xtask test` sets HULL_ROOTFS");
        let tar = std::fs::read(path).expect("the archive of busybox was made");
        let blob = gzip(&tar);
        self.raw_layer(tar, blob)
    }

    /// Sets the image configuration's `config`.
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Writes the layout; the image is called `name`.
    pub fn write(&self, dir: &Path, name: &str) {
        let blobs = dir.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("the test's own directory is writable");
        let put = |bytes: &[u8]| {
            let digest = sha256(bytes);
            write(&blobs.join(&digest), bytes);
            format!("sha256:{digest}")
        };
        let mut layers = Vec::new();
        for (index, (_, blob)) in self.layers.iter().enumerate() {
            let digest = put(blob);
            layers.push(json!({
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": blob.len()
            }));
            if index == 0 {
                let mut other = blob.clone();
                (self.change_blob)(&mut other);
                write(&blobs.join(digest.trim_start_matches("sha256:")), &other);
            }
        }
        let diff_ids: Vec<String> = self
            .layers
            .iter()
            .map(|(tar, _)| format!("sha256:{}", sha256(tar)))
            .collect();
        let mut config = json!({
            "architecture": architecture(), "os": "linux", "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids}
        });
        (self.change_config)(&mut config);
        let config = config.to_string();
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": put(config.as_bytes()), "size": config.len()
            },
            "layers": layers
        });
        (self.change_manifest)(&mut manifest);
        let manifest = manifest.to_string();
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{
                "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": put(manifest.as_bytes()),
                "size": manifest.len(), "annotations": {"org.opencontainers.image.ref.name": name}
            }]
        });
        write(&dir.join("index.json"), index.to_string().as_bytes());
        write(
            &dir.join("oci-layout"),
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        );
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn write(path: &Path, bytes: &[u8]) {
    let mut file = std::fs::File::create(path).expect("the test's own directory is writable");
    file.write_all(bytes).expect("the disk has room");
}
