//! A store, and a victim beside it.

use std::path::PathBuf;

use hull_suites::{Entry, Hull, OciLayout, Tree};

/// Somebody else's file, which hostile images aim at.
const TARGET: &str = "/var/tmp/hull-hostile-target";

pub(crate) struct Scene {
    pub(crate) hull: Hull,
    before: Tree,
    pub(crate) target: PathBuf,
}

impl Scene {
    /// A store that has seen an honest image, and a victim beside it.
    pub(crate) fn new() -> Self {
        let hull = Hull::with_busybox();
        hull.ok("hull gc");
        let target = PathBuf::from(format!(
            "{TARGET}-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        std::fs::create_dir_all(&target).expect("/var/tmp is writable");
        std::fs::File::create(target.join("victim")).expect("/var/tmp is writable");
        let before = of_store(&hull);
        Self {
            hull,
            before,
            target,
        }
    }

    /// Loads the layout; it must be refused with one of these words, and everything be as before.
    #[track_caller]
    pub(crate) fn refuses(&self, name: &str, image: &OciLayout, words: &[&str]) {
        let outside = Tree::of(&self.target);
        let dir = self.hull.dir().join("hostile");
        std::fs::remove_dir_all(&dir).ok();
        image.write(&dir, "hostile:1");
        let ran = self.hull.sh("timeout 50 hull load -i hostile");
        assert_ne!(ran.code, 0, "{name} is taken: {}", ran.text());
        assert!(
            ran.code != 124 && ran.code < 128,
            "{name} hangs or dies: {}",
            ran.text()
        );
        assert!(
            ran.err.starts_with("error: ") && words.iter().any(|word| ran.err.contains(word)),
            "{name}: {}",
            ran.text()
        );
        self.as_before(name);
        outside.assert_is(&Tree::of(&self.target));
    }

    #[track_caller]
    pub(crate) fn as_before(&self, name: &str) {
        assert!(
            self.hull.left().is_empty(),
            "{name} left {:?}",
            self.hull.left()
        );
        self.before.assert_is(&of_store(&self.hull));
    }

    /// Loads a layer that may be taken or refused, but must not reach out.
    #[track_caller]
    pub(crate) fn stays_inside(&self, name: &str, image: &OciLayout) {
        let outside = Tree::of(&self.target);
        let dir = self.hull.dir().join("hostile");
        std::fs::remove_dir_all(&dir).ok();
        image.write(&dir, "hostile:1");
        let ran = self.hull.sh("timeout 50 hull load -i hostile");
        outside.assert_is(&Tree::of(&self.target));
        if ran.code == 0 {
            self.hull.ok("hull rmi hostile:1 && hull gc");
        }
        self.as_before(name);
    }

    pub(crate) fn outside(&self, name: &str) -> String {
        self.target.join(name).display().to_string()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.target).ok();
    }
}

/// Everything but the ledger: that somebody asked for this manifest and the policy let it in is a fact, whatever its layers turn
/// out to be.
pub(crate) fn of_store(hull: &Hull) -> Tree {
    Tree::of(hull.root()).without(&hull.root().join("ledger"))
}

pub(crate) fn layer(entries: &[Entry]) -> OciLayout {
    OciLayout::default().layer(entries)
}
