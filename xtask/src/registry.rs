//! `cargo xtask registry DIR PORT`: Debian's docker-registry on loopback, to push to and pull from.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::{options::Options, run};

pub(crate) fn command(words: &[String]) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    let words = Options::new(words).rest()?;
    let [dir, port] = words.as_slice() else {
        bail!("give a directory and a port")
    };
    let port: u16 = port
        .parse()
        .with_context(|| format!("`{port}` is no port"))?;
    println!(
        "registry on 127.0.0.1:{port}, pid {}; interrupt to end it",
        std::process::id()
    );
    let failed = serve(Path::new(dir), port)?.exec();
    Err(failed).context("cannot start docker-registry")
}

/// Writes the registry's configuration and returns the command that serves it.
fn serve(dir: &Path, port: u16) -> Result<Command> {
    if !run::is_installed("docker-registry") {
        bail!("docker-registry is missing: install the package of that name");
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let dir = dir.canonicalize()?;
    let config = dir.join("registry.yml");
    std::fs::write(&config, configuration(&dir.join("data"), port))?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(config);
    Ok(command)
}

fn configuration(data: &Path, port: u16) -> String {
    format!(
        "version: 0.1\n\
         log: {{level: error, accesslog: {{disabled: true}}}}\n\
         storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
         http: {{addr: \"127.0.0.1:{port}\"}}\n",
        data.display()
    )
}
