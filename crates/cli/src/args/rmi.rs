/// Remove images
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "rmi")]
pub struct Rmi {
    /// Remove an image by id though it has several names, and do not mind those that are not there
    #[arg(short, long)]
    pub force: bool,
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
}
