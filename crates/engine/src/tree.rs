//! A container's files as seen from outside.
//!
//! | the container | the tree | whose files |
//! |---|---|---|
//! | runs | what its first process has for `/`, with all that is mounted there | the host's names for its users |
//! | does not, to read | a read-only overlay of its layers, volumes and binds laid over it | the container's own |
//! | does not, to write | the same overlay it would have, under its pod's lock | the container's own |
//!
//! Names inside are resolved by [`Root`], so they cannot lead out of the tree, whatever the container does meanwhile.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use hull_fs::Root;
use hull_snapshot::{Layers, Scratch, WhiteoutMarks};
use hull_state::{Held, Run, Status, UPPER, WORK, part_of};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, fstat, openat},
    io::Errno,
    mount::{MoveMountFlags, move_mount},
};

use crate::{
    Engine, EngineError, Listed,
    bundle::{Bind, ID_RANGE},
    copy::IdMaps,
    request::{Access, Recursion, UserNamespace},
};

/// A container's tree, opened.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: Root,
    pub(crate) ids: IdMaps,
    /// Kept while the tree is written: nobody starts the container meanwhile.
    _held: Option<Held>,
}

/// A container's layers, opened.
#[derive(Debug)]
pub(crate) struct Parts {
    upper: OwnedFd,
    /// The pod's directory, in which `upper` lies, and overlayfs's `work`.
    pod: OwnedFd,
    place: usize,
    /// Topmost first.
    lowers: Vec<OwnedFd>,
    marks: WhiteoutMarks,
}

impl Parts {
    /// Hands the layers to `work`.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Layers<'_>) -> T) -> T {
        let lowers: Vec<_> = self.lowers.iter().map(AsFd::as_fd).collect();
        work(&Layers {
            upper: self.upper.as_fd(),
            lowers: &lowers,
            marks: self.marks,
        })
    }
}

impl Engine {
    /// Opens a container's tree.
    pub(crate) fn tree(&self, listed: &Listed, access: Access) -> Result<Tree, EngineError> {
        match &listed.status {
            Status::Running { run } | Status::Paused { run } => {
                match self.running_tree(listed, run)? {
                    Some(tree) => Ok(tree),
                    // It ended meanwhile. Its next state is one without processes, or another run.
                    None => {
                        self.wait_until_let_go(
                            listed.pod.id(),
                            Some(std::time::Duration::from_secs(5)),
                        )?;
                        self.tree(&self.find(&listed.pod.id().to_string())?, access)
                    }
                }
            }
            Status::Lost { .. } if access == Access::ReadWrite => {
                Err(crate::stop::not_running(listed))
            }
            _ => self.stopped_tree(listed, access),
        }
    }

    /// Opens the root of a running container's first process; nothing if the container has ended.
    fn running_tree(&self, listed: &Listed, run: &Run) -> Result<Option<Tree>, EngineError> {
        let path = format!("/proc/{}/root", run.pid);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = openat(CWD, &path, flags, Mode::empty());
        let ids = IdMaps::of_process(run.pid);
        // A monitor writes the end before the number can become somebody else's: if it is not written yet, what was
        // opened is the container's.
        let found = self.find(&listed.pod.id().to_string())?;
        if found.status.alive().map(|run| run.started) != Some(run.started) {
            return Ok(None);
        }
        let failed = |source| EngineError::File {
            what: "open",
            path: path.clone().into(),
            source,
        };
        match (opened, ids) {
            (Ok(root), Ok(ids)) => Ok(Some(Tree {
                root: Root::new(root),
                ids,
                _held: None,
            })),
            (Err(Errno::NOENT | Errno::SRCH), _) => Ok(None),
            (Err(errno), _) => Err(failed(errno)),
            (_, Err(error)) => Err(failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
        }
    }

    fn stopped_tree(&self, listed: &Listed, access: Access) -> Result<Tree, EngineError> {
        let config = &listed.config;
        let held = match access {
            Access::ReadOnly => None,
            Access::ReadWrite => {
                if config.request.root == Access::ReadOnly {
                    return Err(EngineError::ReadOnly(listed.container().name.to_string()));
                }
                Some(self.hold(listed.pod.id())?)
            }
        };
        let parts = self.parts(listed)?;
        let mount = parts.with(|layers| match access {
            Access::ReadOnly => layers.view(),
            Access::ReadWrite => {
                let scratch = Scratch {
                    dir: parts.pod.as_fd(),
                    upper: &part_of(parts.place, UPPER),
                    work: &part_of(parts.place, WORK),
                };
                hull_snapshot::merged(layers, scratch)
            }
        })?;
        let binds = self.mounts(config)?;
        let laid: Vec<_> = binds
            .iter()
            .filter_map(|bind| Laid::of(bind).transpose())
            .collect::<Result<_, _>>()?;
        let root = Root::new(lay_over(mount, &laid)?);
        let ids = match self.user_namespace(config) {
            UserNamespace::Private => IdMaps::first(ID_RANGE),
            UserNamespace::Host => IdMaps::identity(),
        };
        Ok(Tree {
            root,
            ids,
            _held: held,
        })
    }

    /// Opens a container's layers.
    pub(crate) fn parts(&self, listed: &Listed) -> Result<Parts, EngineError> {
        let (config, name) = (&listed.config, || listed.container().name.to_string());
        if config.image.source.is_none() {
            return Err(EngineError::WrongState {
                name: name(),
                is: "made from @host, whose changes are not kept",
                hint: "start a container from an image: `hull import` makes one",
            });
        }
        let pod = self.store().directory(listed.pod.id())?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let upper = openat(&pod, part_of(listed.place, UPPER), flags, Mode::empty());
        let upper = upper.map_err(|source| EngineError::File {
            what: "open",
            path: self.part(listed, UPPER),
            source,
        })?;
        let top_first = config.image.layers.iter().rev();
        let layers = self.images()?.layers();
        let lowers = top_first.map(|layer| layers.open(layer));
        let lowers = lowers.chain(std::iter::once_with(|| layers.open_mount_points()));
        Ok(Parts {
            upper,
            pod,
            place: listed.place,
            lowers: lowers.collect::<Result<_, _>>()?,
            marks: WhiteoutMarks::Trusted,
        })
    }
}

/// A volume or bind, to be laid over the place it has when the container runs.
#[derive(Debug)]
struct Laid<'a> {
    mount: OwnedFd,
    is_directory: bool,
    source: &'a Path,
    target: &'a Path,
}

impl<'a> Laid<'a> {
    fn of(bind: &'a Bind) -> Result<Option<Self>, EngineError> {
        let Bind::Path {
            source,
            target,
            access,
            recursion,
            ..
        } = bind
        else {
            return Ok(None);
        };
        let read_only = *access == Access::ReadOnly;
        let mount = hull_volume::clone_of(source, *recursion == Recursion::Recursive, read_only)
            .map_err(failed("mount", source))?;
        let is_directory = fstat(&mount)
            .map(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
            .map_err(failed("look at", source))?;
        Ok(Some(Self {
            mount,
            is_directory,
            source,
            target,
        }))
    }
}

/// Lays volumes and binds over a tree. Where the tree has no such place, one is left out.
fn lay_over(tree: OwnedFd, laid: &[Laid<'_>]) -> Result<OwnedFd, EngineError> {
    if laid.is_empty() {
        return Ok(tree);
    }
    let furnished = hull_fs::overlay::furnished(tree, |tree| {
        let root = Root::new(tree);
        for (index, one) in laid.iter().enumerate() {
            let Some(place) = mount_point(&root, one.target, one.is_directory) else {
                continue;
            };
            let flags =
                MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(&one.mount, "", &place, "", flags).map_err(|errno| (index, errno))?;
        }
        Ok(())
    });
    let furnished = furnished.map_err(|not| EngineError::System {
        what: not.action,
        source: not.errno,
    })?;
    furnished.map_err(|(index, errno)| failed("mount", laid[index].source)(errno))
}

fn failed(what: &'static str, path: &Path) -> impl Fn(Errno) -> EngineError {
    move |source| EngineError::File {
        what,
        path: path.to_owned(),
        source,
    }
}

/// Finds the place of a mount, making a directory where the tree can be written, as starting the container would.
fn mount_point(root: &Root, target: &Path, is_directory: bool) -> Option<OwnedFd> {
    let kind = if is_directory {
        OFlags::DIRECTORY
    } else {
        OFlags::empty()
    };
    let find = || root.open(target, OFlags::PATH | kind, Mode::empty());
    find()
        .or_else(|_| {
            if is_directory {
                root.create_dir_all(target, Mode::from_raw_mode(0o755))?;
            }
            find()
        })
        .ok()
}
