//! The hierarchies a group can have a directory in, and the choice among them.

use std::path::Path;

use crate::{Controller, Hierarchies, Limits, v1};

/// Which hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Unified,
    /// By its index in [`Hierarchies::v1`].
    V1(usize),
}

impl Hierarchies {
    /// Returns every place a group can have a directory in, the unified one first.
    pub(crate) fn places(&self) -> Vec<Place> {
        let unified = self.unified.iter().map(|_| Place::Unified);
        unified.chain((0..self.v1.len()).map(Place::V1)).collect()
    }

    /// Returns where a controller's files are; a controller that is not on v1 is looked for on v2.
    pub(crate) fn place_of(&self, controller: Controller) -> Option<Place> {
        let v1 = self
            .v1
            .iter()
            .position(|hierarchy| hierarchy.controllers.contains(&controller));
        v1.map(Place::V1)
            .or_else(|| self.unified.as_ref().map(|_| Place::Unified))
    }

    pub(crate) fn base(&self, place: Place) -> &Path {
        match place {
            Place::V1(index) => &self.v1[index].base,
            Place::Unified => {
                &self
                    .unified
                    .as_ref()
                    .expect("a place is made from what there is")
                    .base
            }
        }
    }

    /// Tells whether a place is the v1 hierarchy of this controller.
    pub(crate) fn has(&self, place: Place, controller: Controller) -> bool {
        matches!(place, Place::V1(index) if self.v1[index].controllers.contains(&controller))
    }
}

/// Chooses the hierarchies for a group: the fewest, as the crate's page says.
pub(crate) fn places(hierarchies: &Hierarchies, limits: &Limits) -> Vec<Place> {
    let mut wanted: Vec<Controller> = vec![Controller::Memory];
    if hierarchies.unified.is_none() {
        wanted.extend([Controller::Freezer, Controller::Cpuacct]);
    }
    wanted.extend(v1::plan(limits).writes.iter().map(|write| write.controller));
    let needed = |place: &Place| match *place {
        Place::Unified => true,
        Place::V1(index) => {
            let hierarchy = &hierarchies.v1[index];
            let systemd =
                hierarchies.unified.is_none() && hierarchy.name.as_deref() == Some("systemd");
            systemd
                || hierarchy
                    .controllers
                    .iter()
                    .any(|controller| wanted.contains(controller))
        }
    };
    hierarchies.places().into_iter().filter(needed).collect()
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
