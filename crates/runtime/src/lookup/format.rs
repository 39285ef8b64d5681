//! Reading the beginning of a program for the reason the kernel will not run it.
//!
//! The bytes are an image's: every offset is checked, and nothing is believed beyond a sentence for a person.

use std::path::Path;

use super::Problem;

/// Reads the beginning of a file for the reason it cannot be run; none if it looks as if it could.
pub(super) fn examine(
    head: &[u8],
    host: &str,
    exists: &dyn Fn(&Path) -> bool,
) -> Option<(Problem, String)> {
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
}
