//! Becoming another program with everything prepared: between `fork` and `exec` nothing is allocated.

use crate::{Errno, Result, call};
use libc::c_char;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

/// An `argv` or `envp`: strings, and the null-terminated array of pointers to them.
#[derive(Debug)]
pub struct CStrings {
    strings: Vec<CString>,
    /// Points into `strings` and ends with a null.
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers lead to heap memory owned by `strings` beside them, which moves with the value; nothing is
// bound to a thread.
unsafe impl Send for CStrings {}
// SAFETY: no method changes anything through a shared reference.
unsafe impl Sync for CStrings {}

impl CStrings {
    /// Prepares `strings` in order. `EINVAL`: one of them has a zero byte inside.
    pub fn new<S: AsRef<OsStr>>(strings: impl IntoIterator<Item = S>) -> Result<Self> {
        let strings = strings
            .into_iter()
            .map(|text| CString::new(text.as_ref().as_bytes()).map_err(|_| Errno::INVAL))
            .collect::<Result<Vec<_>>>()?;
        // A CString's bytes live on the heap: moving `strings` into the struct does not move them.
        let pointers = strings
            .iter()
            .map(|s| s.as_ptr())
            .chain([ptr::null()])
            .collect();
        Ok(Self { strings, pointers })
    }

    /// Returns the strings.
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        self.strings.iter().map(CString::as_c_str)
    }

    fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

/// Becomes the program at `path`. Returns only when that failed, with the reason.
///
/// <https://man7.org/linux/man-pages/man2/execve.2.html>
pub fn execve(path: &CStr, argv: &CStrings, envp: &CStrings) -> Errno {
    // SAFETY: `path` ends with a zero byte; both arrays end with a null and their strings live as long as the borrow.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    call::last_errno()
}

/// Becomes the program that `file` is open on. Returns only when that failed, with the reason.
///
/// A script (`#!`) fails with `ENOENT` when `file` is close-on-exec: the interpreter could not open it again.
///
/// <https://man7.org/linux/man-pages/man2/execveat.2.html>
pub fn execveat(file: impl AsFd, argv: &CStrings, envp: &CStrings) -> Errno {
    let file = file.as_fd().as_raw_fd();
    // SAFETY: the empty path is a literal, both arrays end with a null and their strings live as long as the borrow.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file,
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    call::last_errno()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_order_and_end_with_null() {
        let strings = CStrings::new(["a", "", "c d"]).unwrap();
        assert_eq!(strings.iter().collect::<Vec<_>>(), [c"a", c"", c"c d"]);
        assert_eq!(strings.pointers.len(), 4);
        assert!(strings.pointers[3].is_null());
        let none = CStrings::new(Vec::<String>::new()).unwrap();
        assert_eq!(none.pointers.len(), 1);
    }

    #[test]
    fn a_zero_byte_inside_is_refused() {
        assert_eq!(CStrings::new(["a\0b"]).unwrap_err(), Errno::INVAL);
    }

    #[test]
    fn what_cannot_be_executed_says_why() {
        let none = CStrings::new(Vec::<String>::new()).unwrap();
        let argv = CStrings::new(["x"]).unwrap();
        assert_eq!(execve(c"/nonexistent", &argv, &none), Errno::NOENT);
        assert_eq!(execve(c"/etc/passwd", &argv, &none), Errno::ACCESS);
        let directory = std::fs::File::open("/").unwrap();
        assert_eq!(execveat(directory, &argv, &none), Errno::ACCESS);
    }
}
