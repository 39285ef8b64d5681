use hull_engine::request::ContainerText;

/// Let paused containers go on
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "unpause")]
pub struct Unpause {
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<ContainerText>,
}
