use hull_engine::request::ContainerText;

/// Freeze every process of running containers
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "pause")]
pub struct Pause {
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<ContainerText>,
}
