/// Print a script that completes Hull's commands in a shell
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "completion",
    after_help = "\
Examples:
  hull completion bash > /etc/bash_completion.d/hull
  hull completion zsh > \"${fpath[1]}/_hull\"
  hull completion fish > ~/.config/fish/completions/hull.fish"
)]
pub struct Completion {
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// A shell whose completion Hull speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}
