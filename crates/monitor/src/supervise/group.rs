//! The container's cgroup, with its limits.

use hull_cgroup::{CgroupError, Group, GroupPath, Hierarchies, Limits};

use crate::{HIERARCHIES, Handover, MonitorError};

/// Makes the group, if there is to be one; limits that have no effect here are told in `warnings`.
pub(super) fn make(
    order: &Handover,
    warnings: &mut Vec<String>,
) -> Result<UndoGroup, MonitorError> {
    let Some(path) = &order.cgroup else {
        return Ok(UndoGroup(None));
    };
    let resources = order
        .spec
        .linux
        .as_ref()
        .and_then(|linux| linux.resources.as_ref());
    let limits = resources
        .map(Limits::try_from)
        .transpose()
        .map_err(CgroupError::from)?;
    let limits = limits.unwrap_or_default();
    match make_in(&order.hierarchies, path, &limits, warnings) {
        // Were hierarchies mounted or unmounted since somebody looked? Then that is looked at anew, now and by the next.
        Err(error) => match Hierarchies::detect() {
            Ok(found) if found != order.hierarchies => {
                rustix::fs::unlink(HIERARCHIES).ok();
                make_in(&found, path, &limits, warnings)
            }
            _ => Err(error),
        },
        made => made,
    }
}

fn make_in(
    hierarchies: &Hierarchies,
    path: &GroupPath,
    limits: &Limits,
    warnings: &mut Vec<String>,
) -> Result<UndoGroup, MonitorError> {
    let mut undo = UndoGroup(Some(Group::create(hierarchies, path, limits)?));
    if let Some(group) = &mut undo.0 {
        let ignored = group.apply(limits)?.into_iter();
        warnings.extend(ignored.map(|limit| {
            format!("the limit {limit} has no effect: this kernel's cgroups do not keep it")
        }));
    }
    Ok(undo)
}

/// A cgroup that is removed again unless it is kept.
#[derive(Debug)]
pub(super) struct UndoGroup(Option<Group>);

impl UndoGroup {
    pub(super) fn group(&self) -> Option<&Group> {
        self.0.as_ref()
    }

    pub(super) fn keep(mut self) -> Option<Group> {
        self.0.take()
    }
}

impl Drop for UndoGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            // What stays is found by `gc`: no record names it.
            group.kill_all().ok();
            group.remove().ok();
        }
    }
}
