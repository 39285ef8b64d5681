use std::path::PathBuf;

use hull_engine::request::ContainerText;

/// Write a container's files as a tar archive
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "export",
    after_help = "Examples:\n  hull export web | tar -t\n  hull export -o web.tar web"
)]
pub struct Export {
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[arg(value_name = "CONTAINER")]
    pub container: ContainerText,
}
