//! How much containers have written.

use rustix::fs::{Mode, OFlags, openat};

use hull_state::{UPPER, part_of};

use crate::{Engine, Listed};

impl Engine {
    /// Returns how many bytes a container has written, and how many that are together with its image. What cannot be looked at
    /// counts nothing.
    pub fn sizes(&self, listed: &Listed) -> (u64, u64) {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let written = self
            .store()
            .directory(listed.pod.id())
            .ok()
            .and_then(|pod| {
                let upper = part_of(listed.place, UPPER);
                let upper = openat(&pod, upper, flags, Mode::empty()).ok()?;
                hull_fs::disk_usage(&upper).ok()
            });
        let own = written.map_or(0, |usage| usage.bytes);
        let layers = &listed.config.image.layers;
        let image: u64 = match self.images() {
            Ok(images) if !layers.is_empty() => layers
                .iter()
                .flat_map(|layer| images.layers().record(layer))
                .map(|record| record.size)
                .sum(),
            _ => 0,
        };
        (own, own + image)
    }
}
