use hull_engine::request::ContainerText;

/// Show the published ports of a container
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "port",
    after_help = "Examples:\n  hull port web\n  hull port web 80/tcp"
)]
pub struct Port {
    /// Print a template for each port, or json
    #[arg(long)]
    pub format: Option<String>,
    #[arg(value_name = "CONTAINER")]
    pub container: ContainerText,
    #[arg(value_name = "PORT[/PROTO]")]
    pub port: Option<String>,
}
