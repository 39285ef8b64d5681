//! Docker's three spellings of a mount: `-v`, `--mount` and `--tmpfs`.

use std::{
    io,
    path::{Path, PathBuf},
};

use hull_types::ByteSize;

use super::{
    Access, CopyUp, Execution, IdMapping, MissingSource, Mount, Propagation, Recursion, Tmpfs,
    VolumeName, clean,
};
use crate::{near::near, request::InvalidRequest};

impl Mount {
    /// Reads docker's `-v`: `TARGET`, `SOURCE:TARGET` or `SOURCE:TARGET:options`. A source that is a path relative to here
    /// (`./x`) is completed with `directory`, which is only asked then.
    pub fn parse_volume(
        text: &str,
        directory: impl FnOnce() -> io::Result<PathBuf>,
    ) -> Result<Self, InvalidRequest> {
        let malformed = || InvalidRequest::Malformed {
            what: "a volume",
            word: text.to_owned(),
            example: "/on/host:/inside, name:/inside or /inside, and `:ro` after it for read-only",
        };
        let parts: Vec<&str> = text.split(':').collect();
        let (source, at, options) = match parts[..] {
            [target] => (None, target, ""),
            [source, at] => (Some(source), at, ""),
            [source, at, options] if !options.is_empty() => (Some(source), at, options),
            _ => return Err(malformed()),
        };
        if source == Some("") || at.is_empty() {
            return Err(malformed());
        }
        let target = target(at)?;
        let is_path = |source: &str| {
            source.starts_with('/')
                || matches!(source, "." | "..")
                || source.starts_with("./")
                || source.starts_with("../")
        };
        let mut mount = match source {
            Some(source) if is_path(source) => {
                let source = absolute(Path::new(source), directory)?;
                Self::bind(source, target, MissingSource::Create)
            }
            Some(name) => Self::named(Some(name.parse()?), target),
            None => Self::named(None, target),
        };
        for option in options.split(',').filter(|option| !option.is_empty()) {
            mount.volume_option(option)?;
        }
        Ok(mount)
    }

    fn bind(source: PathBuf, target: PathBuf, missing: MissingSource) -> Self {
        Self::Bind {
            source,
            target,
            access: Access::default(),
            propagation: Propagation::default(),
            recursion: Recursion::default(),
            mapping: IdMapping::default(),
            missing,
        }
    }

    fn named(name: Option<VolumeName>, target: PathBuf) -> Self {
        Self::Volume {
            name,
            target,
            access: Access::default(),
            copy: CopyUp::default(),
            mapping: IdMapping::default(),
        }
    }

    /// Takes one of the words after the second colon of `-v`.
    fn volume_option(&mut self, option: &str) -> Result<(), InvalidRequest> {
        let mismatch = |with| {
            Err(InvalidRequest::OptionMismatch {
                option: option.to_owned(),
                with,
            })
        };
        match option {
            "ro" | "readonly" => self.set_access(Access::ReadOnly),
            "rw" => self.set_access(Access::ReadWrite),
            // SELinux labels and macOS caching: nothing to do here, and scripts carry them around.
            "z" | "Z" | "cached" | "delegated" | "consistent" | "default" => {}
            "noidmap" => match self {
                Self::Bind { mapping, .. } | Self::Volume { mapping, .. } => {
                    *mapping = IdMapping::Unmapped;
                }
                Self::Tmpfs(_) => return mismatch("type=tmpfs"),
            },
            "nocopy" => match self {
                Self::Volume { copy, .. } => *copy = CopyUp::Leave,
                _ => return mismatch("a path on the host"),
            },
            "bind" | "rbind" => match self {
                Self::Bind { recursion, .. } => {
                    *recursion = if option == "bind" {
                        Recursion::Single
                    } else {
                        Recursion::Recursive
                    };
                }
                _ => return mismatch("a volume"),
            },
            _ => match (self, option.parse::<Propagation>()) {
                (Self::Bind { propagation, .. }, Ok(wanted)) => *propagation = wanted,
                (_, Ok(_)) => return mismatch("a volume"),
                (_, Err(_)) => return Err(no_such_option("volume option", option, VOLUME_OPTIONS)),
            },
        }
        Ok(())
    }

    fn set_access(&mut self, wanted: Access) {
        match self {
            Self::Bind { access, .. } | Self::Volume { access, .. } => *access = wanted,
            Self::Tmpfs(tmpfs) => tmpfs.access = wanted,
        }
    }

    /// Reads docker's `--tmpfs`: `TARGET` or `TARGET:options`.
    pub fn parse_tmpfs(text: &str) -> Result<Self, InvalidRequest> {
        let (at, options) = text.split_once(':').unwrap_or((text, ""));
        let mut tmpfs = Tmpfs::at(target(at)?);
        for option in options.split(',').filter(|option| !option.is_empty()) {
            tmpfs.set(option)?;
        }
        Ok(Self::Tmpfs(tmpfs))
    }

    /// Reads docker's `--mount`: `type=bind,source=…,target=…,…` with fields separated as in CSV.
    pub fn parse_mount(
        text: &str,
        directory: impl FnOnce() -> io::Result<PathBuf>,
    ) -> Result<Self, InvalidRequest> {
        let malformed = || InvalidRequest::Malformed {
            what: "a mount",
            word: text.to_owned(),
            example: "type=bind,source=/on/host,target=/inside or type=volume,… or type=tmpfs,…",
        };
        let fields = csv(text).ok_or_else(malformed)?;
        let fields: Vec<(&str, Option<&str>)> = fields
            .iter()
            .map(|field| match field.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (field.as_str(), None),
            })
            .collect();
        let find = |names: &[&str]| {
            let field = fields.iter().rev().find(|(name, _)| names.contains(name));
            field
                .and_then(|(_, value)| *value)
                .filter(|value| !value.is_empty())
        };
        let needs = |one, other| InvalidRequest::Needs { one, other };
        let target = target(find(&TARGET).ok_or_else(|| needs("--mount", "target=…"))?)?;
        let source = find(&SOURCE);
        let mut mount = match find(&["type"]).unwrap_or("volume") {
            "bind" => {
                let source = source.ok_or_else(|| needs("type=bind", "source=…"))?;
                let source = absolute(Path::new(source), directory)?;
                Self::bind(source, target, MissingSource::Refuse)
            }
            "volume" => Self::named(source.map(str::parse).transpose()?, target),
            "tmpfs" if source.is_none() => Self::Tmpfs(Tmpfs::at(target)),
            "tmpfs" => {
                return Err(InvalidRequest::OptionMismatch {
                    option: "source".to_owned(),
                    with: "type=tmpfs",
                });
            }
            other => {
                return Err(InvalidRequest::NoSuch {
                    what: "type of mount",
                    word: other.to_owned(),
                    known: "bind, volume, tmpfs",
                    near: Vec::new(),
                });
            }
        };
        for (name, value) in fields {
            mount.mount_field(name, value)?;
        }
        Ok(mount)
    }

    /// Takes one field of `--mount`, `type`, `source` and `target` aside.
    fn mount_field(&mut self, name: &str, value: Option<&str>) -> Result<(), InvalidRequest> {
        let mismatch = |with| {
            Err(InvalidRequest::OptionMismatch {
                option: name.to_owned(),
                with,
            })
        };
        match (name, &mut *self) {
            ("type" | "consistency", _) => {}
            (name, _) if SOURCE.contains(&name) || TARGET.contains(&name) => {}
            ("readonly" | "ro", _) => {
                let access = if truth(name, value)? {
                    Access::ReadOnly
                } else {
                    Access::ReadWrite
                };
                self.set_access(access);
            }
            ("noidmap", Self::Bind { mapping, .. } | Self::Volume { mapping, .. }) => {
                *mapping = if truth(name, value)? {
                    IdMapping::Unmapped
                } else {
                    IdMapping::Mapped
                };
            }
            ("bind-propagation", Self::Bind { propagation, .. }) => {
                *propagation = value.unwrap_or_default().parse()?;
            }
            ("bind-nonrecursive", Self::Bind { recursion, .. }) => {
                *recursion = if truth(name, value)? {
                    Recursion::Single
                } else {
                    Recursion::Recursive
                };
            }
            ("bind-recursive", Self::Bind { recursion, .. }) => {
                *recursion = match value.unwrap_or_default() {
                    // Read-only is read-only all the way down, always.
                    "enabled" | "readonly" => Recursion::Recursive,
                    "disabled" => Recursion::Single,
                    other => {
                        return Err(InvalidRequest::NoSuch {
                            what: "way to bind what is mounted below",
                            word: other.to_owned(),
                            known: "enabled, disabled, readonly",
                            near: Vec::new(),
                        });
                    }
                };
            }
            ("bind-create-src", Self::Bind { missing, .. }) => {
                *missing = if truth(name, value)? {
                    MissingSource::Create
                } else {
                    MissingSource::Refuse
                };
            }
            ("volume-driver", Self::Volume { .. })
                if matches!(value, None | Some("" | "local")) => {}
            ("volume-nocopy", Self::Volume { copy, .. }) => {
                *copy = if truth(name, value)? {
                    CopyUp::Leave
                } else {
                    CopyUp::Copy
                };
            }
            ("tmpfs-size" | "tmpfs-mode", Self::Tmpfs(tmpfs)) => {
                let option = name.trim_start_matches("tmpfs-");
                tmpfs.set(&format!("{option}={}", value.unwrap_or_default()))?;
            }
            (name, Self::Bind { .. }) if MOUNT_FIELDS.contains(&name) => {
                return mismatch("type=bind");
            }
            (name, Self::Volume { .. }) if MOUNT_FIELDS.contains(&name) => {
                return mismatch("type=volume");
            }
            (name, Self::Tmpfs(_)) if MOUNT_FIELDS.contains(&name) => {
                return mismatch("type=tmpfs");
            }
            (name, _) => return Err(no_such_option("mount option", name, &MOUNT_FIELDS)),
        }
        Ok(())
    }
}

const SOURCE: [&str; 2] = ["source", "src"];
const TARGET: [&str; 3] = ["target", "dst", "destination"];
const VOLUME_OPTIONS: &[&str] = &[
    "ro", "rw", "noidmap", "nocopy", "rbind", "bind", "z", "Z", "private", "rprivate", "slave",
    "rslave", "shared", "rshared",
];
const MOUNT_FIELDS: [&str; 16] = [
    "type",
    "source",
    "src",
    "target",
    "dst",
    "destination",
    "readonly",
    "ro",
    "noidmap",
    "bind-propagation",
    "bind-nonrecursive",
    "bind-recursive",
    "bind-create-src",
    "volume-nocopy",
    "tmpfs-size",
    "tmpfs-mode",
];
const TMPFS_OPTIONS: &[&str] = &[
    "size",
    "mode",
    "nr_inodes",
    "uid",
    "gid",
    "ro",
    "rw",
    "exec",
    "noexec",
    "suid",
    "nosuid",
    "dev",
    "nodev",
];

impl Tmpfs {
    fn at(target: PathBuf) -> Self {
        Self {
            target,
            access: Access::default(),
            execution: Execution::default(),
            set_user_id: Execution::default(),
            devices: Execution::default(),
            size: None,
            mode: None,
            inodes: None,
            uid: None,
            gid: None,
        }
    }

    /// Takes one option as tmpfs(5) writes it.
    fn set(&mut self, option: &str) -> Result<(), InvalidRequest> {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let malformed = |example| InvalidRequest::Malformed {
            what: "an option of tmpfs",
            word: option.to_owned(),
            example,
        };
        let number = |example| value.parse::<u32>().map_err(|_| malformed(example));
        match name {
            "size" => {
                let bad = |source| InvalidRequest::BadSize {
                    option: "size",
                    source,
                };
                self.size = Some(value.parse::<ByteSize>().map_err(bad)?.bytes());
            }
            "mode" => {
                let mode = u32::from_str_radix(value, 8)
                    .ok()
                    .filter(|mode| *mode <= 0o7777);
                self.mode = Some(mode.ok_or_else(|| malformed("octal digits such as mode=1777"))?);
            }
            "nr_inodes" => {
                let bad = |source| InvalidRequest::BadSize {
                    option: "nr_inodes",
                    source,
                };
                self.inodes = Some(value.parse::<ByteSize>().map_err(bad)?.bytes());
            }
            "uid" => self.uid = Some(number("a number such as uid=1000")?),
            "gid" => self.gid = Some(number("a number such as gid=1000")?),
            "ro" => self.access = Access::ReadOnly,
            "rw" => self.access = Access::ReadWrite,
            "exec" => self.execution = Execution::Allowed,
            "noexec" => self.execution = Execution::Refused,
            "suid" => self.set_user_id = Execution::Allowed,
            "nosuid" => self.set_user_id = Execution::Refused,
            "dev" => self.devices = Execution::Allowed,
            "nodev" => self.devices = Execution::Refused,
            // Of memory these say nothing.
            "defaults" | "sync" | "async" | "dirsync" | "atime" | "noatime" | "diratime"
            | "nodiratime" | "relatime" | "norelatime" | "strictatime" | "nostrictatime" => {}
            _ => return Err(no_such_option("option of tmpfs", name, TMPFS_OPTIONS)),
        }
        Ok(())
    }
}

fn no_such_option(what: &'static str, word: &str, known: &[&str]) -> InvalidRequest {
    InvalidRequest::NoSuch {
        what,
        word: word.to_owned(),
        known: match what {
            "mount option" => {
                "source, target, readonly, noidmap, bind-propagation, bind-recursive, bind-nonrecursive, volume-nocopy, tmpfs-size, tmpfs-mode"
            }
            "volume option" => {
                "ro, rw, noidmap, nocopy, bind, rbind or a propagation such as rslave"
            }
            _ => "size, mode, nr_inodes, uid, gid, ro, rw, exec, noexec, suid, nosuid, dev, nodev",
        },
        near: near(word, known.iter().copied()),
    }
}

/// Reads the value of a yes-or-no field, which may be left out.
fn truth(name: &str, value: Option<&str>) -> Result<bool, InvalidRequest> {
    match value {
        None | Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        Some(other) => Err(InvalidRequest::Malformed {
            what: "true or false",
            word: format!("{name}={other}"),
            example: "true or false",
        }),
    }
}

/// Splits at commas; a field in double quotes may hold them, and `""` in it is one quote.
fn csv(text: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let field = fields.last_mut()?;
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(c),
        }
    }
    (!quoted && fields.iter().all(|field| !field.is_empty())).then_some(fields)
}

/// Reads a path inside the container: absolute, tidy, not the root.
fn target(text: &str) -> Result<PathBuf, InvalidRequest> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err(InvalidRequest::RelativePath(path.to_owned()));
    }
    let path = clean(path);
    if path == Path::new("/") {
        return Err(InvalidRequest::TargetIsRoot);
    }
    Ok(path)
}

fn absolute(
    path: &Path,
    directory: impl FnOnce() -> io::Result<PathBuf>,
) -> Result<PathBuf, InvalidRequest> {
    if path.is_absolute() {
        return Ok(clean(path));
    }
    let directory = directory().map_err(InvalidRequest::NoDirectory)?;
    Ok(clean(&directory.join(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here() -> io::Result<PathBuf> {
        Ok(PathBuf::from("/home/me"))
    }

    /// Prints a mount in one line: what the tables below compare.
    fn told(mount: Result<Mount, InvalidRequest>) -> String {
        match mount {
            Ok(mount) => serde_json::to_value(&mount)
                .unwrap()
                .as_object()
                .unwrap()
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| format!("{name}={}", value.to_string().trim_matches('"')))
                .collect::<Vec<_>>()
                .join(" "),
            Err(error) => match error.hint() {
                Some(hint) => format!("error: {error} ({hint})"),
                None => format!("error: {error}"),
            },
        }
    }

    fn table(texts: &[&str], parse: impl Fn(&str) -> Result<Mount, InvalidRequest>) -> String {
        texts
            .iter()
            .map(|text| format!("{text}\n    {}\n", told(parse(text))))
            .collect()
    }

    #[test]
    fn volumes_are_read_as_docker_reads_them() {
        let report = table(
            &[
                "/srv:/data",
                "/srv/../etc//x/:/data/:ro",
                "./src:/src:rw,rslave",
                "..:/up",
                ".:/here",
                "data:/data:nocopy",
                "data:/data:z,ro",
                "/data",
                "/srv:/data:noidmap",
                "/srv:/data:Z,cached,bind",
                "data",
                "/srv:data",
                "a/b:/data",
                "/srv:/",
                "/srv:/data:raed",
                "/srv:/data:r0",
                "/srv:/data:nocopy",
                "data:/data:rshared",
                "/srv:/data:ro:rw",
                ":/data",
                "/srv:",
                "",
                "C:\\data:/data",
            ],
            |text| Mount::parse_volume(text, here),
        );
        insta::assert_snapshot!(report);
    }

    #[test]
    fn mounts_are_read_as_docker_reads_them() {
        let report = table(
            &[
                "type=bind,source=/srv,target=/data",
                "type=bind,src=./srv,dst=/data,readonly,bind-propagation=rslave,noidmap",
                "type=bind,\"source=/a,b\",destination=/data,ro=false,bind-nonrecursive=true",
                "type=volume,source=data,target=/data,volume-nocopy",
                "target=/data",
                "type=tmpfs,target=/run,tmpfs-size=64m,tmpfs-mode=1770",
                "type=bind,target=/data",
                "type=bind,source=/srv",
                "type=nfs,source=/srv,target=/data",
                "type=tmpfs,source=/srv,target=/data",
                "type=volume,source=data,target=/data,tmpfs-size=1m",
                "type=bind,source=/srv,target=/data,readonyl",
                "type=bind,source=/srv,target=/data,ro=maybe",
                "type=bind,source=/srv,target=/data,volume-driver=x",
                "type=bind,,target=/x",
                "type=bind,\"source=/a,target=/x",
                "",
            ],
            |text| Mount::parse_mount(text, here),
        );
        insta::assert_snapshot!(report);
    }

    #[test]
    fn tmpfs_is_read_as_docker_reads_it() {
        let report = table(
            &[
                "/run",
                "/run:rw,noexec,nosuid,size=64m,mode=755",
                "/run:exec,uid=1000,gid=1000,nr_inodes=1k",
                "run",
                "/run:size=big",
                "/run:mode=9",
                "/run:szie=1m",
                "/run:huge=always",
            ],
            Mount::parse_tmpfs,
        );
        insta::assert_snapshot!(report);
    }
}
