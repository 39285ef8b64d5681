use std::path::PathBuf;

use hull_types::Platform;

/// Take images from an archive: OCI layout (directory or tar) or `docker save`
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "load",
    after_help = "The format and the compression (gzip, zstd, bzip2, xz) are recognised by what is inside.\n\nExamples:\n  docker save debian:12 | hull load\n  hull load -i shop.tar.zst\n  hull load ./layout"
)]
pub struct Load {
    /// Read this file or directory instead of standard input
    #[arg(short, long, value_name = "PATH")]
    pub input: Option<PathBuf>,
    /// Take only the image for this platform
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<Platform>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// The same as --input
    #[arg(value_name = "PATH", conflicts_with = "input")]
    pub path: Option<PathBuf>,
}
