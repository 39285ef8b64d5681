use super::filter::Filter;

/// List images
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "images",
    after_help = "Filters: reference, label, label!, dangling, before, since, until.\n\nExamples:\n  hull images\n  hull images debian\n  hull images --format '{{.Repository}}:{{.Tag}} {{.Size}}'"
)]
pub struct Images {
    /// Docker's switch for intermediate images, which Hull does not keep
    #[arg(short, long, hide = true)]
    pub all: bool,
    /// Show digests
    #[arg(long)]
    pub digests: bool,
    /// Show only those that match: NAME=VALUE
    #[arg(short, long, value_name = "FILTER")]
    pub filter: Vec<Filter>,
    /// Print json, a Go template, or `table` and a template
    #[arg(long)]
    pub format: Option<String>,
    /// Shorten nothing
    #[arg(long)]
    pub no_trunc: bool,
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
    #[arg(value_name = "NAME[:TAG]")]
    pub name: Option<String>,
}
