use hull_engine::request::ContainerText;

/// Make an image of what a container has changed
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "commit",
    after_help = "Examples:\n  hull commit -m 'with curl' web web:curl\n  hull commit -c 'ENV LANG=C.UTF-8' -c 'CMD [\"sh\"]' web"
)]
pub struct Commit {
    /// Say who made it
    #[arg(short, long)]
    pub author: Option<String>,
    /// Change its configuration by a Dockerfile instruction
    #[arg(short, long, value_name = "INSTRUCTION")]
    pub change: Vec<String>,
    /// Say what was done
    #[arg(short, long)]
    pub message: Option<String>,
    /// Pause the container meanwhile (the default)
    #[arg(short, long, value_name = "BOOL",
        default_value = "true",
        hide_default_value = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        value_parser = super::truth)]
    pub pause: bool,
    #[arg(value_name = "CONTAINER")]
    pub container: ContainerText,
    #[arg(value_name = "NAME[:TAG]")]
    pub name: Option<String>,
}
