//! Pulling from Debian's docker-registry on this machine, filled by skopeo from Hull's own store.

use std::{cell::RefCell, rc::Rc};

use hull_engine::{Descriptor, EngineError, Progress, request::PullPolicy};
use hull_suites::DockerRegistry;
use hull_types::{Digest, ErrorKind, Reference};

use crate::home::{Home, home, said, write};

pub(crate) const CASES: &[crate::Case] = crate::cases![
    root_an_image_is_pulled_run_and_found_up_to_date,
    root_what_cannot_be_pulled_says_why,
];

fn registry(home: &Home) -> Option<DockerRegistry> {
    DockerRegistry::start(&home.path("."), "")
}

/// Copies an image of the store to a registry.
fn push(registry: &DockerRegistry, home: &Home, image: &str, name: &str) {
    let full = home.engine.images().unwrap().reference(image).unwrap();
    let from = format!("oci:{}:{full}", home.path("hull/images").display());
    let to = format!("docker://{}", registry.name(name));
    said(&[
        "skopeo",
        "copy",
        "-q",
        "--dest-tls-verify=false",
        &from,
        &to,
    ]);
}

/// Notes what it is told.
#[derive(Clone, Default)]
struct Notes(Rc<RefCell<Vec<String>>>);

impl Progress for Notes {
    fn begun(&mut self, name: &Reference) {
        self.0
            .borrow_mut()
            .push(format!("begun {}", name.repository()));
    }
    fn layers(&mut self, layers: &[Descriptor]) {
        self.0.borrow_mut().push(format!("{} layers", layers.len()));
    }
    fn received(&mut self, _: &Digest, bytes: u64, size: u64) {
        if bytes == 0 || bytes == size {
            let what = if bytes == 0 { "starts" } else { "whole" };
            self.0.borrow_mut().push(what.to_owned());
        }
    }
    fn ended(&mut self, whole: bool) {
        self.0.borrow_mut().push(format!("ended {whole}"));
    }
}

fn root_an_image_is_pulled_run_and_found_up_to_date() {
    let Some(home) = home() else { return };
    let Some(registry) = registry(&home) else {
        return;
    };
    push(&registry, &home, "busybox", "team/app:1");
    let name = registry.name("team/app:1");
    let original = home.engine.images().unwrap().resolve("busybox").unwrap();
    home.engine
        .remove_image("busybox", hull_engine::Force::No)
        .unwrap();
    let notes = Notes::default();
    home.engine.report_to(Box::new(notes.clone()));
    // By running it: the policy `missing` fetches it.
    let mut request = Home::request("box", &["true"]);
    request.image = name.parse().unwrap();
    home.create(request.clone());
    assert_eq!(
        notes.0.take(),
        [
            "begun team/app",
            "1 layers",
            "starts",
            "whole",
            "ended true"
        ]
    );
    let pulled = home.engine.pull(&name, None).unwrap();
    assert!(!pulled.changed);
    assert_eq!(pulled.image.id, original.id);
    assert_eq!(pulled.image.names[0].to_string(), name);
    assert!(notes.0.take().is_empty(), "nothing was fetched");
    // The name moves on.
    home.import("next", |tree| write(tree.join("next"), ""));
    push(&registry, &home, "next", "team/app:1");
    assert!(home.engine.pull(&name, None).unwrap().changed);
    request.name = Some("newer".parse().unwrap());
    request.pull = PullPolicy::Never;
    home.create(request);
    home.take("newer", "/next", "next").unwrap();
    assert!(
        home.take("box", "/next", "none").is_err(),
        "the older container stays what it is"
    );
    // By digest, without moving a name.
    let by_digest = format!(
        "{}@{}",
        registry.name("team/app"),
        pulled.image.registry_digest()
    );
    let pulled = home.engine.pull(&by_digest, None).unwrap();
    assert_eq!(pulled.image.id, original.id);
}

fn root_what_cannot_be_pulled_says_why() {
    let Some(home) = home() else { return };
    let Some(registry) = registry(&home) else {
        return;
    };
    push(&registry, &home, "busybox", "team/app:1");
    home.engine
        .pull(&registry.name("team/app:1"), None)
        .unwrap();
    let error = home
        .engine
        .pull(&registry.name("team/app:2"), None)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let name = registry.name("team/app");
    assert_eq!(
        error.to_string(),
        format!("image `{name}:2` is not here, and cannot be fetched")
    );
    assert_eq!(error.hint(), Some(format!("did you mean {name}:1?")));
    // Never asked.
    let mut request = Home::request("box", &["true"]);
    request.image = registry.name("team/other:1").parse().unwrap();
    request.pull = PullPolicy::Never;
    let error = home.engine.create(request.clone()).unwrap_err();
    assert!(matches!(error, EngineError::ImageMissing { .. }), "{error}");
    // Always asked, so a registry that is gone is an error although the image is here.
    request.image = registry.name("team/app:1").parse().unwrap();
    request.pull = PullPolicy::Always;
    home.create(request.clone());
    let arm = "linux/arm64".parse().unwrap();
    let error = home
        .engine
        .pull(&registry.name("team/app:1"), Some(&arm))
        .unwrap_err();
    assert!(
        matches!(error, EngineError::WrongPlatform { .. }),
        "{error}"
    );
    drop(registry);
    request.name = Some("other".parse().unwrap());
    let error = home.engine.create(request).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let id = "a".repeat(64);
    let error = home.engine.pull(&id, None).unwrap_err();
    assert!(matches!(error, EngineError::ImageMissing { .. }), "{error}");
}
