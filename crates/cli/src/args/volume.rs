//! `hull volume …`: five small verbs of one noun.

/// List volumes
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "volume ls")]
pub struct VolumeList {
    /// Print json, a Go template, or `table` and a template
    #[arg(long)]
    pub format: Option<String>,
    /// Print names only
    #[arg(short, long)]
    pub quiet: bool,
}

/// Make a volume, and print its name
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "volume create")]
pub struct VolumeCreate {
    #[arg(value_name = "VOLUME")]
    pub name: String,
}

/// Print everything about volumes as JSON, or parts of it by a template
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "volume inspect")]
pub struct VolumeInspect {
    /// Print a Go template, or json in one line
    #[arg(short, long)]
    pub format: Option<String>,
    #[arg(value_name = "VOLUME", required = true)]
    pub names: Vec<String>,
}

/// Remove volumes that no container has
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "volume rm")]
pub struct VolumeRemove {
    /// Do not mind those that are not there
    #[arg(short, long)]
    pub force: bool,
    #[arg(value_name = "VOLUME", required = true)]
    pub names: Vec<String>,
}

/// Remove the volumes that no container has, saying which
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "volume prune",
    after_help = "Without --all only volumes that nobody named go."
)]
pub struct VolumePrune {
    /// Remove those with names as well
    #[arg(short, long)]
    pub all: bool,
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
}
