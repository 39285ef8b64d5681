//! Images as front doors list them, and what keeps them from being taken away.

use hull_engine::{Engine, EngineError, Force, ImageFilter};
use hull_types::ErrorKind;

use crate::home::{Home, home, write};

pub(crate) const CASES: &[crate::Case] = crate::cases![
    root_images_are_listed_under_all_their_names,
    root_what_a_container_stands_on_stays,
    root_prune_takes_what_filters_admit,
    root_containers_and_pruning_race,
];

fn names(engine: &Engine, filters: &[ImageFilter]) -> Vec<String> {
    let rows = engine.image_rows(filters).unwrap().rows;
    let mut names: Vec<_> = rows
        .iter()
        .map(|row| format!("{}:{}", row.repository, row.tag))
        .collect();
    names.sort();
    names
}

fn root_images_are_listed_under_all_their_names() {
    let Some(home) = home() else { return };
    let engine = &home.engine;
    engine.tag_image("busybox", "team/tool:v1").unwrap();
    home.import("busybox", |tree| write(tree.join("newer"), ""));
    engine.tag_image("busybox", "localhost:5000/other").unwrap();
    assert_eq!(
        names(engine, &[]),
        [
            "busybox:latest",
            "localhost:5000/other:latest",
            "team/tool:v1"
        ]
    );
    home.import("team/tool:v1", |tree| write(tree.join("newest"), ""));
    assert_eq!(names(engine, &[])[0], "<none>:<none>");
    let filter = |name: &str, value: &str| engine.image_filter(name, value).unwrap();
    for (filters, expected) in [
        (
            vec![filter("reference", "busybox")],
            &["busybox:latest"][..],
        ),
        (vec![filter("reference", "team/*:v*")], &["team/tool:v1"]),
        (vec![filter("dangling", "true")], &["<none>:<none>"]),
        (vec![filter("since", "busybox")], &["team/tool:v1"]),
        (vec![filter("label", "none")], &[]),
        (vec![filter("until", "1h")], &[]),
    ] {
        assert_eq!(names(engine, &filters), expected, "{filters:?}");
    }
    let wrong = engine.image_filter("lable", "x").unwrap_err();
    assert_eq!(wrong.to_string(), "`lable` is no filter of images");
    assert_eq!(
        wrong.hint().as_deref(),
        Some("did you mean `label` or `label!`?")
    );
    let row = serde_json::to_value(&engine.image_rows(&[]).unwrap().rows[0]).unwrap();
    for field in [
        "Repository",
        "Tag",
        "ID",
        "Digest",
        "CreatedAt",
        "CreatedSince",
        "Size",
        "Containers",
    ] {
        assert!(row.get(field).is_some(), "{field}: {row}");
    }
    assert!(row["Size"].as_u64().unwrap() > 500_000);
}

fn root_what_a_container_stands_on_stays() {
    let Some(home) = home() else { return };
    let engine = &home.engine;
    home.create(Home::request("box", &["true"]));
    let error = engine
        .remove_image("busybox", hull_engine::Force::No)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongState, "{error}");
    assert!(engine.unused_images(true, &[]).unwrap().is_empty());
    let layers = || engine.images().unwrap().layers().list().unwrap().len();
    // Its name taken away by force, or moved on: an image without a name that pruning leaves alone.
    engine
        .remove_image("busybox", hull_engine::Force::Yes)
        .unwrap();
    assert_eq!(names(engine, &[]), ["<none>:<none>"]);
    assert!(engine.prune_images(true, &[]).unwrap().images.is_empty());
    // Its image gone altogether, as by another program's hand: its layers stay, and it is whole.
    let images = engine.images().unwrap();
    images.prune(&Default::default(), true).unwrap();
    assert!(engine.image_rows(&[]).unwrap().rows.is_empty());
    assert_eq!(layers(), 1);
    home.take("box", "/etc/passwd", "passwd").unwrap();
    engine.remove("box", Force::No, true).unwrap();
    let removed = engine.prune_images(false, &[]).unwrap();
    assert_eq!((removed.layers.len(), layers()), (1, 0));
}

fn root_prune_takes_what_filters_admit() {
    let Some(home) = home() else { return };
    let engine = &home.engine;
    let tree = home.path("labelled");
    write(tree.join("file"), "");
    let changes = ["LABEL keep=no".to_owned()];
    let import = hull_image::Import {
        changes: &changes,
        ..Default::default()
    };
    engine
        .import_image(hull_image::Input::Path(&tree), Some("labelled"), import)
        .unwrap();
    let filters = [engine.image_filter("label", "keep=no").unwrap()];
    assert!(
        engine
            .prune_images(false, &filters)
            .unwrap()
            .images
            .is_empty()
    );
    let removed = engine.prune_images(true, &filters).unwrap();
    assert_eq!(removed.images.len(), 1);
    assert_eq!(names(engine, &[]), ["busybox:latest"]);
    let others = [engine.image_filter("label!", "keep=no").unwrap()];
    engine.prune_images(true, &others).unwrap();
    assert!(names(engine, &[]).is_empty());
}

/// A container made while its image is pruned either is not made or has its layers.
fn root_containers_and_pruning_race() {
    let Some(home) = home() else { return };
    let tree = home.path("small");
    write(tree.join("bin/true"), "");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let places = home.engine.places().clone();
    let mut made = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let engine = Engine::open(places.clone()).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                engine.prune_images(true, &[]).unwrap();
            }
        });
        for round in 0..150 {
            write(tree.join("file"), &round.to_string());
            let input = hull_image::Input::Path(&tree);
            let name = format!("small:{round}");
            let imported = home
                .engine
                .import_image(input, Some(&name), Default::default());
            // Another may have taken it before it could be looked at once more.
            if imported.is_err() {
                continue;
            }
            let mut request = Home::request(&format!("c{round}"), &["true"]);
            request.image = name.parse().unwrap();
            request.pull = hull_engine::request::PullPolicy::Never;
            match home.engine.create(request) {
                Ok(created) => {
                    drop(created);
                    made += 1;
                }
                Err(EngineError::ImageMissing { .. } | EngineError::Image(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    assert!(made > 0);
    for container in home.engine.list().unwrap().0 {
        let name = container.container().name.to_string();
        assert!(!home.take_archive(&name, "/file").is_empty());
    }
}
