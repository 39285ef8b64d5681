//! Where a copy goes: docker's rules, as a function of what the two paths say and of what is there.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
};

/// A path with what its spelling says beside the names: `a/` and `a/.` are directories, `a/.` is what is in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spelled {
    /// Absolute, without `.` and `..`: docker takes those away by the text alone.
    pub(crate) path: PathBuf,
    pub(crate) is_directory: bool,
    /// The contents are meant, not the directory with its name.
    pub(crate) is_contents: bool,
}

impl Spelled {
    /// Reads a path that is relative to `base`.
    pub(crate) fn new(base: &Path, path: &Path) -> Self {
        let bytes = path.as_os_str().as_bytes();
        let ends_with_dot = bytes == b"." || bytes.ends_with(b"/.");
        let ends_with_dots = bytes == b".." || bytes.ends_with(b"/..");
        let mut clean = PathBuf::from("/");
        for component in base.join(path).components() {
            match component {
                Component::Normal(name) => clean.push(name),
                Component::ParentDir => drop(clean.pop()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        let is_root = clean == Path::new("/");
        Self {
            path: clean,
            is_directory: bytes.ends_with(b"/") || ends_with_dot || ends_with_dots || is_root,
            // The root has no name that could go along.
            is_contents: ends_with_dot || is_root,
        }
    }

    /// Returns the name that goes along, if one does.
    pub(crate) fn name(&self) -> Option<OsString> {
        if self.is_contents {
            return None;
        }
        self.path.file_name().map(ToOwned::to_owned)
    }
}

/// What stands where a copy shall go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum There {
    Directory,
    /// Something that is no directory.
    Other,
    Nothing,
}

/// Where the topmost thing that is copied goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Landing {
    /// Into the directory that is there, under its own name.
    Within(OsString),
    /// Into the directory that is there, without a name of its own.
    Spread,
    /// In place of, or as, the last name of the target.
    As,
}

/// Why a copy goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A directory cannot take the place of a file.
    DirectoryOntoFile,
    /// The target is said to be a directory and there is none.
    NoSuchDirectory,
    /// The target is said to be a directory and is a file.
    NotADirectory,
}

/// Decides. `name` is what goes along with the source, if it has a name.
pub(crate) fn decide(
    name: Option<OsString>,
    source_is_directory: bool,
    target: &Spelled,
    there: There,
) -> Result<Landing, Refusal> {
    match there {
        There::Directory => Ok(name.map_or(Landing::Spread, Landing::Within)),
        There::Other if source_is_directory => Err(Refusal::DirectoryOntoFile),
        There::Other if target.is_directory => Err(Refusal::NotADirectory),
        There::Nothing if !source_is_directory && target.is_directory => {
            Err(Refusal::NoSuchDirectory)
        }
        There::Other | There::Nothing => Ok(Landing::As),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(path: &str) -> Spelled {
        Spelled::new(Path::new("/base"), Path::new(path))
    }

    #[test]
    fn paths_say_more_than_names() {
        for (text, path, is_directory, name) in [
            ("/etc/passwd", "/etc/passwd", false, Some("passwd")),
            ("etc", "/base/etc", false, Some("etc")),
            ("etc/", "/base/etc", true, Some("etc")),
            ("etc/.", "/base/etc", true, None),
            (".", "/base", true, None),
            ("./", "/base", true, Some("base")),
            ("..", "/", true, None),
            ("/a/../b//c/./", "/b/c", true, Some("c")),
            ("/a/..", "/", true, None),
            ("/a/b/..", "/a", true, Some("a")),
            ("/", "/", true, None),
            ("/../../x", "/x", false, Some("x")),
            ("", "/base", false, Some("base")),
            ("/a.", "/a.", false, Some("a.")),
        ] {
            let found = spelled(text);
            assert_eq!(found.path, Path::new(path), "{text}");
            assert_eq!(found.is_directory, is_directory, "{text}");
            assert_eq!(found.name(), name.map(OsString::from), "{text}");
        }
    }

    #[test]
    fn copies_go_where_docker_puts_them() {
        use There::{Directory, Nothing, Other};
        let within = || Ok(Landing::Within("s".into()));
        // (source is a directory, its name goes along), what is there, the target, the answer
        for (source, there, target, expected) in [
            ((false, true), Nothing, "t", Ok(Landing::As)),
            ((false, true), Nothing, "t/", Err(Refusal::NoSuchDirectory)),
            ((false, true), Other, "t", Ok(Landing::As)),
            ((false, true), Other, "t/", Err(Refusal::NotADirectory)),
            ((false, true), Directory, "t", within()),
            ((false, true), Directory, "t/", within()),
            ((true, true), Nothing, "t", Ok(Landing::As)),
            ((true, true), Nothing, "t/", Ok(Landing::As)),
            ((true, true), Other, "t", Err(Refusal::DirectoryOntoFile)),
            ((true, true), Directory, "t", within()),
            ((true, false), Nothing, "t", Ok(Landing::As)),
            ((true, false), Other, "t", Err(Refusal::DirectoryOntoFile)),
            ((true, false), Directory, "t", Ok(Landing::Spread)),
        ] {
            let name = source.1.then(|| OsString::from("s"));
            let found = decide(name, source.0, &spelled(target), there);
            assert_eq!(found, expected, "{source:?} to {there:?} {target}");
        }
    }
}
