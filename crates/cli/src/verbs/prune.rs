use std::process::ExitCode;

use hull_engine::{ContainerFilter, Engine, ImageFilter, Swept};
use serde_json::json;

use super::{Perform, confirm::confirmed, images, rmi};
use crate::{
    Failure,
    args::{ContainerPrune, Globals, Prune, filter::Filter},
    format::human,
    output,
};

impl Perform for Prune {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let containers = container_filters(&engine, &self.filter)?;
        let with_images = engine.caller().is_root();
        let images = match with_images {
            true => images::filters(&engine, &self.filter)?,
            false => Vec::new(),
        };
        if self.dry_run {
            return self.only_say(&engine, &containers, &images, with_images);
        }
        if !self.force && !confirmed(self.warning())? {
            return Ok(ExitCode::SUCCESS);
        }
        let gone = engine.prune_containers(&containers)?;
        let volumes = match self.volumes {
            true => engine.prune_volumes(false)?,
            false => Swept::default(),
        };
        let (images, image_bytes) = match with_images {
            true => {
                let removed = engine.prune_images(self.all, &images)?;
                (rmi::lines(&engine, &removed)?, removed.bytes)
            }
            false => (Vec::new(), 0),
        };
        let bytes = gone.bytes + volumes.bytes + image_bytes;
        let text = match self.format.as_deref() {
            Some(_) => {
                let value = json!({
                    "Containers": gone.removed, "Volumes": volumes.removed, "Images": images, "Bytes": bytes,
                });
                format!("{value}\n")
            }
            None => report(
                &[
                    ("Deleted Containers", gone.removed),
                    ("Deleted Volumes", volumes.removed),
                    ("Deleted Images", images),
                ],
                bytes,
            ),
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Prune {
    fn warning(&self) -> &'static str {
        match (self.all, self.volumes) {
            (false, false) => {
                "This will remove all stopped containers, and all images without a name that no container uses."
            }
            (true, false) => {
                "This will remove all stopped containers, and all images that no container uses."
            }
            (false, true) => {
                "This will remove all stopped containers, all anonymous volumes that no container uses, and all images without a name that no container uses."
            }
            (true, true) => {
                "This will remove all stopped containers, all anonymous volumes that no container uses, and all images that no container uses."
            }
        }
    }

    /// Says what would go. (An image whose last container would go is not yet among them.)
    fn only_say(
        &self,
        engine: &Engine,
        containers: &[ContainerFilter],
        images: &[ImageFilter],
        with_images: bool,
    ) -> Result<ExitCode, Failure> {
        let (mut names, mut bytes) = (Vec::new(), 0);
        for listed in engine.stopped_containers(containers)? {
            names.push(listed.container().name.to_string());
            bytes += engine.sizes(&listed).0;
        }
        let images = match with_images {
            true => engine.unused_images(self.all, images)?,
            false => Vec::new(),
        };
        let images = images.iter().map(|image| {
            let name = image.names.first();
            name.map_or_else(|| image.id.to_string(), ToString::to_string)
        });
        let text = report(
            &[
                ("Containers that would go", names),
                ("Images that would go", images.collect()),
            ],
            bytes,
        );
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Perform for ContainerPrune {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let filters = container_filters(&engine, &self.filter)?;
        if !self.force && !confirmed("This will remove all stopped containers.")? {
            return Ok(ExitCode::SUCCESS);
        }
        let gone = engine.prune_containers(&filters)?;
        output::print(&report(&[("Deleted Containers", gone.removed)], gone.bytes))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn container_filters(engine: &Engine, filters: &[Filter]) -> Result<Vec<ContainerFilter>, Failure> {
    filters
        .iter()
        .map(|filter| Ok(engine.container_filter(&filter.name, &filter.value)?))
        .collect()
}

/// Writes what went, by sort, and how much that was.
pub(super) fn report(sorts: &[(&str, Vec<String>)], bytes: u64) -> String {
    let mut text = String::new();
    for (title, names) in sorts {
        if !names.is_empty() {
            text.push_str(&format!("{title}:\n{}\n\n", names.join("\n")));
        }
    }
    text + &format!("Total reclaimed space: {}\n", human::size(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_name_what_went() {
        let sorts = [
            ("Deleted Containers", vec!["a".to_owned(), "b".to_owned()]),
            ("Deleted Images", Vec::new()),
        ];
        assert_eq!(
            report(&sorts, 1500),
            "Deleted Containers:\na\nb\n\nTotal reclaimed space: 1.5kB\n"
        );
        assert_eq!(report(&[], 0), "Total reclaimed space: 0B\n");
    }
}
