use hull_engine::request::ContainerText;

/// Show which files of a container differ from its image: A added, C changed, D deleted
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "diff")]
pub struct Diff {
    /// Print a template for each file, or json
    #[arg(long)]
    pub format: Option<String>,
    #[arg(value_name = "CONTAINER")]
    pub container: ContainerText,
}
