use std::process::ExitCode;

use hull_engine::{Engine, EngineError, ImageFilter, ImageRow};
use hull_types::{Digest, Timestamp};
use serde_json::{Value, json};

use super::Perform;
use crate::{
    Failure,
    args::{Globals, Images, filter::Filter},
    format::{List, human},
    output,
};

const FIELDS: &[(&str, &str)] = &[
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("ID", "IMAGE ID"),
    ("Digest", "DIGEST"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("Size", "SIZE"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("Containers", "CONTAINERS"),
];

const USUAL: List = List {
    fields: FIELDS,
    usual: "{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
};

const WITH_DIGESTS: List = List {
    fields: FIELDS,
    usual: "{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}",
};

const IDS: &str = "{{.ID}}";

impl Perform for Images {
    fn perform(self, globals: &Globals) -> Result<ExitCode, Failure> {
        let engine = globals.engine()?;
        let mut wanted = filters(&engine, &self.filter)?;
        wanted.extend(self.name.map(ImageFilter::Reference));
        let found = engine.image_rows(&wanted)?;
        for (digest, error) in found.broken {
            let failure = Failure::from(EngineError::from(error));
            output::complain(&format!(
                "warning: image {digest} cannot be used\n{}",
                failure.report()
            ));
        }
        let mut rows: Vec<Value> = Vec::with_capacity(found.rows.len());
        for shown in &found.rows {
            let row = row(shown, self.no_trunc);
            // Under its second name an image has no second id.
            if !self.quiet || rows.iter().all(|other| other["ID"] != row["ID"]) {
                rows.push(row);
            }
        }
        let list = if self.digests { WITH_DIGESTS } else { USUAL };
        let format = match self.format.as_deref() {
            None if self.quiet => Some(IDS),
            format => format,
        };
        output::print(&list.text(format, &rows)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Understands filters as they were typed.
pub(super) fn filters(engine: &Engine, typed: &[Filter]) -> Result<Vec<ImageFilter>, EngineError> {
    let filters = typed.iter();
    filters
        .map(|filter| engine.image_filter(&filter.name, &filter.value))
        .collect()
}

/// Returns a line with docker's fields. What docker works out only for `system df` is `N/A`, as it is there.
fn row(row: &ImageRow, whole: bool) -> Value {
    let size = human::size(row.size);
    json!({
        "Repository": row.repository,
        "Tag": row.tag,
        "ID": id(&row.id, whole),
        "Digest": row.digest,
        "CreatedAt": row.created_at.map_or_else(|| "N/A".to_owned(), moment),
        "CreatedSince": row.created_since,
        "Size": size,
        "VirtualSize": size,
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
        "Containers": row.containers.to_string(),
    })
}

fn id(id: &Digest, whole: bool) -> String {
    if whole {
        return id.to_string();
    }
    id.hex().chars().take(12).collect()
}

/// Writes a moment as docker's lists do: `2026-01-31 09:00:00 +0000 UTC`.
fn moment(moment: Timestamp) -> String {
    let text = moment.to_string();
    format!("{} {} +0000 UTC", &text[..10], &text[11..19])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_dockers() {
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let shown = ImageRow {
            repository: "debian".to_owned(),
            tag: "12".to_owned(),
            id: digest.clone(),
            digest,
            created_at: Some("2026-01-31T09:00:00Z".parse().unwrap()),
            created_since: "2 days ago".to_owned(),
            size: 124_000_000,
            containers: 1,
        };
        let rows = [row(&shown, false)];
        assert_eq!(
            USUAL.text(None, &rows).unwrap(),
            "REPOSITORY   TAG       IMAGE ID       CREATED      SIZE\ndebian       12        aaaaaaaaaaaa   2 days ago   124MB\n"
        );
        let text = USUAL.text(Some("{{.CreatedAt}} {{.Containers}}"), &rows);
        assert_eq!(text.unwrap(), "2026-01-31 09:00:00 +0000 UTC 1\n");
        assert_eq!(row(&shown, true)["ID"], json!(shown.id));
    }
}
