use hull_types::Platform;

/// Fetch an image from a registry
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "pull",
    after_help = "A name without a registry means docker.io. Plain HTTP is spoken to loopback addresses and to registries named here or in the configuration.\n\nExamples:\n  hull pull debian:12\n  hull pull localhost:5000/shop@sha256:…"
)]
pub struct Pull {
    /// Speak plain HTTP to this registry (loopback needs no naming)
    #[arg(long, value_name = "HOST")]
    pub insecure_registry: Vec<String>,
    /// Take the image for another platform, such as linux/arm64
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<Platform>,
    /// Print only the image's name
    #[arg(short, long)]
    pub quiet: bool,
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    pub name: String,
}
