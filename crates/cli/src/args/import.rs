use std::path::PathBuf;

use hull_types::Platform;

/// Make an image of a root file system: a tar archive or a directory
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "import",
    after_help = "Examples:\n  tar -C rootfs -c . | hull import - base\n  hull import -c 'CMD [\"/bin/bash\"]' debian.tar.xz debian:mine\n  hull import ./rootfs base"
)]
pub struct Import {
    /// Change its configuration by a Dockerfile instruction
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// Say where it comes from
    #[arg(short, long)]
    pub message: Option<String>,
    /// Say which platform it is for
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<Platform>,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    /// A tar archive (compressed or not), a directory, or - for standard input
    #[arg(value_name = "PATH|-")]
    pub source: PathBuf,
    #[arg(value_name = "NAME[:TAG]")]
    pub name: Option<String>,
}
