//! The use cases: the one place that knows all mechanisms, and the only one that front doors call.
//!
//! | the story of | is told in |
//! |---|---|
//! | what was meant | [`request`] |
//! | run, create, start | [`run`](Engine::create), [`start`](Engine::order) |
//! | what a container's `config.json` says | [`bundle`] |
//! | the other verbs | a file each, named after the verb |
//!
//! Everything is synchronous. The process that calls [`Engine::order`] and then supervises must have one thread.
#![forbid(unsafe_code)]

mod attach;
pub mod bundle;
mod commit;
mod config;
mod copy;
mod diff;
mod doctor;
mod error;
mod exec;
mod export;
mod files;
mod filter;
mod ids;
mod images;
mod info;
mod inspect;
mod logs;
pub mod near;
mod parents;
mod places;
mod pull;
mod remove;
pub mod request;
mod run;
mod settings;
mod sizes;
mod sources;
mod start;
mod status;
mod stop;
pub mod template;
mod top;
mod tree;
mod volumes;

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
};

use hull_image::Images;
use hull_net::Networks;
use hull_state::Store;

pub use commit::Commit;
pub use config::{AnonymousVolume, Config, ImageSource, ImageUse, PATH};
pub use copy::{Copied, CopyError, From as CopyFrom, Manner, To as CopyTo};
pub use diff::Difference;
pub use doctor::{Check, Verdict};
pub use error::{EngineError, ReportedFailure};
pub use exec::ExecRequest;
pub use filter::ContainerFilter;
pub use hull_image::{Format as ImageFormat, Image, ImageError, Import, Input, Inspect, Removed};
pub use hull_runtime::{Running, Stdio, TerminalSize};
pub use hull_spec::image::Descriptor;
pub use images::{ImageFilter, ImageRow, ImageRows};
pub use inspect::{ports, span};
pub use logs::LogQuery;
pub use places::Places;
pub use pull::{Progress, Pulled, Silent};
pub use remove::{Force, Swept};
pub use run::Created;
pub use settings::Settings;
pub use start::{How, Order, Started};
pub use status::Listed;
pub use stop::Done;
pub use top::Process;

/// One installation of Hull, as its caller sees it.
#[derive(Debug)]
pub struct Engine {
    places: Places,
    store: Store,
    /// Opened when first needed: most verbs do not look at images.
    images: OnceCell<Images>,
    /// How images are fetched.
    fetching: pull::Fetching,
    caller: Caller,
    /// Worked out when first needed.
    mark: OnceCell<String>,
    /// The topmost directory this command made for the store: it takes it away again if it leaves it empty.
    fresh: Option<PathBuf>,
}

/// Who runs this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
}

impl Caller {
    /// Whether it is root in the initial user namespace, as far as one can tell from inside.
    pub fn is_root(self) -> bool {
        self.uid == 0
    }
}

impl Engine {
    /// Opens an installation, making its directories if it is new.
    pub fn open(places: Places) -> Result<Self, EngineError> {
        let caller = Caller {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
        };
        let missing = places.root.ancestors().take_while(|path| !path.exists());
        let fresh = missing.last().map(Path::to_owned);
        let store = Store::open(&places.root)?;
        Ok(Self {
            places,
            store,
            images: OnceCell::new(),
            fetching: pull::Fetching::default(),
            caller,
            mark: OnceCell::new(),
            fresh,
        })
    }

    /// Returns where things are.
    pub fn places(&self) -> &Places {
        &self.places
    }

    /// Returns the pods' records.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Returns who calls.
    pub fn caller(&self) -> Caller {
        self.caller
    }

    /// Returns the images.
    pub fn images(&self) -> Result<&Images, EngineError> {
        if let Some(images) = self.images.get() {
            return Ok(images);
        }
        if !self.caller.is_root() {
            return Err(EngineError::NeedsRoot {
                what: "use images",
                hint: crate::error::HOST_ONLY,
            });
        }
        let short = Settings::read(&self.places.root)?.short_names();
        let options = hull_snapshot::Options::default();
        let root = self.places.root.clone();
        let images = Images::open(&self.places.root, short, options)?
            .with_layers_in_use(Box::new(move || remove::layers_in_use(&root)));
        Ok(self.images.get_or_init(|| images))
    }

    /// Returns the networks.
    pub(crate) fn networks(&self) -> Result<Networks, EngineError> {
        Ok(Networks::open(
            &self.places.root,
            hull_net::Pool::default(),
        )?)
    }

    /// Removes the store's directories if this command made them and nothing is in them.
    pub fn leave(self) {
        let Some(topmost) = &self.fresh else { return };
        if let (true, Ok(hierarchies), Ok(mark)) =
            (self.caller.is_root(), self.hierarchies(), self.mark())
            && let Ok(parent) = mark.parse()
        {
            // Whatever is still below it has an owner.
            hierarchies.remove_if_empty(&parent).ok();
            ids::leave();
        }
        let root: &Path = &self.places.root;
        // First what says that the others are there: whoever opens it from now on makes anew what is missing.
        std::fs::remove_file(root.join("VERSION")).ok();
        for directory in ["pods", "names", "garbage"] {
            if std::fs::remove_dir(root.join(directory)).is_err() && root.join(directory).exists() {
                return;
            }
        }
        let run: &Path = &self.places.run;
        std::fs::remove_dir(run.join("pods")).ok();
        std::fs::remove_dir(run).ok();
        let shared = Path::new(hull_monitor::HIERARCHIES);
        if self.caller.is_root()
            && let Some(directory) = shared.parent()
            && std::fs::remove_file(shared).is_ok()
        {
            std::fs::remove_dir(directory).ok();
        }
        for made in root
            .ancestors()
            .take_while(|path| path.starts_with(topmost))
        {
            if std::fs::remove_dir(made).is_err() {
                return;
            }
        }
    }
}
