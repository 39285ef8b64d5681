/// Give an image another name
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "tag")]
pub struct Tag {
    #[arg(value_name = "IMAGE")]
    pub image: String,
    #[arg(value_name = "NEW_NAME[:TAG]")]
    pub name: String,
}
