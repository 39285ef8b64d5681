use hull_engine::request::ContainerText;

/// Show the processes of a running container
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "top",
    override_usage = "hull top [OPTIONS] CONTAINER [-o FIELD,...]",
    after_help = "\
Fields: uid, pid, ppid, nspid (the number inside), c, stime, tty, time, stat, rss, vsz, nlwp, comm, cmd.
Hull reads them itself: of ps's own options `-o`, `-ef` and `aux` are known.

Examples:
  hull top web
  hull top web -o pid,rss,cmd"
)]
pub struct Top {
    /// Print a template, or json
    #[arg(long)]
    pub format: Option<String>,
    #[arg(value_name = "CONTAINER")]
    pub container: ContainerText,
    #[arg(
        value_name = "PS OPTION",
        trailing_var_arg = true,
        allow_hyphen_values = true,
        hide = true
    )]
    pub ps: Vec<String>,
}
