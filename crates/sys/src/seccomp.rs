//! System call filters: loading a compiled one, and asking what the kernel can do.

use crate::{Errno, Result, call};
use bitflags::bitflags;
use libc::{c_uint, c_ushort};
use std::os::fd::{FromRawFd, OwnedFd};

bitflags! {
    /// How a filter is attached.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SeccompFlags: c_uint {
        /// To every thread of the process, or to none.
        const TSYNC = 1;
        /// Every action but allow is written to the kernel's log.
        const LOG = 1 << 1;
        /// Leave the speculative store bypass as it is.
        const SPEC_ALLOW = 1 << 2;
        /// Return a descriptor on which `USER_NOTIF` calls are reported.
        const NEW_LISTENER = 1 << 3;
        /// A reported call can be interrupted only by a fatal signal. Linux 5.19.
        const WAIT_KILLABLE_RECV = 1 << 5;
    }
}

/// One instruction of classic BPF: `struct sock_filter` of <linux/filter.h>.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SockFilter {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip when a test holds.
    pub jt: u8,
    /// How many instructions to skip when it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

const _: () = assert!(size_of::<SockFilter>() == 8);

/// `struct sock_fprog` of <linux/filter.h>.
#[repr(C)]
#[derive(Debug)]
struct Program {
    len: c_ushort,
    filter: *const SockFilter,
}

const _: () = assert!(size_of::<Program>() == 2 * size_of::<usize>());

/// Puts the calling thread, and whatever it starts, under `filter`; returns the listener if one was asked for.
///
/// Needs `no_new_privs` or `CAP_SYS_ADMIN` in the user namespace (`EACCES`). `EINVAL`: not a program the kernel accepts,
/// or longer than 4,096 instructions. It cannot be taken off again.
///
/// <https://man7.org/linux/man-pages/man2/seccomp.2.html>
pub fn load(filter: &[SockFilter], flags: SeccompFlags) -> Result<Option<OwnedFd>> {
    const SET_MODE_FILTER: c_uint = 1;
    let len = c_ushort::try_from(filter.len()).map_err(|_| Errno::INVAL)?;
    let program = Program {
        len,
        filter: filter.as_ptr(),
    };
    // SAFETY: `program` points to `len` instructions laid out as the kernel wants them; the kernel copies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SET_MODE_FILTER,
            flags.bits(),
            &raw const program,
        )
    };
    let value = call::fd(result)?;
    if flags.contains(SeccompFlags::NEW_LISTENER) {
        // SAFETY: with this flag the result is a new descriptor; nothing else owns or closes it.
        return Ok(Some(unsafe { OwnedFd::from_raw_fd(value) }));
    }
    // With TSYNC the result can be the thread that could not follow.
    if value == 0 {
        Ok(None)
    } else {
        Err(Errno::SRCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;
    use std::thread;

    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;

    #[test]
    fn instructions_and_programs_are_laid_out_as_in_the_headers() {
        crate::layout::assert_matches(
            "linux/filter.h",
            "struct sock_filter",
            size_of::<SockFilter>(),
            &[
                ("code", offset_of!(SockFilter, code)),
                ("jt", offset_of!(SockFilter, jt)),
                ("jf", offset_of!(SockFilter, jf)),
                ("k", offset_of!(SockFilter, k)),
            ],
        );
        crate::layout::assert_matches(
            "linux/filter.h",
            "struct sock_fprog",
            size_of::<Program>(),
            &[
                ("len", offset_of!(Program, len)),
                ("filter", offset_of!(Program, filter)),
            ],
        );
    }

    /// Answers `EXDEV` to `number` and lets everything else pass.
    fn refuse(number: libc::c_long) -> [SockFilter; 4] {
        let number = u32::try_from(number).unwrap();
        let exdev = ERRNO | libc::EXDEV.unsigned_abs();
        [
            SockFilter {
                code: 0x20,
                jt: 0,
                jf: 0,
                k: 0,
            }, // load the system call's number
            SockFilter {
                code: 0x15,
                jt: 0,
                jf: 1,
                k: number,
            }, // is it this one?
            SockFilter {
                code: 0x06,
                jt: 0,
                jf: 0,
                k: exdev,
            },
            SockFilter {
                code: 0x06,
                jt: 0,
                jf: 0,
                k: ALLOW,
            },
        ]
    }

    #[test]
    fn a_filter_holds_for_the_thread_that_loaded_it() {
        thread::spawn(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            let filter = refuse(libc::SYS_getpriority);
            assert!(load(&filter, SeccompFlags::empty()).unwrap().is_none());
            let refused = rustix::process::getpriority_process(None);
            assert_eq!(refused.unwrap_err(), Errno::XDEV);
        })
        .join()
        .unwrap();
        rustix::process::getpriority_process(None).unwrap();
    }

    #[test]
    fn a_listener_is_returned_when_asked_for() {
        thread::spawn(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            let filter = refuse(libc::SYS_getpriority);
            assert!(load(&filter, SeccompFlags::NEW_LISTENER).unwrap().is_some());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_is_no_program_is_refused() {
        // Of this thread only; without it, a user is refused before the program is looked at.
        rustix::thread::set_no_new_privs(true).unwrap();
        let endless = [SockFilter {
            code: 0x20,
            jt: 0,
            jf: 0,
            k: 0,
        }];
        assert_eq!(
            load(&endless, SeccompFlags::empty()).unwrap_err(),
            Errno::INVAL
        );
        assert_eq!(load(&[], SeccompFlags::empty()).unwrap_err(), Errno::INVAL);
        let long = vec![endless[0]; 70_000];
        assert_eq!(
            load(&long, SeccompFlags::empty()).unwrap_err(),
            Errno::INVAL
        );
    }
}
