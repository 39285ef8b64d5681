use super::filter::Filter;

/// Remove stopped containers, saying which
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "container prune",
    after_help = "Filters: label, label!, until and those of `hull ps`."
)]
pub struct ContainerPrune {
    /// Remove only what matches: NAME=VALUE
    #[arg(long, value_name = "FILTER")]
    pub filter: Vec<Filter>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
}
