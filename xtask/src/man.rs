//! `cargo xtask man DIR`: manual pages and shell completions, which the program writes itself.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::{binaries, options::Options, run};

const SHELLS: [(&str, &str); 3] = [
    ("bash", "hull.bash"),
    ("zsh", "_hull"),
    ("fish", "hull.fish"),
];

pub(crate) fn command(words: &[String]) -> Result<ExitCode> {
    let words = Options::new(words).rest()?;
    let [dir] = words.as_slice() else {
        bail!("give a directory")
    };
    let dir = Path::new(dir);
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let built = binaries::build(&["build", "--package", "hull-cli"])?;
    let hull = &built
        .iter()
        .find(|binary| binary.target == "hull")
        .context("hull-cli makes no program `hull`")?
        .path;
    run::checked(Command::new(hull).arg("man").arg(dir))?;
    for (shell, file) in SHELLS {
        let text = run::checked(Command::new(hull).args(["completion", shell]))?;
        std::fs::write(dir.join(file), text)?;
    }
    println!("written to {}", dir.display());
    Ok(ExitCode::SUCCESS)
}
