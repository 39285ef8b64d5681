/// Print Hull's version
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "version",
    after_help = "Examples:\n  hull version -f '{{.Version}}'"
)]
pub struct Version {
    /// Print a Go template, or json
    #[arg(short, long)]
    pub format: Option<String>,
}
