//! The ABIs a filter can tell apart, and their call numbers.

use std::collections::BTreeMap;

/// How a program talks to the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Abi {
    X86_64,
    /// x86-64's registers with 32-bit pointers: x86-64's audit architecture, bit 30 set in the number.
    X32,
    I386,
    Aarch64,
}

/// Set in the number of every x32 call.
pub(crate) const X32_BIT: u32 = 1 << 30;

impl Abi {
    /// The ABI of programs built for the target named `arch` (`target_arch`), if there is a table for it.
    pub fn of_target(arch: &str) -> Option<Self> {
        match arch {
            "x86_64" => Some(Self::X86_64),
            "aarch64" => Some(Self::Aarch64),
            _ => None,
        }
    }

    /// The others whose programs a kernel of this ABI runs, as far as there are tables.
    pub(crate) fn companions(self) -> &'static [Self] {
        match self {
            Self::X86_64 => &[Self::I386, Self::X32],
            Self::X32 | Self::I386 | Self::Aarch64 => &[],
        }
    }

    /// `AUDIT_ARCH_*`.
    pub(crate) fn audit(self) -> u32 {
        match self {
            Self::X86_64 | Self::X32 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    fn column(self) -> usize {
        match self {
            Self::X86_64 => 0,
            Self::X32 => 1,
            Self::I386 => 2,
            Self::Aarch64 => 3,
        }
    }
}

/// The numbers of all calls by name.
#[derive(Debug)]
pub(crate) struct Table(BTreeMap<&'static str, [Option<u32>; 4]>);

impl Table {
    /// Reads the table that is part of the program.
    pub(crate) fn embedded() -> Self {
        let lines = include_str!("../syscalls.tsv").lines();
        Self(lines.filter_map(row).collect())
    }

    /// Returns the number of `name`, for x32 without its bit.
    pub(crate) fn number(&self, abi: Abi, name: &str) -> Option<u32> {
        self.0.get(name)?[abi.column()]
    }

    /// Says whether any ABI has a call of this name, if only inside `socketcall` or `ipc`.
    #[cfg(test)]
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.0.contains_key(name) || multiplexed(name).is_some()
    }

    /// Lists every name.
    #[cfg(test)]
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }
}

fn row(line: &'static str) -> Option<(&'static str, [Option<u32>; 4])> {
    if line.starts_with('#') {
        return None;
    }
    let mut cells = line.split('\t');
    let name = cells.next()?;
    let mut numbers = [None; 4];
    for (number, cell) in numbers.iter_mut().zip(cells) {
        *number = cell.parse().ok();
    }
    Some((name, numbers))
}

/// Says whether no kernel since 5.10 does anything but refuse this number with `ENOSYS`: calls removed before, and names
/// that never had code. (Numbers that are merely free are not among them: they will be used.)
pub(crate) fn is_unimplemented(abi: Abi, number: u32) -> bool {
    match abi {
        // _sysctl, create_module, get_kernel_syms, query_module, nfsservctl to security, epoll_*_old, vserver
        Abi::X86_64 | Abi::X32 => {
            matches!(number, 156 | 174 | 177 | 178 | 180..=185 | 214 | 215 | 236)
        }
        // break, stty, gtty, ftime, prof, lock, mpx, ulimit, profil, idle, create_module, get_kernel_syms, afs_syscall,
        // _sysctl, query_module, nfsservctl, getpmsg, putpmsg, vserver
        Abi::I386 => matches!(
            number,
            17 | 31
                | 32
                | 35
                | 44
                | 53
                | 56
                | 58
                | 98
                | 112
                | 127
                | 130
                | 137
                | 149
                | 167
                | 169
                | 188
                | 189
                | 273
        ),
        // nfsservctl
        Abi::Aarch64 => number == 42,
    }
}

/// A call that i386 programs also, or only, make through `socketcall` or `ipc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Multiplexed {
    pub(crate) through: &'static str,
    /// The first argument of the outer call names the inner one, in these bits.
    pub(crate) mask: u64,
    pub(crate) code: u64,
}

/// Says how i386 programs can make the call `name` through another.
pub(crate) fn multiplexed(name: &str) -> Option<Multiplexed> {
    const SOCKETCALL: [&str; 20] = [
        "socket",
        "bind",
        "connect",
        "listen",
        "accept",
        "getsockname",
        "getpeername",
        "socketpair",
        "send",
        "recv",
        "sendto",
        "recvfrom",
        "shutdown",
        "setsockopt",
        "getsockopt",
        "sendmsg",
        "recvmsg",
        "accept4",
        "recvmmsg",
        "sendmmsg",
    ];
    const IPC: [(&str, u64); 12] = [
        ("semop", 1),
        ("semget", 2),
        ("semctl", 3),
        ("semtimedop", 4),
        ("msgsnd", 11),
        ("msgrcv", 12),
        ("msgget", 13),
        ("msgctl", 14),
        ("shmat", 21),
        ("shmdt", 22),
        ("shmget", 23),
        ("shmctl", 24),
    ];
    let socket = (1..).zip(SOCKETCALL).find(|entry| entry.1 == name);
    let socket = socket.map(|(code, _)| Multiplexed {
        through: "socketcall",
        mask: u64::MAX,
        code,
    });
    // The upper half of ipc's first argument is a version.
    let ipc = IPC.iter().find(|entry| entry.0 == name);
    socket.or(ipc.map(|&(_, code)| Multiplexed {
        through: "ipc",
        mask: 0xffff,
        code,
    }))
}
