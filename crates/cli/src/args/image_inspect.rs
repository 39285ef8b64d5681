/// Print everything about images as JSON, or parts of it by a template
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "image inspect",
    after_help = "Examples:\n  hull image inspect debian:12\n  hull image inspect -f '{{json .Config}}' debian:12"
)]
pub struct ImageInspect {
    /// Print a Go template, or json in one line
    #[arg(short, long)]
    pub format: Option<String>,
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
}
