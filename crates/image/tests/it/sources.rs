//! Installing from a source that streams, as a registry does.

use std::{
    collections::HashMap,
    io::{self, Read},
};

use hull_image::{Image, ImageError, Offer, Source, SourceError, Wanted};
use hull_spec::image::{Descriptor, MediaType};
use hull_types::{Digest, ErrorKind, Platform, Reference};

use crate::home::{Home, Parts, chain, files, gzip, is_root, run, sha256};

/// Blobs by digest, and who asked for them.
struct Remote {
    blobs: HashMap<Digest, Vec<u8>>,
    asked: Vec<Digest>,
    /// Where the connection breaks.
    breaks_after: Option<u64>,
}

impl Remote {
    fn of(parts: &Parts, manifest: &str) -> Self {
        let mut blobs = vec![parts.config(), manifest.as_bytes().to_vec()];
        blobs.extend(parts.layers.clone());
        Self {
            blobs: blobs
                .into_iter()
                .map(|blob| (sha256(&blob), blob))
                .collect(),
            asked: Vec::new(),
            breaks_after: None,
        }
    }
}

impl Source for Remote {
    fn blob(&mut self, what: &Descriptor) -> Result<Offer<'_>, SourceError> {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    "the line is dead",
                ))
            }
        }
        self.asked.push(what.digest.clone());
        let blob = self.blobs.get(&what.digest).ok_or_else(|| {
            SourceError::new(ErrorKind::Denied, Some("log in".into()), "no access")
        })?;
        Ok(Offer::Stream(match self.breaks_after {
            Some(count) if (blob.len() as u64) > count => Box::new(blob.take(count).chain(Broken)),
            _ => Box::new(&blob[..]),
        }))
    }
}

fn install(
    home: &Home,
    remote: &mut Remote,
    manifest: &str,
    media_type: &str,
    name: &str,
) -> Result<Image, ImageError> {
    let digest = sha256(manifest.as_bytes());
    let names: [Reference; 1] = [name.parse().unwrap()];
    let wanted = Wanted {
        root: Descriptor::new(MediaType::parse(media_type), digest, manifest.len() as u64),
        names: &names,
        platform: &Platform::host(),
    };
    home.images.install(&wanted, remote)
}

const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";

fn gzipped(layer: &[u8]) -> Parts {
    Parts {
        layers: vec![gzip(layer)],
        diff_ids: vec![sha256(layer).to_string()],
        name: None,
    }
}

#[test]
fn root_what_is_here_is_not_fetched_again() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let parts = gzipped(&files(&[("a", b"a")]));
    let manifest = parts.manifest().to_string();
    let mut remote = Remote::of(&parts, &manifest);
    let image = install(&home, &mut remote, &manifest, OCI, "example.org/x:1").unwrap();
    assert_eq!(remote.asked.len(), 3);
    assert!(home.tree_of(&image, 0).join("a").exists());
    let before = home.everything();
    install(&home, &mut remote, &manifest, OCI, "example.org/x:1").unwrap();
    assert_eq!(remote.asked.len(), 3);
    assert_eq!(home.everything(), before);
    // Under a digest: found by it, and no tag moves.
    let by_digest = format!("example.org/y:1@{}", image.digest);
    install(&home, &mut remote, &manifest, OCI, &by_digest).unwrap();
    assert!(home.images.resolve("example.org/y:1").is_err());
    assert_eq!(
        home.images.resolve(&by_digest).unwrap().digest,
        image.digest
    );
}

#[test]
fn root_dockers_own_manifests_are_kept_and_read_by_skopeo() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let parts = gzipped(&files(&[("a", b"a")]));
    let mut manifest = parts.manifest();
    manifest["mediaType"] = DOCKER.into();
    manifest["config"]["mediaType"] = "application/vnd.docker.container.image.v1+json".into();
    manifest["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip".into();
    let manifest = manifest.to_string();
    let mut remote = Remote::of(&parts, &manifest);
    let image = install(&home, &mut remote, &manifest, DOCKER, "example.org/x:1").unwrap();
    let place = format!("oci:{}:example.org/x:1", home.path("images").display());
    let config = run(&["skopeo", "inspect", "--config", "--raw", &place]);
    assert_eq!(sha256(&config), image.id);
    assert_eq!(image.digest, sha256(manifest.as_bytes()));
    assert_eq!(image.index, None);
    // The index that is listed for it makes no difference to names, to saving and to removal.
    let images = &home.images;
    images
        .tag("example.org/x:1", &"y:1".parse().unwrap())
        .unwrap();
    assert_eq!(images.resolve("y:1").unwrap().names.len(), 2);
    let by_digest = format!("y@{}", image.digest);
    assert_eq!(images.resolve(&by_digest).unwrap().id, image.id);
    let saved = home.path("saved.tar");
    let mut file = std::fs::File::create(&saved).unwrap();
    images
        .save(&["y:1"], &mut file, hull_image::Format::OciArchive)
        .unwrap();
    let archive = format!("oci-archive:{}", saved.display());
    let config = run(&["skopeo", "inspect", "--config", "--raw", &archive]);
    assert_eq!(sha256(&config), image.id);
    assert_eq!(home.load_path(&saved).unwrap()[0].digest, image.digest);
    images.collect().unwrap();
    let out = home.path("out");
    run(&[
        "skopeo",
        "copy",
        "-q",
        &place,
        &format!("oci:{}:x", out.display()),
    ]);
    assert_eq!(home.load_path(&out).unwrap()[0].layers(), image.layers());
    // The type is part of what was promised.
    home.refuses("announced as another type", || {
        let parts = gzipped(&files(&[("b", b"b")]));
        let mut manifest = parts.manifest();
        manifest["mediaType"] = DOCKER.into();
        let manifest = manifest.to_string();
        install(
            &home,
            &mut Remote::of(&parts, &manifest),
            &manifest,
            OCI,
            "x:2",
        )
    });
}

#[test]
fn root_streams_that_break_or_lie_leave_nothing() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let layer = files(&[("a", &[b'a'; 40_000]), ("b", &[b'b'; 40_000])]);
    let parts = Parts::of(std::slice::from_ref(&layer));
    let manifest = parts.manifest().to_string();
    let attempt = |what: &str, change: &dyn Fn(&mut Remote)| {
        let mut remote = Remote::of(&parts, &manifest);
        change(&mut remote);
        home.refuses(what, || install(&home, &mut remote, &manifest, OCI, "x:1"))
    };
    let digest = sha256(&layer);
    let error = attempt("broken line", &|remote| remote.breaks_after = Some(30_000));
    assert!(error.contains("the line is dead"), "{error}");
    let error = attempt("denied", &|remote| drop(remote.blobs.remove(&digest)));
    assert!(error.contains("no access"), "{error}");
    let error = attempt("too short", &|remote| {
        remote.blobs.get_mut(&digest).unwrap().truncate(30_000);
    });
    assert!(error.contains("ends after 30000 bytes"), "{error}");
    let error = attempt("too long", &|remote| {
        remote.blobs.get_mut(&digest).unwrap().extend([0; 512]);
    });
    assert!(error.contains("goes on after"), "{error}");
    let error = attempt("one bit", &|remote| {
        remote.blobs.get_mut(&digest).unwrap()[5_000] ^= 1;
    });
    assert!(error.contains("has digest"), "{error}");
    let error = attempt("headers of nonsense", &|remote| {
        remote.blobs.get_mut(&digest).unwrap()[..512].fill(b'x');
    });
    assert!(
        error.contains("has digest"),
        "the cause, not the symptom: {error}"
    );
    let error = attempt("another config", &|remote| {
        let config = sha256(&parts.config());
        *remote.blobs.get_mut(&config).unwrap() = b"{}".to_vec();
    });
    assert!(error.contains("bytes"), "{error}");

    let mut remote = Remote::of(&parts, &manifest);
    remote.blobs.remove(&digest);
    let error = install(&home, &mut remote, &manifest, OCI, "x:1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert_eq!(error.hint().as_deref(), Some("log in"), "{}", chain(&error));
}

#[test]
fn root_a_known_blob_cannot_stand_for_another_layer() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let (good, bad) = (files(&[("a", b"good")]), files(&[("a", b"bad")]));
    for layer in [&good, &bad] {
        home.import(&gzip(layer), "example.org/known:1").unwrap();
    }
    // Both the blob and the tree are here, but they do not belong together.
    let parts = Parts {
        diff_ids: vec![sha256(&good).to_string()],
        ..gzipped(&bad)
    };
    let manifest = parts.manifest().to_string();
    let mut remote = Remote::of(&parts, &manifest);
    let error = home.refuses("lying pair", || {
        install(&home, &mut remote, &manifest, OCI, "example.org/x:1")
    });
    assert!(error.contains("promises"), "{error}");
}
