use hull_engine::request::{ContainerText, DetachKeys};

/// Start containers that were created or have stopped
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "start",
    after_help = "Examples:\n  hull start web db\n  hull start -ai job"
)]
pub struct Start {
    /// Stay attached to its output and pass signals on
    #[arg(short, long)]
    pub attach: bool,
    /// Attach your standard input as well
    #[arg(short, long)]
    pub interactive: bool,
    /// Leave the container with these keys instead of ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<DetachKeys>,
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<ContainerText>,
}
