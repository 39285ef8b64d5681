use super::filter::Filter;

/// Remove stopped containers and unused images, saying what
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "prune",
    after_help = "Without --all only images without a name go. Filters: label, label!, until.\n\nExamples:\n  hull prune\n  hull prune -af --filter until=24h"
)]
pub struct Prune {
    /// Remove every image that no container uses, not only those without a name
    #[arg(short, long)]
    pub all: bool,
    /// Remove anonymous volumes that no container uses as well
    #[arg(long)]
    pub volumes: bool,
    /// Remove only what matches: NAME=VALUE
    #[arg(long, value_name = "FILTER")]
    pub filter: Vec<Filter>,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// Say what would go, and remove nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Print json
    #[arg(long)]
    pub format: Option<String>,
}
