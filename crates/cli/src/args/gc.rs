/// Remove what no record names: leftovers of crashes, layers and blobs of removed images
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "gc",
    after_help = "Nothing that a container or an image needs is touched: see prune for those."
)]
pub struct Gc {
    /// Say what would go, and remove nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Print json
    #[arg(long)]
    pub format: Option<String>,
}
