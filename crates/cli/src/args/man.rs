use std::path::PathBuf;

/// Write the manual pages into a directory
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "man",
    after_help = "Examples:\n  hull man /usr/local/share/man/man1"
)]
pub struct Man {
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}
