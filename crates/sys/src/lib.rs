//! Every system call Hull needs and rustix lacks, made safe.
//!
//! This is the only crate of the workspace that may say `unsafe`. Its functions have rustix's manners: descriptors go in
//! as [`AsFd`](std::os::fd::AsFd) and come out owned and close-on-exec, flags are bitflags, failures are an [`Errno`].
//! Nothing here decides anything; nothing here is wrapped twice.
//!
//! # What to take from rustix
//!
//! | wanted | rustix |
//! |---|---|
//! | new mount API, `open_tree`, `move_mount`, unmount | `rustix::mount` |
//! | `openat2`, `renameat_with`, `memfd_create`, xattrs, directories | `rustix::fs` |
//! | `pidfd_open`, `pidfd_send_signal`, `pidfd_getfd` | `rustix::process` |
//! | `waitid` on a pidfd or any child, with `NOHANG` | `rustix::process::{waitid, WaitId}` |
//! | parent death signal, subreaper, dumpable | `rustix::process::{set_parent_process_death_signal, set_child_subreaper, set_dumpable_behavior}` |
//! | no new privileges, thread name, securebits | `rustix::thread::{set_no_new_privs, set_name, set_capabilities_secure_bits}` |
//! | setgroups, setresuid, setresgid of one thread | `rustix::thread::{set_thread_groups, set_thread_res_uid, set_thread_res_gid}` |
//! | resource limits, priorities, umask, sessions, `pivot_root` | `rustix::process::{prlimit, setpriority_process, umask, setsid, pivot_root}` |
//! | controlling terminal, pseudo-terminals, raw mode, window size | `rustix::process::ioctl_tiocsctty`, `rustix::pty`, `rustix::termios` |
//! | eventfd, poll, timerfd, clocks | `rustix::event`, `rustix::time` |
//! | netlink and unix sockets, descriptors in messages, peer credentials | `rustix::net` |
//!
//! # Processes
//!
//! [`clone::Clone3::spawn`] and [`clone::fork`] are safe because they refuse (`EDEADLK`) to run in a process with several
//! threads: the copy of a single-threaded process is a whole program, in which everything is allowed.
#![expect(
    unsafe_code,
    reason = "this crate is where the workspace's unsafe code is fenced in"
)]

pub mod bpf;
mod call;
pub mod caps;
pub mod clone;
pub mod close_range;
pub mod entry;
pub mod exec;
pub mod ids;
pub mod inherited;
#[cfg(test)]
mod layout;
pub mod mount;
pub mod namespaces;
pub mod net;
pub mod ofd;
pub mod process;
pub mod seccomp;
pub mod signal;

pub use rustix::io::Errno;

/// What every function of this crate returns: a value, or the kernel's errno.
pub type Result<T> = core::result::Result<T, Errno>;
