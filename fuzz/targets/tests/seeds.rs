//! The seeds, and mutations of them that are the same in every run: what CI has time for of fuzzing.
#![expect(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use hull_fuzz_targets::{TARGETS, Target};

#[test]
fn every_target_has_a_program_and_seeds() {
    let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    let stems = |dir: &str| {
        let files = files(&fuzz().join(dir)).into_iter();
        let stem = |path: PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
        files.filter_map(stem).collect::<Vec<_>>()
    };
    assert_eq!(stems("fuzz_targets"), names);
    assert_eq!(stems("seeds"), names);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")));
        assert!(!seeds(name).is_empty(), "{name}");
    }
}

macro_rules! targets {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            let target = TARGETS.iter().find(|target| target.name == stringify!($name));
            hold(target.expect("a target of this name"));
        }
    )*};
}

targets! {
    archive attach image_config journal layer log manifest options order policy profile reference
    runtime_config tar template
}

fn hold(target: &Target) {
    let seeds = seeds(target.name);
    for (path, bytes) in &seeds {
        attempt(target, &format!("{}", path.display()), bytes);
    }
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for number in 0..target.mutations {
        let (path, seed) = &seeds[chance.below(seeds.len())];
        let (_, other) = &seeds[chance.below(seeds.len())];
        let mut bytes = seed.clone();
        for _ in 0..=chance.below(4) {
            mutate(&mut bytes, other, &mut chance);
        }
        attempt(
            target,
            &format!("mutation {number} of {}", path.display()),
            &bytes,
        );
    }
}

fn attempt(target: &Target, what: &str, bytes: &[u8]) {
    let outcome = std::panic::catch_unwind(|| (target.judge)(bytes));
    if outcome.is_err() {
        let found = fuzz().join(format!("artifacts/{}/found", target.name));
        fs::create_dir_all(found.parent().unwrap()).unwrap();
        #[expect(clippy::disallowed_methods, reason = "a finding, to be looked at")]
        fs::write(&found, bytes).unwrap();
        panic!("{}: {what} (kept as {})", target.name, found.display());
    }
}

/// Changes something, as libFuzzer would.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], chance: &mut Chance) {
    const LIVELY: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\xff",
        b"/",
        b"../",
        b"\"",
        b"-1",
        b"null",
        b"{}",
        b"99999999999",
        b"\n",
        b":",
    ];
    let at = chance.below(bytes.len() + 1);
    let end = (at + chance.below(16)).min(bytes.len());
    match chance.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << chance.below(8),
        1 if at < bytes.len() => bytes[at] = chance.byte(),
        2 => bytes.truncate(at),
        3 => {
            bytes.splice(at..end, LIVELY[chance.below(LIVELY.len())].iter().copied());
        }
        4 => {
            let copied = bytes[at..end].to_vec();
            let to = chance.below(bytes.len() + 1);
            bytes.splice(to..to, copied);
        }
        5 => {
            let from = chance.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        _ => {
            bytes.drain(at..end);
        }
    }
}

/// Numbers that are the same each time (xorshift64*).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let files = files(&fuzz().join("seeds").join(name)).into_iter();
    files
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn fuzz() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
