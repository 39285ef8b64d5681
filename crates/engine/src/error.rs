use std::path::PathBuf;

use hull_types::ErrorKind;
use rustix::io::Errno;

/// What is left to ordinary users.
pub(crate) const HOST_ONLY: &str =
    "ordinary users can run `@host` so far: hull run --rm @host -- COMMAND";

/// Why a use case failed. Each mechanism's own error is one step further down the chain.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    State(#[from] hull_state::StateError),
    #[error(transparent)]
    Image(#[from] hull_image::ImageError),
    #[error(transparent)]
    Files(#[from] hull_fs::FsError),
    #[error(transparent)]
    Snapshot(#[from] hull_snapshot::SnapshotError),
    #[error(transparent)]
    Trust(#[from] hull_trust::TrustError),
    #[error(transparent)]
    Volume(#[from] hull_volume::VolumeError),
    #[error(transparent)]
    Network(#[from] hull_net::NetError),
    #[error(transparent)]
    Cgroup(#[from] hull_cgroup::CgroupError),
    #[error(transparent)]
    Start(#[from] hull_runtime::StartError),
    #[error(transparent)]
    Monitor(#[from] hull_monitor::MonitorError),
    #[error(transparent)]
    Request(#[from] crate::request::InvalidRequest),
    #[error(transparent)]
    Port(#[from] hull_net::InvalidPort),
    #[error(transparent)]
    Reported(#[from] ReportedFailure),
    #[error("the record of container `{name}` cannot be read")]
    Config {
        name: String,
        source: serde_json::Error,
    },
    #[error("{} cannot be used", path.display())]
    Settings {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("no command was given, and image `{image}` names none")]
    NoCommand { image: String },
    #[error("cannot {what} {}", path.display())]
    File {
        what: &'static str,
        path: PathBuf,
        source: Errno,
    },
    #[error("cannot {what}")]
    System { what: &'static str, source: Errno },
    #[error("the mount source {} does not exist", .0.display())]
    NoSource(PathBuf),
    #[error("volume `{0}` does not exist")]
    NoVolume(String),
    #[error("volume `{volume}` is used by container `{container}`")]
    VolumeInUse { volume: String, container: String },
    #[error("container `{container}` does not publish port {port}")]
    NotPublished { container: String, port: String },
    #[error("the device {} does not exist", .0.display())]
    NoDevice(PathBuf),
    #[error("{} is no device", .0.display())]
    NotADevice(PathBuf),
    #[error("the seccomp profile {} cannot be used", path.display())]
    Profile {
        path: PathBuf,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("container `{name}` is {is}")]
    WrongState {
        name: String,
        is: &'static str,
        hint: &'static str,
    },
    #[error("container `{name}` did not end within {seconds} s of being killed")]
    WillNotDie { name: String, seconds: u64 },
    #[error("only root can {what}")]
    NeedsRoot {
        what: &'static str,
        hint: &'static str,
    },
    #[error("all {0} ranges of user ids are taken")]
    NoIds(u32),
    #[error("image `{image}` is not here")]
    ImageMissing { image: String, near: Vec<String> },
    #[error(
        "image `{image}` {} be fetched", if *.here { "cannot" } else { "is not here, and cannot" }
    )]
    Pull {
        image: String,
        /// Whether an image of that name is here.
        here: bool,
        near: Vec<String>,
        source: Box<hull_registry::RegistryError>,
    },
    #[error(transparent)]
    Registry(#[from] hull_registry::RegistryError),
    #[error(transparent)]
    Copy(#[from] crate::CopyError),
    #[error("the image of container `{container}`, `{image}`, is not here any more")]
    BaseMissing { container: String, image: String },
    #[error("container `{0}` was made with --read-only")]
    ReadOnly(String),
    #[error("image `{image}` is for {has}, not for {asked}")]
    WrongPlatform {
        image: String,
        has: hull_types::Platform,
        asked: hull_types::Platform,
    },
    #[error("cannot write the container's id to {}", path.display())]
    CidFile { path: PathBuf, source: Errno },
    #[error("`{option} {asked}` names what this machine does not have")]
    NoProcessors {
        option: &'static str,
        asked: String,
        there: String,
    },
    #[error("`{given}` is not supported")]
    Unsupported { given: String, hint: &'static str },
}

/// An error that came from a monitor: a chain again, as it was there.
#[derive(Debug)]
pub struct ReportedFailure {
    words: String,
    source: Option<Box<Self>>,
    hint: Option<String>,
    code: u8,
}

impl From<hull_monitor::Failure> for ReportedFailure {
    fn from(failure: hull_monitor::Failure) -> Self {
        let hull_monitor::Failure { words, hint, code } = failure;
        let link = |words, source| Self {
            words,
            source,
            hint: None,
            code,
        };
        let innermost_first = words.into_iter().rev();
        let chain = innermost_first.fold(None, |source, words| Some(Box::new(link(words, source))));
        let outermost = chain.map_or_else(
            || link("the container could not be started".to_owned(), None),
            |outermost| *outermost,
        );
        Self { hint, ..outermost }
    }
}

impl std::fmt::Display for ReportedFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.words)
    }
}

impl std::error::Error for ReportedFailure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.source.as_deref()?;
        Some(source)
    }
}

impl EngineError {
    /// Returns what sort of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::State(error) => error.kind(),
            Self::Image(error) => error.kind(),
            Self::Files(error) => error.kind(),
            Self::Snapshot(error) => error.kind(),
            Self::Trust(error) => error.kind(),
            Self::Volume(error) => error.kind(),
            Self::Network(error) => error.kind(),
            Self::Cgroup(error) => error.kind(),
            Self::Start(error) => error.kind(),
            Self::Monitor(error) => error.kind(),
            Self::Pull { source, .. } => source.kind(),
            Self::Registry(error) => error.kind(),
            Self::Copy(error) => error.kind(),
            Self::ReadOnly(_) => ErrorKind::Denied,
            Self::BaseMissing { .. } => ErrorKind::NotFound,
            Self::WrongPlatform { .. } => ErrorKind::NotFound,
            Self::Request(_)
            | Self::Port(_)
            | Self::NoCommand { .. }
            | Self::NotADevice(_)
            | Self::NoProcessors { .. }
            | Self::Settings { .. }
            | Self::Profile { .. } => ErrorKind::InvalidInput,
            Self::Reported(reported) => match reported.code {
                127 => ErrorKind::CommandNotFound,
                126 => ErrorKind::CommandNotRunnable,
                _ => ErrorKind::Unavailable,
            },
            Self::Config { .. } => ErrorKind::Bug,
            Self::NoSource(_)
            | Self::NoDevice(_)
            | Self::NoVolume(_)
            | Self::NotPublished { .. }
            | Self::ImageMissing { .. } => ErrorKind::NotFound,
            Self::CidFile {
                source: Errno::EXIST,
                ..
            } => ErrorKind::AlreadyExists,
            Self::WrongState { .. } | Self::VolumeInUse { .. } => ErrorKind::WrongState,
            Self::NeedsRoot { .. } => ErrorKind::Denied,
            Self::Unsupported { .. } => ErrorKind::Unsupported,
            Self::File {
                source: Errno::ACCESS | Errno::PERM,
                ..
            } => ErrorKind::Denied,
            Self::File { .. }
            | Self::System { .. }
            | Self::WillNotDie { .. }
            | Self::NoIds(_)
            | Self::CidFile { .. } => ErrorKind::Unavailable,
        }
    }

    /// Returns what the reader could do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::State(error) => return error.hint(),
            Self::Image(hull_image::ImageError::Input { source }) => {
                return hull_registry::RegistryError::in_io(source)?.hint();
            }
            Self::Image(error) => return error.hint(),
            Self::Pull { near, source, .. }
                if !near.is_empty() && source.kind() == ErrorKind::NotFound =>
            {
                format!("did you mean {}?", near.join(" or "))
            }
            Self::Pull { source, .. } => return source.hint(),
            Self::Registry(error) => return error.hint(),
            Self::Request(error) => return error.hint(),
            Self::Port(error) => error.hint(),
            Self::Copy(error) => return error.hint(),
            Self::Snapshot(error) => return error.hint(),
            Self::Trust(error) => return error.hint(),
            Self::Network(error) => return error.hint(),
            Self::Cgroup(error) => return error.hint(),
            Self::Start(error) => return error.hint(),
            Self::Monitor(error) => return error.hint(),
            Self::Reported(reported) => return reported.hint.clone(),
            Self::NoCommand { .. } => "give a command after the image's name".to_owned(),
            Self::NoSource(_) => {
                "make it first, or use `-v`, which makes missing directories".to_owned()
            }
            Self::BaseMissing { .. } => {
                "`hull export` and `hull import` make an image of one layer out of it".to_owned()
            }
            Self::NotADevice(_) => {
                "`--device` takes a device such as /dev/fuse, or a directory of them such as /dev/snd"
                    .to_owned()
            }
            Self::NoProcessors { there, .. } => format!("it has {there}"),
            Self::NoDevice(_) => {
                "`ls -l /dev` shows what this host has; a module may have to be loaded first".to_owned()
            }
            Self::NotPublished { container, .. } => {
                format!("`hull port {container}` shows what it publishes; `-p` says so when it is made")
            }
            Self::WrongState { hint, .. }
            | Self::NeedsRoot { hint, .. }
            | Self::Unsupported { hint, .. } => (*hint).to_owned(),
            Self::WillNotDie { .. } => {
                "a process in it waits in the kernel for a disk or a network; see `hull top`"
                    .to_owned()
            }
            Self::VolumeInUse { container, .. } => {
                format!("`hull rm {container}` removes the container first")
            }
            Self::NoIds(_) => "`hull gc` frees those of dead pods".to_owned(),
            Self::ImageMissing { near, .. } if !near.is_empty() => {
                format!("did you mean {}?", near.join(" or "))
            }
            Self::ImageMissing { image, .. } => {
                format!(
                    "`hull pull {image}` fetches it, `hull load` and `hull import` take files; `hull images` lists what is here"
                )
            }
            Self::CidFile {
                source: Errno::EXIST,
                ..
            } => "remove the file, or choose another --cidfile".to_owned(),
            Self::File {
                source: Errno::NOSPC,
                ..
            } => "the disk is full: `hull prune` removes what is stopped or unused".to_owned(),
            _ => return None,
        })
    }
}
