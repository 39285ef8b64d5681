use std::process::ExitCode;

use hull_engine::{ContainerFilter, Engine, Listed};
use hull_types::Timestamp;
use serde_json::{Value, json};

use super::Perform;
use crate::{
    Failure,
    args::{Globals, Ps},
    format::{List, human},
    output,
};

/// What `ps` prints.
const LIST: List = List {
    fields: &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("State", "STATE"),
        ("Ports", "PORTS"),
        ("Names", "NAMES"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("Networks", "NETWORKS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Size", "SIZE"),
    ],
    usual: USUAL,
};
const USUAL: &str =
    r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const WITH_SIZE: &str = r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}";

impl Perform for Ps {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let filters = self.filters(&engine)?;
        let (listed, unreadable) = engine.list()?;
        let chosen = self.chosen(&filters, listed);
        let text = if self.quiet && self.format.is_none() {
            let ids = chosen.iter().map(|listed| match self.no_trunc {
                true => format!("{}\n", listed.container().id),
                false => format!("{}\n", listed.container().id.short()),
            });
            ids.collect()
        } else {
            let now = Timestamp::now();
            let sized = self.size || self.asks_size();
            let rows: Vec<Value> = chosen
                .iter()
                .map(|listed| {
                    let size = sized.then(|| engine.sizes(listed));
                    shown(engine.row(listed, now), size, self.no_trunc)
                })
                .collect();
            let list = List {
                usual: if self.size { WITH_SIZE } else { USUAL },
                ..LIST
            };
            list.text(self.format.as_deref(), &rows)?
        };
        output::print(&text)?;
        // One that cannot be read hides nobody else, and is not kept quiet about.
        for error in unreadable {
            output::complain(&Failure::from(error).report());
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Ps {
    fn filters(&self, engine: &Engine) -> Result<Vec<ContainerFilter>, Failure> {
        let filters = self.filter.iter();
        filters
            .map(|filter| Ok(engine.container_filter(&filter.name, &filter.value)?))
            .collect()
    }

    /// Chooses among containers, newest first.
    fn chosen(&self, filters: &[ContainerFilter], mut listed: Vec<Listed>) -> Vec<Listed> {
        let last = match self.last {
            Some(last) => usize::try_from(last).ok(),
            None => self.latest.then_some(1),
        };
        let every = self.all || last.is_some() || ContainerFilter::chooses_state(filters);
        listed.retain(|listed| {
            // Lost ones use the machine: nobody may overlook them.
            (every || listed.is_alive()) && ContainerFilter::all_admit(filters, listed)
        });
        listed.truncate(last.unwrap_or(usize::MAX));
        listed
    }

    fn asks_size(&self) -> bool {
        let format = self.format.as_deref();
        format.is_some_and(|format| format.contains(".Size"))
    }
}

/// Makes a row what lists show: short, unless nothing is to be shortened, with the command in quotes.
fn shown(mut row: Value, size: Option<(u64, u64)>, whole: bool) -> Value {
    let text = |row: &Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let (id, command, mounts) = (
        text(&row, "ID"),
        text(&row, "Command"),
        text(&row, "Mounts"),
    );
    row["Command"] = quoted(&command, if whole { usize::MAX } else { 20 }).into();
    if !whole {
        row["ID"] = id.chars().take(12).collect::<String>().into();
        let mounts: Vec<String> = mounts.split(',').map(|mount| cut(mount, 15)).collect();
        row["Mounts"] = mounts.join(",").into();
    }
    if let Ok(created) = text(&row, "CreatedAt").parse() {
        row["CreatedAt"] = human::moment(created).into();
    }
    row["Size"] = match size {
        Some((own, all)) => json!(format!(
            "{} (virtual {})",
            human::size(own),
            human::size(all)
        )),
        None => json!("0B"),
    };
    row
}

/// Writes a command in quotes, at most so many characters of it.
fn quoted(command: &str, most: usize) -> String {
    let mut text = String::from('"');
    for character in cut(command, most).chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            // A container's words must not steer the reader's terminal.
            control if control.is_control() => text.extend(control.escape_default()),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

/// Cuts a text to so many characters, the last of which then says that there were more.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_cut_and_quoted() {
        for (command, expected) in [
            ("sleep 10", "\"sleep 10\""),
            ("/docker-entrypoint.sh nginx -g", "\"/docker-entrypoint.…\""),
            ("sh -c 'echo \"x\"'", "\"sh -c 'echo \\\"x\\\"'\""),
            ("a\x1b[31m\n", "\"a\\u{1b}[31m\\n\""),
        ] {
            assert_eq!(quoted(command, 20), expected);
        }
    }

    fn row(name: &str, command: &str, status: &str) -> Value {
        json!({
            "ID": "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "Names": name, "Image": "debian:12", "Command": command,
            "CreatedAt": "2026-01-31T09:00:00.000000000Z", "RunningFor": "2 minutes ago",
            "State": "running", "Status": status, "Ports": "0.0.0.0:8080->80/tcp",
            "Labels": "app=shop", "Mounts": "/srv/a-rather-long/place,/tmp", "Networks": "bridge",
            "LocalVolumes": 0,
        })
    }

    #[test]
    fn the_table_is_as_reviewed() {
        let rows = [
            shown(
                row("web", "nginx -g 'daemon off;'", "Up 2 minutes"),
                None,
                false,
            ),
            shown(row("job", "true", "Exited (0) 1 second ago"), None, false),
        ];
        insta::assert_snapshot!(LIST.text(None, &rows).unwrap());
        let whole = shown(
            row("web", "nginx -g 'daemon off;'", "Up"),
            Some((1000, 5_000_000)),
            true,
        );
        insta::assert_snapshot!(LIST.text(Some("json"), &[whole]).unwrap());
        let wide = r"table {{.Names}}\t{{.CreatedAt}}\t{{.Mounts}}\t{{.Size}}";
        insta::assert_snapshot!(LIST.text(Some(wide), &rows).unwrap());
    }
}
