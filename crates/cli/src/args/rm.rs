use hull_engine::request::ContainerText;

/// Remove containers
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "rm",
    after_help = "Examples:\n  hull rm web\n  hull rm -f $(hull ps -aq)"
)]
pub struct Rm {
    /// Kill running containers first, and do not mind those that are not there
    #[arg(short, long)]
    pub force: bool,
    /// Remove their anonymous volumes as well
    #[arg(short, long)]
    pub volumes: bool,
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<ContainerText>,
}
