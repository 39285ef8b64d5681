use hull_engine::request::{ContainerText, Grace};
use hull_types::Signal;

/// Stop containers and start them again
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "restart")]
pub struct Restart {
    /// Ask with this signal instead of the container's own
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
