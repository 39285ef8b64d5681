/// Remove what no record names: leftovers of crashes, layers and blobs of removed images
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "gc",
    after_help = "Nothing that a container or an image needs is touched; `hull prune` removes those that nobody uses."
)]
pub struct Gc {
    /// Print a Go template, or json
    #[arg(long)]
    pub format: Option<String>,
}
