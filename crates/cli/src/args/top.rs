use hull_engine::request::ContainerText;

/// Show the processes of a running container
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "top", override_usage = "hull top [OPTIONS] CONTAINER")]
pub struct Top {
    /// Print a template, or json
    #[arg(long)]
    pub format: Option<String>,
    #[arg(value_name = "CONTAINER")]
    pub container: ContainerText,
}
