/// Say what this host can do for containers, and what it lacks
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "doctor")]
pub struct Doctor {
    /// Print a template, or json
    #[arg(long)]
    pub format: Option<String>,
}
