use std::{path::PathBuf, str::FromStr};

use hull_engine::request::{ContainerText, InvalidRequest};

/// Copy files between a container and the host
#[derive(Clone, Debug, clap::Parser)]
#[command(
    name = "cp",
    override_usage = "hull cp [OPTIONS] CONTAINER:PATH PATH|-\n       hull cp [OPTIONS] PATH|- CONTAINER:PATH",
    after_help = "\
The container may be stopped. - is a tar archive on standard input or output.

Examples:
  hull cp web:/etc/nginx ./conf
  hull cp ./index.html web:/srv/
  tar -c . | hull cp - web:/srv"
)]
pub struct Copy {
    /// Keep the owners
    #[arg(short, long)]
    pub archive: bool,
    /// Copy what a symbolic link at the source points to
    #[arg(short = 'L', long)]
    pub follow_link: bool,
    /// Show no progress
    #[arg(short, long)]
    pub quiet: bool,
    #[arg(value_name = "SOURCE")]
    pub from: Place,
    #[arg(value_name = "TARGET")]
    pub to: Place,
}

/// One end of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `CONTAINER:PATH`
    Container {
        container: ContainerText,
        path: PathBuf,
    },
    Host(PathBuf),
    /// `-`: a tar archive on a standard stream.
    Archive,
}

impl FromStr for Place {
    type Err = InvalidRequest;
    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        match text.split_once(':') {
            _ if text == "-" => Ok(Self::Archive),
            // A colon after a slash or dot belongs to a file's name: docker's rule.
            Some((container, path)) if !container.contains('/') && !text.starts_with('.') => {
                Ok(Self::Container {
                    container: container.parse()?,
                    path: path.into(),
                })
            }
            _ if text.is_empty() => Err(InvalidRequest::Empty("path")),
            _ => Ok(Self::Host(text.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart_as_docker_does() {
        let container = |name: &str, path: &str| Place::Container {
            container: name.parse().unwrap(),
            path: path.into(),
        };
        for (text, place) in [
            ("web:/etc", container("web", "/etc")),
            ("web:rel", container("web", "rel")),
            ("web:", container("web", "")),
            ("./a:b", Place::Host("./a:b".into())),
            ("/tmp/a:b", Place::Host("/tmp/a:b".into())),
            ("file", Place::Host("file".into())),
            ("-", Place::Archive),
        ] {
            assert_eq!(text.parse::<Place>().unwrap(), place, "{text}");
        }
        assert!("".parse::<Place>().is_err());
        assert!(":/etc".parse::<Place>().is_err());
    }
}
