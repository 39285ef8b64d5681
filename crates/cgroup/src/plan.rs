//! What to write where: the planners' result, and the executor's input.

use std::borrow::Cow;

use crate::Controller;

/// One file to write in the group's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub controller: Controller,
    pub file: Cow<'static, str>,
    pub value: String,
    pub if_absent: IfAbsent,
}

/// What it means when the kernel does not have the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfAbsent {
    /// The limit cannot be kept: an error.
    Fail,
    /// The limit is reported as not carried out.
    Report,
    /// Nothing is lost.
    Skip,
    /// The same is set through another file.
    Else(Box<Write>),
}

/// The writes for one version of cgroups, in order, and which limits that version knows nothing of.
///
/// A write that the kernel refuses with `EINVAL` or `EBUSY` is tried once more after the others: some pairs constrain each other
/// (memory and memory+swap, quota and period, shares and idle), and which must come first depends on what was set before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub writes: Vec<Write>,
    /// By the names of the OCI runtime specification.
    pub unsupported: Vec<(Controller, &'static str)>,
}

impl Plan {
    pub(crate) fn add(
        &mut self,
        controller: Controller,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) {
        self.push(controller, file, value, IfAbsent::Fail);
    }

    pub(crate) fn push(
        &mut self,
        controller: Controller,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
        if_absent: IfAbsent,
    ) {
        self.writes.push(Write {
            controller,
            file: file.into(),
            value: value.to_string(),
            if_absent,
        });
    }

    pub(crate) fn unsupported(&mut self, controller: Controller, limit: &'static str, asked: bool) {
        if asked {
            self.unsupported.push((controller, limit));
        }
    }
}
