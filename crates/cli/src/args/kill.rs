use hull_engine::request::ContainerText;
use hull_types::Signal;

/// Send a signal to running containers: KILL unless another is named
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "kill",
    after_help = "Examples:\n  hull kill web\n  hull kill -s HUP web"
)]
pub struct Kill {
    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL", hide_default_value = true)]
    pub signal: Signal,
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<ContainerText>,
}
