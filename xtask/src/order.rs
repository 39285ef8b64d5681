//! `cargo xtask order`: writes `crates/cli/start.ld`, by which the linker puts the code of a start side by side.
//!
//! ```text
//!   hull with its symbols ─▶ benches/order/first_use.c: every instruction of a start ─▶ functions, in order of first use
//!                                                                                         └─▶ names of sections ─▶ start.ld
//! ```
//! A function's symbol ends in a hash that changes with its crate, its compiler and its types. Where the name without it means
//! few other functions, that is what is written, and it stays true; where it means many, such as all of what one generic became,
//! the exact name is. What the linker does not find it does not miss: an old list makes starts slower and nothing else
//! (docs/adr/0022).

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::bench::ground::{Ground, IMAGE};
use crate::{binaries, options::Options, run, workspace};

const SOURCE: &str = "benches/order/first_use.c";
const SCRIPT: &str = "crates/cli/start.ld";

/// A name may bring along so much code beside what it is there for.
const TIMES: u64 = 3;
const BYTES: u64 = 2000;

const HEAD: &str = "\
/* What a start runs through, in the order in which it does: `cargo xtask order` writes this file, docs/adr/0022 says why.
 * Without it the start takes longer; nothing else depends on it.
 */
SECTIONS
{
  .text.start :
  {
";
const FOOT: &str = "  }\n}\nINSERT BEFORE .text;\n";

pub(crate) fn command(words: &[String]) -> Result<ExitCode> {
    Options::new(words).rest()?;
    let hull = with_symbols()?;
    let ground = Ground::lay(&hull)?;
    let functions = Functions::of(&hull)?;
    let names = functions.sections(&first_use(&ground)?);
    if names.is_empty() {
        bail!("no instruction of a start is in a function that has a name");
    }
    let mut script = HEAD.to_owned();
    for name in &names {
        writeln!(script, "    *(.text.{name})")?;
    }
    script += FOOT;
    let path = workspace::root().join(SCRIPT);
    std::fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{SCRIPT}: {} names", names.len());
    Ok(ExitCode::SUCCESS)
}

/// Builds `hull` as people do, but for the symbols.
fn with_symbols() -> Result<PathBuf> {
    let mut command = workspace::cargo();
    command.args([
        "rustc",
        "--release",
        "--package",
        "hull-cli",
        "--bin",
        "hull",
    ]);
    command.args(["--quiet", "--message-format=json-render-diagnostics"]);
    let text = run::checked(command.args(["--", "-C", "strip=none"]))?;
    let mut built = text.lines().filter_map(binaries::binary);
    let hull = built.find(|binary| binary.target == "hull");
    Ok(hull.context("cargo rustc made no program `hull`")?.path)
}

/// Returns the addresses of a start's instructions, in the order of their first use.
fn first_use(ground: &Ground) -> Result<Vec<u64>> {
    let dir = ground.directory("order")?;
    let program = dir.join("first_use");
    let source = workspace::root().join(SOURCE);
    run::checked(
        Command::new("cc")
            .args(["-O2", "-o"])
            .arg(&program)
            .arg(source),
    )?;
    let mut command = Command::new(&program);
    command.arg(ground.program());
    command.args(["run", "--rm", "--network", "none", IMAGE, "true"]);
    let output = command.env("HULL_ROOT", ground.root()).output()?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8(output.stdout)?;
    let addresses = text.lines().map(|line| u64::from_str_radix(line, 16));
    Ok(addresses.collect::<Result<_, _>>()?)
}

/// The functions of a program by their addresses.
#[derive(Debug, Default)]
struct Functions {
    symbols: BTreeMap<u64, (u64, String)>,
    /// How many bytes of code a shortened name means.
    meant: BTreeMap<String, u64>,
}

impl Functions {
    fn of(program: &Path) -> Result<Self> {
        let output = Command::new("nm").arg("-S").arg(program).output()?;
        Ok(Self::parse(&String::from_utf8(output.stdout)?))
    }

    /// Reads what nm(1) says: address, size, kind, name.
    fn parse(text: &str) -> Self {
        let mut functions = Self::default();
        for line in text.lines() {
            let cells: Vec<&str> = line.split_whitespace().collect();
            let [address, size, "t" | "T" | "w" | "W", name] = cells[..] else {
                continue;
            };
            let number = |text| u64::from_str_radix(text, 16).ok();
            let (Some(address), Some(size)) = (number(address), number(size)) else {
                continue;
            };
            if functions
                .symbols
                .insert(address, (size, name.to_owned()))
                .is_none()
            {
                *functions.meant.entry(shortened(name)).or_default() += size;
            }
        }
        functions
    }

    /// Returns the names of the sections that these addresses lie in, each once.
    fn sections(&self, addresses: &[u64]) -> Vec<String> {
        let mut used = Vec::new();
        let mut seen = HashSet::new();
        let mut wanted: BTreeMap<String, u64> = BTreeMap::new();
        for address in addresses {
            let Some((start, (size, name))) = self.symbols.range(..=address).next_back() else {
                continue;
            };
            // The C library has no section for each function.
            let is_rust = name.starts_with("_ZN") || name.starts_with("_R");
            if is_rust && *address < start + size && seen.insert(*start) {
                *wanted.entry(shortened(name)).or_default() += size;
                used.push(name);
            }
        }
        let mut sections = Vec::new();
        let mut named = HashSet::new();
        for name in used {
            let short = shortened(name);
            let few = self.meant[&short] <= TIMES * wanted[&short] + BYTES;
            let section = if few { short } else { name.clone() };
            if named.insert(section.clone()) {
                sections.push(section);
            }
        }
        sections
    }
}

/// Puts `*` where a symbol has hashes: of itself in the older of Rust's two manglings, of crates in the newer, of the object
/// that a link-time optimiser made it local to in both.
fn shortened(name: &str) -> String {
    let name = match name.split_once(".llvm.") {
        Some((name, _)) => format!("{name}*"),
        None => name.to_owned(),
    };
    if let Some((path, hash)) = name.rsplit_once("17h")
        && name.starts_with("_ZN")
        && hash.trim_end_matches('*').len() == 17
    {
        return format!("{path}17h*");
    }
    if !name.starts_with("_R") {
        return name;
    }
    let mut short = String::new();
    let mut rest = name.as_str();
    while let Some((before, after)) = rest.split_once("Cs") {
        short += before;
        rest = match after.split_once('_') {
            Some((hash, rest)) if hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                short += "Cs*_";
                rest
            }
            _ => {
                short += "Cs";
                after
            }
        };
    }
    short + rest
}

#[cfg(test)]
mod tests {
    use super::{Functions, shortened};

    const NAMES: &str = "\
0000000000400000 0000000000000010 t _ZN4core3ptr4drop17h0123456789abcdefE
0000000000400010 0000000000001000 t _ZN4core3ptr4drop17hfedcba9876543210E
0000000000401010 0000000000000020 T _ZN8hull_cli5front9carry_out17h0123456789abcdefE
0000000000401030 0000000000000020 T malloc
                 U nothing
";

    #[test]
    fn hashes_are_left_out_of_names() {
        for (name, short) in [
            ("_ZN3one17h0123456789abcdefE", "_ZN3one17h*"),
            ("_ZN3one17h0123456789abcdefE.llvm.7", "_ZN3one17h*"),
            (
                "_RNvNtCsgEmfK2I1SDS_4core3fmt5write",
                "_RNvNtCs*_4core3fmt5write",
            ),
            ("_RNvCsab_3stdCsz.llvm.12", "_RNvCs*_3stdCsz*"),
            ("malloc", "malloc"),
        ] {
            assert_eq!(shortened(name), short);
        }
    }

    #[test]
    fn functions_that_were_used_are_named_once_in_order() {
        let functions = Functions::parse(NAMES);
        let used = [0x40_1012, 0x40_0004, 0x40_0008, 0x40_1031, 0x50_0000];
        let names = [
            "_ZN8hull_cli5front9carry_out17h*",
            // So short a name means much that is not used.
            "_ZN4core3ptr4drop17h0123456789abcdefE",
        ];
        assert_eq!(functions.sections(&used), names);
    }
}
