//! What must hold whatever bytes come in: a function for each reader of bytes that Hull did not write itself.
//!
//! ```text
//!              ┌─ fuzz/fuzz_targets/*.rs: libFuzzer chooses the bytes (`cargo xtask test --all`)
//! bytes ──▶ judge(bytes)
//!              └─ tests/seeds.rs: the seeds and their mutations, always the same (CI)
//! ```
//! A function returns when all is well, whether the bytes were understood or refused, and panics otherwise.
#![forbid(unsafe_code)]

mod archive;
mod attach;
mod image_config;
mod journal;
mod layer;
mod log;
mod manifest;
mod options;
mod order;
mod policy;
mod profile;
mod reference;
mod runtime_config;
mod scratch;
mod tar;
mod template;

pub use archive::archive;
pub use attach::attach;
pub use image_config::image_config;
pub use journal::journal;
pub use layer::layer;
pub use log::log;
pub use manifest::manifest;
pub use options::options;
pub use order::order;
pub use policy::policy;
pub use profile::profile;
pub use reference::reference;
pub use runtime_config::runtime_config;
pub use tar::tar;
pub use template::template;

/// One reader and what is asked of it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of its seeds' directory and of its program for libFuzzer.
    pub name: &'static str,
    pub judge: fn(&[u8]),
    /// How many mutations CI tries: many of what is only parsed, fewer of what writes files.
    pub mutations: u32,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target::dear("archive", archive),
    Target::cheap("attach", attach),
    Target::cheap("image_config", image_config),
    Target::cheap("journal", journal),
    Target::dear("layer", layer),
    Target::cheap("log", log),
    Target::cheap("manifest", manifest),
    Target::cheap("options", options),
    Target::cheap("order", order),
    Target::cheap("policy", policy),
    Target::dear("profile", profile),
    Target::cheap("reference", reference),
    Target::cheap("runtime_config", runtime_config),
    Target::cheap("tar", tar),
    Target::cheap("template", template),
];

impl Target {
    const fn cheap(name: &'static str, judge: fn(&[u8])) -> Self {
        Self {
            name,
            judge,
            mutations: 20_000,
        }
    }

    const fn dear(name: &'static str, judge: fn(&[u8])) -> Self {
        Self {
            mutations: 500,
            ..Self::cheap(name, judge)
        }
    }
}

/// Asks of an error what every front door does with it: to be said, with its causes, in one piece each.
fn explain(error: &dyn std::error::Error) {
    let mut next = Some(error);
    while let Some(error) = next {
        assert!(
            !error.to_string().is_empty(),
            "an error that says nothing: {error:?}"
        );
        next = error.source();
    }
}
