use hull_engine::request::ContainerText;
use hull_types::ContainerName;

/// Give a container another name
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "rename")]
pub struct Rename {
    #[arg(value_name = "CONTAINER")]
    pub container: ContainerText,
    #[arg(value_name = "NEW_NAME")]
    pub name: ContainerName,
}
