use std::path::PathBuf;

/// Write images into one archive
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "save",
    after_help = "Examples:\n  hull save debian:12 | docker load\n  hull save --format oci-archive -o shop.tar shop:1 shop:2"
)]
pub struct Save {
    /// The archive's format
    #[arg(long, value_enum, default_value_t = ArchiveFormat::DockerArchive)]
    pub format: ArchiveFormat,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
}

/// How images are archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ArchiveFormat {
    /// What `docker load` reads; new dockers and skopeo read it as an OCI layout too
    DockerArchive,
    /// An OCI image layout in a tar archive
    OciArchive,
}
