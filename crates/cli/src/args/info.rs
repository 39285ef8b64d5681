/// Show how many containers and images there are, and how Hull is set up
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "info")]
pub struct Info {
    /// Print a Go template, or json
    #[arg(short, long)]
    pub format: Option<String>,
}
