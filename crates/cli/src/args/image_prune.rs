use super::filter::Filter;

/// Remove images that no container uses
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "image prune",
    after_help = "Without --all only images without a name go. Filters: label, label!, until.\n\nExamples:\n  hull image prune\n  hull image prune -af --filter until=24h"
)]
pub struct ImagePrune {
    /// Remove those that have names as well
    #[arg(short, long)]
    pub all: bool,
    /// Remove only what matches: NAME=VALUE
    #[arg(long, value_name = "FILTER")]
    pub filter: Vec<Filter>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
}
