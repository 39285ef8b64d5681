//! Finding the command, and saying exactly why it cannot be run.
//!
//! The kernel answers `ENOENT` for a file that is there but whose interpreter is not, and `ENOEXEC` for half a dozen reasons.
//! [`find`] runs before the container counts as created; [`diagnose`] runs only after an exec failed, so it costs a working
//! start nothing.

use std::ffi::CString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use hull_sys::Errno;
use hull_types::ErrorKind;
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags, accessat, openat, stat};

use crate::error::numbered;

/// What is searched when the environment names no `PATH`: docker's default.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The command of a container cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct CommandError {
    /// What is wrong.
    pub problem: Problem,
    /// The command, as given or as found.
    pub command: String,
    /// The interpreter, architecture or search path the problem is about.
    pub detail: String,
}

numbered! {
    /// What is wrong with a command.
    Problem {
        /// In none of the directories of `PATH` (the detail).
        NotInPath,
        /// No such file.
        Missing,
        /// A directory.
        Directory,
        /// Lacks the permission to execute.
        NotExecutable,
        /// Some directory above, or the mount, forbids it.
        Denied,
        /// The dynamic loader it was linked for (the detail) is not in the image.
        MissingLoader,
        /// Built for another architecture (the detail).
        WrongArchitecture,
        /// A script whose interpreter (the detail) is not in the image.
        MissingInterpreter,
        /// A script with Windows line ends: the interpreter's name ends with a carriage return.
        CarriageReturn,
        /// Text without `#!`.
        NoShebang,
        /// No format the kernel knows.
        UnknownFormat,
        /// Open for writing.
        Busy,
        /// Something else (the detail is the kernel's answer).
        Other,
    }
}

impl CommandError {
    pub(crate) fn new(
        problem: Problem,
        command: impl AsRef<Path>,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            problem,
            command: command.as_ref().to_string_lossy().into_owned(),
            detail: detail.into(),
        }
    }

    /// Returns the class of the error: docker's 127 for what is not there, 126 for what is there and cannot be run.
    pub fn kind(&self) -> ErrorKind {
        match self.problem {
            Problem::NotInPath
            | Problem::Missing
            | Problem::MissingLoader
            | Problem::MissingInterpreter
            | Problem::CarriageReturn => ErrorKind::CommandNotFound,
            _ => ErrorKind::CommandNotRunnable,
        }
    }

    /// Returns what the reader could do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self.problem {
            Problem::NotInPath | Problem::Missing => {
                "the command is looked for in the image, not on the host".to_owned()
            }
            Problem::Directory => "name a program in that directory".to_owned(),
            Problem::NotExecutable => format!("`chmod +x {}` when the image is built", self.command),
            Problem::Denied => {
                "check the directories above it, `noexec` mounts, and the user it runs as".to_owned()
            }
            Problem::MissingLoader => format!(
                "it was linked for another C library (musl or glibc) or distribution: build it statically, or use an image that has {}",
                self.detail
            ),
            Problem::WrongArchitecture => {
                "use an image for this machine (`--platform`), or install binfmt_misc emulation".to_owned()
            }
            Problem::MissingInterpreter => {
                format!("install {} in the image, or name another interpreter in the first line", self.detail)
            }
            Problem::CarriageReturn => {
                "the script has Windows line ends: convert it (`dos2unix`, or git's `* text eol=lf`)".to_owned()
            }
            Problem::NoShebang => {
                "begin the script with `#!/bin/sh`, or run it through its interpreter".to_owned()
            }
            Problem::UnknownFormat | Problem::Busy | Problem::Other => return None,
        };
        Some(hint)
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            command, detail, ..
        } = self;
        match self.problem {
            Problem::NotInPath => {
                write!(
                    f,
                    "the command `{command}` is in no directory of the container's PATH ({detail})"
                )
            }
            Problem::Missing => {
                write!(f, "the command `{command}` does not exist in the container")
            }
            Problem::Directory => write!(f, "the command `{command}` is a directory"),
            Problem::NotExecutable => write!(f, "the command `{command}` is not marked executable"),
            Problem::Denied => write!(f, "permission to run the command `{command}` is denied"),
            Problem::MissingLoader => {
                write!(
                    f,
                    "the command `{command}` needs the loader {detail}, which is not in the container"
                )
            }
            Problem::WrongArchitecture => {
                write!(f, "the command `{command}` is built for {detail}")
            }
            Problem::MissingInterpreter => {
                write!(
                    f,
                    "the script `{command}` wants the interpreter {detail}, which is not in the container"
                )
            }
            Problem::CarriageReturn => write!(
                f,
                "the script `{command}` asks for the interpreter `{detail}\\r`: its first line ends with a carriage return"
            ),
            Problem::NoShebang => {
                write!(
                    f,
                    "the command `{command}` is text without `#!` in front: nothing says who reads it"
                )
            }
            Problem::UnknownFormat => {
                write!(
                    f,
                    "the command `{command}` is in no format this kernel can run"
                )
            }
            Problem::Busy => write!(f, "the command `{command}` is open for writing"),
            Problem::Other => write!(f, "cannot run the command `{command}` ({detail})"),
        }
    }
}

/// Finds the file for `command` in the current root and directory, as the current user.
pub(crate) fn find(command: &str, path: &str) -> Result<CString, CommandError> {
    if command.is_empty() {
        return Err(CommandError::new(Problem::Missing, command, ""));
    }
    if command.contains('/') {
        return runnable(Path::new(command))
            .map_err(|problem| CommandError::new(problem, command, ""));
    }
    let mut refused = None;
    for dir in path.split(':') {
        // An empty element is the current directory (execvp(3)).
        let candidate = match dir {
            "" => PathBuf::from(".").join(command),
            _ => Path::new(dir).join(command),
        };
        match runnable(&candidate) {
            Ok(found) => return Ok(found),
            Err(Problem::Missing) => {}
            Err(problem) => refused = refused.or(Some((problem, candidate))),
        }
    }
    Err(match refused {
        Some((problem, candidate)) => CommandError::new(problem, candidate, ""),
        None => CommandError::new(Problem::NotInPath, command, path),
    })
}

fn runnable(path: &Path) -> Result<CString, Problem> {
    match accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::NOTDIR) => return Err(Problem::Missing),
        Err(Errno::ACCESS) if stat(path).is_ok_and(|stat| is_directory(stat.st_mode)) => {
            return Err(Problem::Directory);
        }
        Err(Errno::ACCESS) => {
            return Err(match stat(path) {
                Ok(stat) if stat.st_mode & 0o111 == 0 => Problem::NotExecutable,
                _ => Problem::Denied,
            });
        }
        Err(_) => return Err(Problem::Other),
    }
    // Directories are "executable" too.
    if stat(path).is_ok_and(|stat| is_directory(stat.st_mode)) {
        return Err(Problem::Directory);
    }
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Problem::Missing)
}

fn is_directory(mode: u32) -> bool {
    FileType::from_raw_mode(mode) == FileType::Directory
}

/// Says why the kernel refused to run `path` with `errno`.
pub(crate) fn diagnose(path: &Path, errno: Errno) -> CommandError {
    let (problem, detail) = reason(path, errno);
    CommandError::new(problem, path, detail)
}

fn reason(path: &Path, errno: Errno) -> (Problem, String) {
    let exists = |path: &Path| accessat(CWD, path, Access::EXISTS, AtFlags::empty()).is_ok();
    match errno {
        Errno::NOENT | Errno::NOEXEC | Errno::LIBBAD => {}
        Errno::ACCESS | Errno::PERM => {
            let problem = runnable(path).err().unwrap_or(Problem::Denied);
            return (problem, String::new());
        }
        Errno::TXTBSY => return (Problem::Busy, String::new()),
        Errno::NOTDIR => return (Problem::Missing, String::new()),
        other => return (Problem::Other, other.to_string()),
    }
    if !exists(path) {
        return (Problem::Missing, String::new());
    }
    let Some(head) = head(path) else {
        return (Problem::Other, errno.to_string());
    };
    examine(&head, std::env::consts::ARCH, &exists).unwrap_or_else(|| match errno {
        Errno::NOEXEC => (Problem::UnknownFormat, String::new()),
        other => (Problem::Other, other.to_string()),
    })
}

/// The beginning of a file: headers and the loader's name lie there.
fn head(path: &Path) -> Option<Vec<u8>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(CWD, path, flags, Mode::empty()).ok()?;
    let mut bytes = vec![0; 16 * 1024];
    let length = rustix::io::read(file, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

/// Reads the beginning of a file for the reason it cannot be run; none if it looks as if it could.
fn examine(head: &[u8], host: &str, exists: &dyn Fn(&Path) -> bool) -> Option<(Problem, String)> {
    if let Some(rest) = head.strip_prefix(b"#!") {
        return script(rest, exists);
    }
    if head.starts_with(b"\x7fELF") {
        return elf(head, host, exists);
    }
    let text = !head.is_empty() && !head.iter().take(512).any(|byte| *byte == 0);
    match text {
        true => Some((Problem::NoShebang, String::new())),
        false => Some((Problem::UnknownFormat, String::new())),
    }
}

fn script(first_line: &[u8], exists: &dyn Fn(&Path) -> bool) -> Option<(Problem, String)> {
    let line = first_line.split(|byte| *byte == b'\n').next()?;
    let word = |line: &[u8]| {
        let mut words = line
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        words
            .next()
            .map(|word| String::from_utf8_lossy(word).into_owned())
    };
    let interpreter = word(line)?;
    if exists(Path::new(&interpreter)) {
        return None;
    }
    match interpreter.strip_suffix('\r') {
        Some(plain) => Some((Problem::CarriageReturn, plain.to_owned())),
        None => Some((Problem::MissingInterpreter, interpreter)),
    }
}

/// `e_machine` numbers, with Rust's names for the architectures where it has one.
const MACHINES: [(u16, &str); 12] = [
    (3, "x86"),
    (8, "mips"),
    (20, "powerpc"),
    (21, "powerpc64"),
    (22, "s390x"),
    (40, "arm"),
    (43, "sparc64"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (247, "bpf"),
    (258, "loongarch64"),
];

fn elf(head: &[u8], host: &str, exists: &dyn Fn(&Path) -> bool) -> Option<(Problem, String)> {
    let reader = Elf::new(head)?;
    let machine = reader.half(18)?;
    let name = MACHINES
        .iter()
        .find(|(number, _)| *number == machine)
        .map_or_else(
            || format!("machine {machine}"),
            |(_, name)| (*name).to_owned(),
        );
    let runs_here = name == host || (host == "x86_64" && name == "x86");
    if !runs_here {
        return Some((
            Problem::WrongArchitecture,
            format!("{name}, and this machine is {host}"),
        ));
    }
    let loader = reader.interpreter()?;
    (!exists(Path::new(&loader))).then_some((Problem::MissingLoader, loader))
}

/// An ELF header, of either width and byte order.
struct Elf<'a> {
    head: &'a [u8],
    wide: bool,
    little: bool,
}

impl<'a> Elf<'a> {
    fn new(head: &'a [u8]) -> Option<Self> {
        let (class, data) = (*head.get(4)?, *head.get(5)?);
        Some(Self {
            head,
            wide: class == 2,
            little: data == 1,
        })
    }

    fn half(&self, at: usize) -> Option<u16> {
        let bytes: [u8; 2] = self.head.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    }

    fn word(&self, at: usize) -> Option<u32> {
        let bytes: [u8; 4] = self.head.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.little {
            u32::from_le_bytes(bytes)
        } else {
            u32::from_be_bytes(bytes)
        })
    }

    /// An offset or size: as wide as the class.
    fn offset(&self, at: usize) -> Option<usize> {
        if !self.wide {
            return usize::try_from(self.word(at)?).ok();
        }
        let bytes: [u8; 8] = self.head.get(at..at.checked_add(8)?)?.try_into().ok()?;
        let value = if self.little {
            u64::from_le_bytes(bytes)
        } else {
            u64::from_be_bytes(bytes)
        };
        usize::try_from(value).ok()
    }

    /// The text of the `PT_INTERP` segment; none for a static program.
    fn interpreter(&self) -> Option<String> {
        const PT_INTERP: u32 = 3;
        let (table, size, count) = match self.wide {
            true => (self.offset(32)?, self.half(54)?, self.half(56)?),
            false => (self.offset(28)?, self.half(42)?, self.half(44)?),
        };
        (0..usize::from(count)).find_map(|index| {
            let entry = table.checked_add(index.checked_mul(usize::from(size))?)?;
            if self.word(entry)? != PT_INTERP {
                return None;
            }
            let (start, length) = match self.wide {
                true => (
                    self.offset(entry.checked_add(8)?)?,
                    self.offset(entry.checked_add(32)?)?,
                ),
                false => (
                    self.offset(entry.checked_add(4)?)?,
                    self.offset(entry.checked_add(16)?)?,
                ),
            };
            let text = self.head.get(start..start.checked_add(length)?)?;
            let text = text.split(|byte| *byte == 0).next()?;
            Some(String::from_utf8_lossy(text).into_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn examined(head: &[u8], there: &[&str]) -> Option<(Problem, String)> {
        let exists = |path: &Path| there.iter().any(|known| Path::new(known) == path);
        examine(head, "x86_64", &exists)
    }

    fn elf_for(machine: u16, interpreter: &str) -> Vec<u8> {
        let mut head = vec![0; 64 + 56];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[18..20].copy_from_slice(&machine.to_le_bytes());
        head[32] = 64;
        head[54] = 56;
        head[56] = 1;
        head[64] = 3;
        head[64 + 8] = 120;
        head[64 + 32] = u8::try_from(interpreter.len() + 1).unwrap();
        head.extend(interpreter.bytes().chain([0]));
        head
    }

    #[test]
    fn reasons_are_read_from_the_file() {
        let detail = |text: &str| text.to_owned();
        for (head, there, expected) in [
            (&b"#!/bin/sh\necho"[..], &["/bin/sh"][..], None),
            (
                b"#!/bin/sh\r\necho",
                &["/bin/sh"],
                Some((Problem::CarriageReturn, detail("/bin/sh"))),
            ),
            (
                b"#! /usr/bin/python3 -u\n",
                &[],
                Some((Problem::MissingInterpreter, detail("/usr/bin/python3"))),
            ),
            (b"echo hello\n", &[], Some((Problem::NoShebang, detail("")))),
            (
                b"\x00\x01binary",
                &[],
                Some((Problem::UnknownFormat, detail(""))),
            ),
            (b"", &[], Some((Problem::UnknownFormat, detail("")))),
            (b"\x7fELF\x02", &[], None),
        ] {
            assert_eq!(
                examined(head, there),
                expected,
                "{:?}",
                String::from_utf8_lossy(head)
            );
        }
        let loader = "/lib64/ld-linux-x86-64.so.2";
        assert_eq!(examined(&elf_for(62, loader), &[loader]), None);
        assert_eq!(
            examined(&elf_for(62, loader), &[]),
            Some((Problem::MissingLoader, loader.to_owned()))
        );
        assert_eq!(
            examined(&elf_for(183, loader), &[loader]),
            Some((
                Problem::WrongArchitecture,
                "aarch64, and this machine is x86_64".to_owned()
            ))
        );
    }

    #[test]
    fn hostile_headers_are_survived() {
        let mut head = elf_for(62, "/x");
        for at in 0..head.len() {
            let former = std::mem::replace(&mut head[at], 0xff);
            let _any = examined(&head, &[]);
            head[at] = former;
        }
        for length in 0..head.len() {
            let _any = examined(&head[..length], &[]);
        }
    }

    #[test]
    fn commands_are_searched_in_path() {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, mode: u32| {
            let path = home.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::File::create(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("one/tool", 0o644);
        write("two/tool", 0o755);
        write("one/plain", 0o644);
        std::fs::create_dir(home.path().join("two/dir")).unwrap();
        let path = format!("{0}/none:{0}/one:{0}/two", home.path().display());
        let found = find("tool", &path).unwrap();
        assert!(found.to_str().unwrap().ends_with("/two/tool"));
        for (command, problem) in [
            ("plain", Problem::NotExecutable),
            ("dir", Problem::Directory),
            ("absent", Problem::NotInPath),
            ("", Problem::Missing),
            ("/no/such", Problem::Missing),
        ] {
            assert_eq!(
                find(command, &path).unwrap_err().problem,
                problem,
                "{command}"
            );
        }
    }
}
