use hull_engine::request::{ContainerText, DetachKeys};

/// Attach your standard streams to a running container
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "attach",
    after_help = "Leave with ctrl-p ctrl-q: the container goes on. Closing your terminal does not hurt it either."
)]
pub struct Attach {
    /// Do not attach your standard input
    #[arg(long)]
    pub no_stdin: bool,
    /// Leave the container with these keys instead of ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    pub detach_keys: Option<DetachKeys>,
    /// Pass signals on to the container (the default)
    #[arg(long, value_name = "BOOL",
        default_value = "true",
        hide_default_value = true,
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        value_parser = super::truth)]
    pub sig_proxy: bool,
    #[arg(value_name = "CONTAINER")]
    pub container: ContainerText,
}
