/// Print everything about containers, images or volumes as JSON, or parts of it by a template
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "inspect",
    after_help = "\
Examples:
  hull inspect web
  hull inspect -f '{{.State.Status}} {{.State.Pid}}' web
  hull inspect -f '{{range .Mounts}}{{.Source}} {{end}}' web
  hull inspect --type image -f '{{json .Config}}' debian:12"
)]
pub struct Inspect {
    /// Print a Go template, or json in one line
    #[arg(short, long)]
    pub format: Option<String>,
    /// Look only for containers, only for images or only for volumes
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: Option<Kind>,
    /// Add the size of the container's files
    #[arg(short, long)]
    pub size: bool,
    #[arg(value_name = "NAME|ID", required = true)]
    pub names: Vec<String>,
}

/// What `inspect` looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Container,
    Image,
    Volume,
}
