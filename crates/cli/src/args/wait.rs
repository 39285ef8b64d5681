use hull_engine::request::ContainerText;

/// Wait until containers stop, and print their exit codes
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "wait")]
pub struct Wait {
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<ContainerText>,
}
