//! Names, ids, taking away and collecting.

use std::collections::HashSet;

use hull_image::{Force, ImageError};
use hull_types::ErrorKind;

use crate::home::{Home, files, is_root, open};

#[test]
fn root_images_are_found_by_everything_people_type() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let image = home.import(&files(&[("a", b"1")]), "debian:12").unwrap();
    let other = home
        .import(&files(&[("a", b"2")]), "ghcr.io/team/tool:v1")
        .unwrap();
    let images = &home.images;
    for asked in [
        "debian:12",
        "docker.io/library/debian:12",
        image.id.hex(),
        image.id.short(),
        image.digest.hex(),
        &image.id.to_string(),
        &image.digest.to_string(),
        &format!("debian@{}", image.digest),
        &format!("debian:12@{}", image.digest),
        &format!("sha256:{}", image.id.short()),
    ] {
        assert_eq!(images.resolve(asked).unwrap().id, image.id, "{asked}");
    }
    assert_eq!(images.resolve("ghcr.io/team/tool:v1").unwrap().id, other.id);
    for (asked, near) in [
        ("debian", &["debian:12"][..]),
        ("debain:12", &["debian:12"]),
        ("debain", &["debian:12"]),
        ("debian:13", &["debian:12"]),
        ("ghcr.io/team/tol:v1", &["ghcr.io/team/tool:v1"]),
        ("postgres", &[]),
    ] {
        match images.resolve(asked).unwrap_err() {
            ImageError::NotFound { near: found, .. } => assert_eq!(found, near, "{asked}"),
            error => panic!("{asked}: {error}"),
        }
    }
    assert_eq!(
        images.resolve("Debian").unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    let absent = format!("debian@sha256:{}", "0".repeat(64));
    assert_eq!(
        images.resolve(&absent).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    // Another image's digest is not this name's.
    let mixed = format!("debian@{}", other.digest);
    assert_eq!(
        images.resolve(&mixed).unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn root_an_id_that_two_images_share_the_beginning_of_is_ambiguous() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    // Seventeen ids, sixteen digits: two begin alike.
    let mut begins = HashSet::new();
    for number in 0..300 {
        let content = format!("{number}");
        let image = home
            .import(&files(&[("a", content.as_bytes())]), "x:1")
            .unwrap();
        let two = image.id.hex()[..2].to_owned();
        if !begins.insert(two.clone()) {
            let error = home.images.resolve(&two).unwrap_err();
            assert!(matches!(error, ImageError::Ambiguous { .. }), "{error}");
            assert!(error.hint().unwrap().contains(image.id.short()));
            return;
        }
    }
    panic!("300 ids have 300 beginnings of two digits");
}

#[test]
fn root_a_name_moves_and_the_image_it_left_dangles() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let first = home.import(&files(&[("a", b"1")]), "x:1").unwrap();
    let second = home.import(&files(&[("a", b"2")]), "x:1").unwrap();
    assert_eq!(home.images.resolve("x:1").unwrap().id, second.id);
    assert!(
        home.images
            .resolve(first.id.hex())
            .unwrap()
            .names
            .is_empty()
    );
    // Pruning takes the dangling one with all that only it needs.
    let removed = home.images.prune(&HashSet::new(), false).unwrap();
    assert_eq!(removed.images, std::slice::from_ref(&first.id));
    assert_eq!(removed.layers, first.layers());
    assert_eq!(removed.blobs.len(), 3);
    assert_eq!(home.images.list().unwrap().images.len(), 1);
    let removed = home
        .images
        .prune(&HashSet::from([second.digest]), true)
        .unwrap();
    assert_eq!(removed, Default::default(), "a container uses it");
    assert_eq!(
        home.images.prune(&HashSet::new(), true).unwrap().images,
        [second.id]
    );
}

#[test]
fn root_removing_gives_back_what_was_taken() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let nobody = HashSet::new();
    let empty = home.everything();
    let image = home.import(&files(&[("a", b"1")]), "x:1").unwrap();
    let one = home.everything();
    home.images
        .tag("x:1", &"example.org/y:2".parse().unwrap())
        .unwrap();

    // One name of two: only the name goes.
    let removed = home
        .images
        .remove("example.org/y:2", &nobody, Force::No)
        .unwrap();
    assert_eq!(removed.untagged.len(), 1);
    assert!(removed.images.is_empty() && removed.blobs.is_empty());
    assert_eq!(home.everything(), one);

    // By id with two names: refused, unless forced.
    home.images.tag("x:1", &"x:2".parse().unwrap()).unwrap();
    let id = image.id.hex();
    let error = home.images.remove(id, &nobody, Force::No).unwrap_err();
    assert!(matches!(error, ImageError::SeveralNames { .. }), "{error}");

    // In use: refused; forced, the names go and the image stays.
    let used = HashSet::from([image.digest.clone()]);
    home.images.remove("x:2", &used, Force::No).unwrap();
    let error = home.images.remove("x:1", &used, Force::No).unwrap_err();
    assert!(matches!(error, ImageError::InUse { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::WrongState);
    let removed = home.images.remove("x:1", &used, Force::Yes).unwrap();
    assert!(removed.images.is_empty());
    assert!(home.images.resolve(id).unwrap().names.is_empty());

    let removed = home.images.remove(id, &nobody, Force::No).unwrap();
    assert_eq!(removed.images, std::slice::from_ref(&image.id));
    assert_eq!(home.everything(), empty);
    assert_eq!(
        home.images
            .remove(id, &nobody, Force::No)
            .unwrap_err()
            .kind(),
        ErrorKind::NotFound
    );
}

#[test]
fn root_what_images_share_stays_until_the_last_goes() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let nobody = HashSet::new();
    let lower = files(&[("a", b"lower")]);
    let base = home.import(&lower, "base:1").unwrap();
    let tar = files(&[("b", b"upper")]);
    let mut write = |out: &mut dyn std::io::Write| Ok(out.write_all(&tar)?);
    let name = "child:1".parse().unwrap();
    let child = home
        .images
        .add(hull_image::NewImage {
            base: Some(&base),
            layer: hull_image::NewLayer::Write(&mut write),
            config: base.config.clone(),
            history: Default::default(),
            name: Some(&name),
        })
        .unwrap();
    assert_eq!(child.layers().len(), 2);
    assert_eq!(child.layers()[0], base.layers()[0]);
    assert_eq!(child.config.history.len(), 2);
    let removed = home.images.remove("base:1", &nobody, Force::No).unwrap();
    assert_eq!(removed.layers, []);
    let trusted = home.images.trusted(&child, Some(&name)).unwrap();
    let layers = home
        .images
        .ensure_unpacked(&trusted, &child.config)
        .unwrap();
    assert_eq!(layers.len(), 2);
    drop(layers);
    let removed = home.images.remove("child:1", &nobody, Force::No).unwrap();
    assert_eq!(removed.layers.len(), 2);
}

#[test]
fn root_layers_that_were_lost_are_unpacked_again() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let image = home.import(&files(&[("a", b"1")]), "x:1").unwrap();
    home.images.layers().remove(&image.layers()[0]).unwrap();
    assert!(!home.tree_of(&image, 0).exists());
    let trusted = home.images.trusted(&image, None).unwrap();
    let layers = home
        .images
        .ensure_unpacked(&trusted, &image.config)
        .unwrap();
    assert_eq!(layers[0].diff_id, image.layers()[0]);
    assert!(home.tree_of(&image, 0).join("a").exists());
}

#[test]
fn root_broken_images_do_not_hide_the_others() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let image = home.import(&files(&[("a", b"1")]), "x:1").unwrap();
    home.import(&files(&[("a", b"2")]), "y:1").unwrap();
    std::fs::remove_file(home.path("images/blobs/sha256").join(image.id.hex())).unwrap();
    let listing = home.images.list().unwrap();
    assert_eq!(listing.images.len(), 1);
    assert_eq!(listing.broken.len(), 1);
    assert_eq!(listing.broken[0].0, image.digest);
    home.images.collect().unwrap();
    home.images.resolve("y:1").unwrap();
    // What is broken can be taken away, by its name or by its digest.
    let nobody = HashSet::new();
    home.images.remove("x:1", &nobody, Force::No).unwrap();
    let image = home.import(&files(&[("a", b"3")]), "z:1").unwrap();
    let manifest = home.path("images/blobs/sha256").join(image.digest.hex());
    crate::home::write(&manifest, b"{}");
    let error = home.images.collect().unwrap_err();
    assert!(error.to_string().contains("has digest"), "{error}");
    let used = HashSet::from([image.digest.clone()]);
    let short = image.digest.short();
    home.images.remove(short, &used, Force::No).unwrap_err();
    let removed = home.images.remove(short, &nobody, Force::No).unwrap();
    assert_eq!(removed.untagged, image.names);
    assert_eq!(home.images.list().unwrap().broken.len(), 0);
    assert_eq!(home.images.content().blobs().unwrap().len(), 3);
}

#[test]
fn root_many_can_import_and_remove_at_once() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let root = home.dir.path();
            scope.spawn(move || {
                let images = open(root);
                for round in 0..5 {
                    let tar = files(&[("same", b"same"), ("own", format!("{worker}").as_bytes())]);
                    let name = format!("x:{worker}-{round}").parse().unwrap();
                    let import = hull_image::Import {
                        name: Some(&name),
                        ..Default::default()
                    };
                    let mut bytes = &tar[..];
                    images
                        .import(hull_image::Input::Stream(&mut bytes), &import)
                        .unwrap();
                    let asked = name.to_string();
                    if round < 4 {
                        images.remove(&asked, &HashSet::new(), Force::No).unwrap();
                    }
                }
            });
        }
    });
    let listing = home.images.list().unwrap();
    assert_eq!(listing.images.len(), 4);
    for image in &listing.images {
        let trusted = home.images.trusted(image, None).unwrap();
        home.images
            .ensure_unpacked(&trusted, &image.config)
            .unwrap();
    }
}

#[test]
fn root_layers_that_containers_stand_on_outlive_their_image() {
    if !is_root() {
        return;
    }
    let home = Home::new();
    let image = home.import(&files(&[("a", b"1")]), "web:1").unwrap();
    let layer = image.layers()[0].clone();
    let in_use = std::sync::Arc::new(std::sync::Mutex::new(Some(HashSet::from([layer.clone()]))));
    let told = std::sync::Arc::clone(&in_use);
    let images =
        open(home.dir.path()).with_layers_in_use(Box::new(move || told.lock().unwrap().clone()));
    let removed = images.remove("web:1", &HashSet::new(), Force::Yes).unwrap();
    assert_eq!(removed.images, std::slice::from_ref(&image.id));
    assert!(removed.layers.is_empty());
    assert!(
        images
            .prune(&HashSet::new(), true)
            .unwrap()
            .layers
            .is_empty()
    );
    assert!(images.layers().contains(&layer).unwrap());
    *in_use.lock().unwrap() = None;
    assert!(
        images.collect().unwrap().layers.is_empty(),
        "nobody can tell"
    );
    *in_use.lock().unwrap() = Some(HashSet::new());
    assert_eq!(images.collect().unwrap().layers, [layer]);
}
