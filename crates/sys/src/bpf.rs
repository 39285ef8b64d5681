//! Just enough eBPF to decide which devices a cgroup v2 may touch.

use crate::{Errno, Result, call};
use libc::{c_int, c_long};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// One instruction: `struct bpf_insn` of <linux/bpf.h>.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// What to do.
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four (little endian machines).
    pub registers: u8,
    /// A jump's or a memory access's distance.
    pub offset: i16,
    /// The operand.
    pub immediate: i32,
}

const _: () = assert!(size_of::<Instruction>() == 8);

/// The beginning of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
#[derive(Debug)]
struct LoadAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

const _: () = assert!(size_of::<LoadAttr>() == 48);

/// The beginning of `union bpf_attr` for `BPF_PROG_ATTACH` and `BPF_PROG_DETACH`.
#[repr(C)]
#[derive(Debug)]
struct AttachAttr {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

const _: () = assert!(size_of::<AttachAttr>() == 16);

const PROG_LOAD: c_int = 5;
const PROG_ATTACH: c_int = 8;
const CGROUP_DEVICE: u32 = 6;

/// Loads a program that answers, for a device access in a cgroup, 1 (allowed) or 0.
///
/// <https://man7.org/linux/man-pages/man2/bpf.2.html>
pub fn load_device_program(instructions: &[Instruction]) -> Result<OwnedFd> {
    const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    let attr = LoadAttr {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(instructions.len()).map_err(|_| Errno::TOOBIG)?,
        insns: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: `attr` has the size given, its count matches its slice, and slice and licence outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_LOAD,
            &raw const attr,
            size_of::<LoadAttr>(),
        )
    };
    let fd = call::fd(result)?;
    // SAFETY: the call above returned `fd` just now; nothing else owns or closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches a loaded device program to a cgroup v2 directory; those of the cgroups above and below it count as well.
pub fn attach_device_program(cgroup: impl AsFd, program: impl AsFd) -> Result<()> {
    const ALLOW_MULTI: u32 = 2;
    let number = |fd: c_int| fd.unsigned_abs();
    let attr = AttachAttr {
        target_fd: number(cgroup.as_fd().as_raw_fd()),
        attach_bpf_fd: number(program.as_fd().as_raw_fd()),
        attach_type: CGROUP_DEVICE,
        attach_flags: ALLOW_MULTI,
    };
    // SAFETY: `attr` has the size given and outlives the call; both descriptors are borrowed for as long.
    let result: c_long = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            PROG_ATTACH,
            &raw const attr,
            size_of::<AttachAttr>(),
        )
    };
    call::long(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn attributes_are_laid_out_as_in_the_headers() {
        crate::layout::assert_matches(
            "linux/bpf.h",
            "union bpf_attr",
            size_of::<LoadAttr>(),
            &[
                ("prog_type", offset_of!(LoadAttr, prog_type)),
                ("insns", offset_of!(LoadAttr, insns)),
                ("license", offset_of!(LoadAttr, license)),
                ("log_buf", offset_of!(LoadAttr, log_buf)),
                ("prog_flags", offset_of!(LoadAttr, prog_flags)),
                ("target_fd", offset_of!(AttachAttr, target_fd)),
                ("attach_bpf_fd", offset_of!(AttachAttr, attach_bpf_fd)),
                ("attach_type", offset_of!(AttachAttr, attach_type)),
                ("attach_flags", offset_of!(AttachAttr, attach_flags)),
            ],
        );
        crate::layout::assert_matches(
            "linux/bpf.h",
            "struct bpf_insn",
            size_of::<Instruction>(),
            &[
                ("code", offset_of!(Instruction, code)),
                ("off", offset_of!(Instruction, offset)),
                ("imm", offset_of!(Instruction, immediate)),
            ],
        );
    }

    #[test]
    fn root_device_program_decides_for_a_cgroup() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("needs root");
        }
        let instruction = |code, immediate| Instruction {
            code,
            registers: 0,
            offset: 0,
            immediate,
        };
        let allow_all = [instruction(0xb7, 1), instruction(0x95, 0)]; // r0 = 1; exit
        let program = match load_device_program(&allow_all) {
            Ok(program) => program,
            Err(Errno::NOSYS | Errno::PERM) => return eprintln!("no eBPF here"),
            Err(errno) => panic!("{errno}"),
        };
        let no_end = [instruction(0xb7, 1)];
        assert_eq!(load_device_program(&no_end).unwrap_err(), Errno::INVAL);
        let Some(cgroup) = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .into_iter()
            .find(|path| std::path::Path::new(path).join("cgroup.procs").exists())
        else {
            return eprintln!("no cgroup v2 here");
        };
        let directory = format!("{cgroup}/hull-sys-test-{}", std::process::id());
        std::fs::create_dir(&directory).unwrap();
        let attached = attach_device_program(std::fs::File::open(&directory).unwrap(), &program);
        std::fs::remove_dir(&directory).unwrap();
        attached.unwrap();
    }
}
