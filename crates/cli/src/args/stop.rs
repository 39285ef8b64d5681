use hull_engine::request::{ContainerText, Grace};
use hull_types::Signal;

/// Stop running containers: ask with a signal, then kill
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "stop",
    after_help = "Examples:\n  hull stop web\n  hull stop -t 30 -s INT db"
)]
pub struct Stop {
    /// Ask with this signal instead of the container's own (TERM unless it says otherwise)
    #[arg(short, long)]
    pub signal: Option<Signal>,
    /// Kill after this long instead of 10 seconds; -1 never
    #[arg(
        short,
        long,
        alias = "time",
        value_name = "SECONDS",
        allow_hyphen_values = true
    )]
    pub timeout: Option<Grace>,
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<ContainerText>,
}
