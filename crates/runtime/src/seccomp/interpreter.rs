//! Classic BPF as seccomp runs it, for tests: what would the kernel answer?

/// One instruction: code, jump if true, jump if false, operand.
pub(crate) type Raw = (u16, u8, u8, u32);

/// `struct seccomp_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) arch: u32,
    pub(crate) number: u32,
    pub(crate) arguments: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        let high = |value: u64| u32::try_from(value >> 32).expect("32 bits are left");
        let low = |value: u64| u32::try_from(value & 0xffff_ffff).expect("32 bits are left");
        match offset {
            0 => self.number,
            4 => self.arch,
            // The instruction pointer: no filter here asks.
            8 | 12 => 0,
            16..64 if offset.is_multiple_of(8) => low(self.arguments[(offset as usize - 16) / 8]),
            16..64 if offset % 8 == 4 => high(self.arguments[(offset as usize - 16) / 8]),
            _ => panic!("load at {offset}: the kernel refuses this filter"),
        }
    }
}

/// Runs `program`, which must be one the kernel would take, and returns its verdict and how many instructions it ran.
pub(crate) fn run(program: &[Raw], call: &Call) -> (u32, usize) {
    let (mut accumulator, mut at, mut steps) = (0_u32, 0_usize, 0_usize);
    loop {
        let (code, jt, jf, k) = program[at];
        steps += 1;
        let mut jump = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            0x20 => accumulator = call.word(k),
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => jump(accumulator == k),
            0x25 => jump(accumulator > k),
            0x35 => jump(accumulator >= k),
            0x45 => jump(accumulator & k != 0),
            0x06 => return (k, steps),
            _ => panic!(
                "instruction {code:#x}: not of seccomp's set, or not one Hull or libseccomp writes"
            ),
        }
        at += 1;
    }
}
