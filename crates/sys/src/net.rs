//! The one thing about interfaces that needs no netlink.

use crate::{Result, call};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::os::fd::AsRawFd;

/// Brings up the loopback interface of the calling thread's network namespace; the kernel gives it its addresses.
///
/// <https://man7.org/linux/man-pages/man7/netdevice.7.html>
pub fn lo_up() -> Result<()> {
    let socket = socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: `ifreq` is made of integers and a union of such; all zero is a value of it.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags =
        libc::c_short::try_from(libc::IFF_UP).expect("IFF_UP is the lowest bit");
    // SAFETY: SIOCSIFFLAGS reads one `ifreq`, whose name ends with a zero and whose flags were just set.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    call::int(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clone::CloneFlags;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    #[test]
    fn root_loopback_answers_once_it_is_up() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("needs root");
        }
        thread::spawn(|| {
            crate::namespaces::unshare(CloneFlags::NEWNET).unwrap();
            let any = TcpListener::bind("0.0.0.0:0").unwrap();
            let port = any.local_addr().unwrap().port();
            assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
            lo_up().unwrap();
            TcpStream::connect(("127.0.0.1", port)).unwrap();
            lo_up().unwrap();
        })
        .join()
        .unwrap();
    }
}
