use super::filter::Filter;

/// List containers
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "ps",
    after_help = "\
Filters: name, id, label, status, exited, ancestor, before, since, volume, network, publish, expose.

Examples:
  hull ps -a
  hull ps -q --filter status=exited --filter label=app=shop
  hull ps --format 'table {{.Names}}\\t{{.Status}}'
  hull ps --format json"
)]
pub struct Ps {
    /// Show stopped containers too
    #[arg(short, long)]
    pub all: bool,
    /// Show only those that match: NAME=VALUE
    #[arg(short, long, value_name = "FILTER")]
    pub filter: Vec<Filter>,
    /// Print json, a Go template, or `table` and a template
    #[arg(long)]
    pub format: Option<String>,
    /// Show the NUMBER last created, whatever their state
    #[arg(short = 'n', long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub last: Option<i64>,
    /// Show the last created, whatever its state
    #[arg(short, long)]
    pub latest: bool,
    /// Shorten nothing
    #[arg(long)]
    pub no_trunc: bool,
    /// Print ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Show how much they have written
    #[arg(short, long)]
    pub size: bool,
}
