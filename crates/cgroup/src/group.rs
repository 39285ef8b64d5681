//! A container's group: one directory in each hierarchy worth having.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use hull_sys::bpf;
use rustix::fs::{CWD, Mode as FileMode, mkdirat};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::place::{Place, places};
use crate::plan::{IfAbsent, Write};
use crate::{
    Bound, CgroupError, Controller, GroupPath, Hierarchies, Limits, MemoryLimits, Mode, devices,
    files, v1, v2,
};

/// How often a group is begun anew whose parents others take away meanwhile.
const ATTEMPTS: usize = 32;

/// The directories of one group. Dropping it changes nothing: groups live until [`Group::remove`].
#[derive(Debug)]
pub struct Group {
    pub(crate) path: GroupPath,
    pub(crate) hierarchies: Hierarchies,
    pub(crate) dirs: Vec<GroupDir>,
    /// Made by this value, and no device program attached yet.
    devices_open: bool,
}

/// The group's directory in one hierarchy.
#[derive(Debug)]
pub(crate) struct GroupDir {
    pub(crate) place: Place,
    pub(crate) path: PathBuf,
    pub(crate) fd: OwnedFd,
}

impl Group {
    /// Makes the group in the hierarchies that `limits`, killing, freezing and statistics need, and sets nothing yet.
    ///
    /// An empty group left under the same name is made anew; one with processes or groups in it is refused.
    pub fn create(
        hierarchies: &Hierarchies,
        path: &GroupPath,
        limits: &Limits,
    ) -> Result<Self, CgroupError> {
        let mut group = Self {
            path: path.clone(),
            hierarchies: hierarchies.clone(),
            dirs: Vec::new(),
            devices_open: true,
        };
        for place in places(hierarchies, limits) {
            if let Err(error) = group.add_dir(place) {
                // The first error is the one to tell; what stays behind is found by name.
                let _ignored = group.remove();
                return Err(error);
            }
        }
        if group.dirs.is_empty() {
            Err(CgroupError::NoHierarchy)
        } else {
            Ok(group)
        }
    }

    /// Opens a group that exists in at least one hierarchy.
    pub fn open(hierarchies: &Hierarchies, path: &GroupPath) -> Result<Self, CgroupError> {
        let mut dirs = Vec::new();
        for place in hierarchies.places() {
            let dir = hierarchies.base(place).join(path.as_path());
            match files::open_dir(&dir) {
                Ok(fd) => dirs.push(GroupDir {
                    place,
                    path: dir,
                    fd,
                }),
                Err(Errno::NOENT) => {}
                Err(source) => return Err(CgroupError::Open { path: dir, source }),
            }
        }
        if dirs.is_empty() {
            return Err(CgroupError::NotFound(path.to_string()));
        }
        Ok(Self {
            path: path.clone(),
            hierarchies: hierarchies.clone(),
            dirs,
            devices_open: false,
        })
    }

    /// Returns the group's place below the hierarchies' bases.
    pub fn path(&self) -> &GroupPath {
        &self.path
    }

    /// Returns its directories.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.dirs.iter().map(|dir| dir.path.as_path())
    }

    /// Opens the `tasks` file of every v1 hierarchy it is in. The single-threaded child writes `0` to each and has joined; never `cgroup.procs`,
    /// which waits for a grace period on an idle machine.
    pub fn tasks_files(&self) -> Result<Vec<OwnedFd>, CgroupError> {
        let v1 = self.dirs.iter().filter(|dir| dir.place != Place::Unified);
        v1.map(|dir| {
            files::open_write(&dir.fd, "tasks").map_err(|source| CgroupError::Open {
                path: dir.path.join("tasks"),
                source,
            })
        })
        .collect()
    }

    /// Returns the directory in the unified hierarchy, for `CLONE_INTO_CGROUP`.
    pub fn unified_dir(&self) -> Option<BorrowedFd<'_>> {
        self.dirs
            .iter()
            .find(|dir| dir.place == Place::Unified)
            .map(|dir| dir.fd.as_fd())
    }

    /// Moves a whole process into the group, slowly (see [`Group::tasks_files`] for the start of a container).
    pub fn move_process(&self, pid: Pid) -> Result<(), CgroupError> {
        self.dirs.iter().try_for_each(|dir| dir.move_process(pid))
    }

    /// Sets what `limits` says and leaves the rest as it is. Returns the names of limits that this kernel or version of cgroups
    /// cannot keep and that containers run without elsewhere too (swap not accounted, no io weights…); limits that matter are errors.
    pub fn apply(&mut self, limits: &Limits) -> Result<Vec<String>, CgroupError> {
        self.memory_fits(&limits.memory)?;
        let (v1, v2) = (v1::plan(limits), v2::plan(limits));
        let on_v1 = |controller: Controller| self.hierarchies.v1_with(controller).is_some();
        let mut ignored: Vec<String> = Vec::new();
        let v1_unsupported = v1
            .unsupported
            .iter()
            .filter(|(controller, _)| on_v1(*controller));
        let v2_unsupported = v2
            .unsupported
            .iter()
            .filter(|(controller, _)| !on_v1(*controller));
        ignored.extend(
            v1_unsupported
                .chain(v2_unsupported)
                .map(|(_, name)| (*name).to_owned()),
        );
        let v1 = v1
            .writes
            .into_iter()
            .filter(|write| on_v1(write.controller));
        let v2 = v2
            .writes
            .into_iter()
            .filter(|write| !on_v1(write.controller));
        let writes: Vec<Write> = v1.chain(v2).collect();
        self.attach_devices(limits)?;
        self.carry_out(writes, &mut ignored)?;
        Ok(ignored)
    }

    /// v1 refuses a memory limit below the usage by itself; v2 would rather kill.
    fn memory_fits(&self, memory: &MemoryLimits) -> Result<(), CgroupError> {
        let (true, Some(Bound::At(limit))) = (memory.check_before_update, memory.limit) else {
            return Ok(());
        };
        let Some(dir) = self
            .dir_of(Controller::Memory)
            .filter(|dir| dir.place == Place::Unified)
        else {
            return Ok(());
        };
        match dir.read_number("memory.current")? {
            Some(used) if used > limit => Err(CgroupError::MemoryInUse {
                path: dir.path.clone(),
                limit,
            }),
            _ => Ok(()),
        }
    }

    /// v1's rules are writes; on v2 they are a program, which stays for the group's life.
    fn attach_devices(&mut self, limits: &Limits) -> Result<(), CgroupError> {
        if limits.devices.is_empty() || self.hierarchies.v1_with(Controller::Devices).is_some() {
            return Ok(());
        }
        let Some(dir) = self.dirs.iter().find(|dir| dir.place == Place::Unified) else {
            let file = "devices.list".to_owned();
            return Err(CgroupError::NoController {
                controller: Controller::Devices,
                file,
            });
        };
        if !self.devices_open {
            return Err(CgroupError::DevicesFixed);
        }
        bpf::load_device_program(&devices::program(&limits.devices))
            .and_then(|program| bpf::attach_device_program(&dir.fd, program))
            .map_err(|source| CgroupError::DeviceProgram {
                path: dir.path.clone(),
                source,
            })?;
        self.devices_open = false;
        Ok(())
    }

    fn carry_out(
        &mut self,
        writes: Vec<Write>,
        ignored: &mut Vec<String>,
    ) -> Result<(), CgroupError> {
        let mut again = Vec::new();
        for write in writes {
            match self.write(&write, ignored) {
                Err(CgroupError::Write {
                    source: Errno::INVAL | Errno::BUSY,
                    ..
                }) => again.push(write),
                result => result?,
            }
        }
        again
            .iter()
            .try_for_each(|write| self.write(write, ignored))
    }

    fn write(&mut self, write: &Write, ignored: &mut Vec<String>) -> Result<(), CgroupError> {
        let Some(dir) = self.dir_made(write.controller)? else {
            return self.absent(write, ignored);
        };
        match files::write(&dir.fd, &write.file, &write.value) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT | Errno::OPNOTSUPP) => {
                if dir.place == Place::Unified && self.enable(write.controller)? {
                    self.write(write, ignored)
                } else {
                    self.absent(write, ignored)
                }
            }
            Err(source) => Err(CgroupError::Write {
                path: dir.path.join(&*write.file),
                value: write.value.clone(),
                source,
            }),
        }
    }

    fn absent(&mut self, write: &Write, ignored: &mut Vec<String>) -> Result<(), CgroupError> {
        match &write.if_absent {
            IfAbsent::Fail => Err(CgroupError::NoController {
                controller: write.controller,
                file: write.file.clone().into_owned(),
            }),
            IfAbsent::Report => {
                ignored.push(write.file.clone().into_owned());
                Ok(())
            }
            IfAbsent::Skip => Ok(()),
            IfAbsent::Else(other) => self.write(other, ignored),
        }
    }

    /// Returns the directory in which a controller's files are.
    pub(crate) fn dir_of(&self, controller: Controller) -> Option<&GroupDir> {
        let place = self.hierarchies.place_of(controller)?;
        self.dirs.iter().find(|dir| dir.place == place)
    }

    /// Returns the directory in which a controller's files are; makes it, and moves the processes there, if a limit comes late.
    fn dir_made(&mut self, controller: Controller) -> Result<Option<&GroupDir>, CgroupError> {
        let Some(place) = self.hierarchies.place_of(controller) else {
            return Ok(None);
        };
        if !self.dirs.iter().any(|dir| dir.place == place) {
            self.add_dir(place)?;
            let dir = self.dirs.last().expect("one was added just now");
            for pid in self.processes()? {
                match dir.move_process(pid) {
                    // It ended in between.
                    Err(CgroupError::Write {
                        source: Errno::SRCH,
                        ..
                    }) => {}
                    result => result?,
                }
            }
        }
        Ok(self.dirs.iter().find(|dir| dir.place == place))
    }

    fn add_dir(&mut self, place: Place) -> Result<(), CgroupError> {
        let base = self.hierarchies.base(place).to_owned();
        let path = base.join(self.path.as_path());
        let failed = |source| CgroupError::Create {
            path: path.clone(),
            source,
        };
        // Someone may remove the empty parent just after it was made; nobody does so for ever.
        for _ in 0..ATTEMPTS {
            match make_dir(&path) {
                Ok(()) => {
                    let fd = files::open_dir(&path).map_err(failed)?;
                    self.dirs.push(GroupDir {
                        place,
                        path: path.clone(),
                        fd,
                    });
                    return self.fill_cpuset(place);
                }
                Err(Errno::NOENT) => self.make_ancestors(place, &base)?,
                Err(Errno::EXIST) => match files::remove_dir(&path) {
                    Ok(()) | Err(Errno::NOENT) => {}
                    Err(_) => return Err(CgroupError::InUse { path }),
                },
                Err(source) => return Err(failed(source)),
            }
        }
        Err(failed(Errno::NOENT))
    }

    fn make_ancestors(&self, place: Place, base: &Path) -> Result<(), CgroupError> {
        for ancestor in self.path.ancestors() {
            let path = base.join(ancestor);
            match make_dir(&path) {
                Ok(()) | Err(Errno::EXIST) => {}
                // The one above was empty, and somebody removed it: the caller begins again.
                Err(Errno::NOENT) => return Ok(()),
                Err(source) => return Err(CgroupError::Create { path, source }),
            }
            if self.hierarchies.has(place, Controller::Memory) {
                // Before Linux 5.11 a v1 group did not count its children unless told so; now it always does and refuses.
                let _ignored = files::open_dir(&path)
                    .map(|dir| files::write(dir, "memory.use_hierarchy", "1"));
            }
        }
        if place == Place::Unified && self.hierarchies.mode() == Mode::V2 {
            self.enable_usual(base);
        }
        Ok(())
    }

    /// A new v1 cpuset has no processors and no memory, and takes no task: it gets its parent's.
    fn fill_cpuset(&self, place: Place) -> Result<(), CgroupError> {
        if !self.hierarchies.has(place, Controller::Cpuset) {
            return Ok(());
        }
        let mut parent = self.hierarchies.base(place).to_owned();
        for level in self.path.ancestors().chain([self.path.as_path()]) {
            let path = self.hierarchies.base(place).join(level);
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if files::read_path(&path.join(file))?.trim().is_empty() {
                    let value = files::read_path(&parent.join(file))?;
                    let failed = |source| CgroupError::Write {
                        path: path.join(file),
                        value: value.trim().to_owned(),
                        source,
                    };
                    let dir = files::open_dir(&path).map_err(failed)?;
                    files::write(dir, file, value.trim()).map_err(failed)?;
                }
            }
            parent = path;
        }
        Ok(())
    }

    /// Gives the groups below a new parent what almost every container is limited by. What cannot be given here is asked for
    /// again, with an error, when a limit needs it.
    fn enable_usual(&self, base: &Path) {
        let usual = [
            Controller::Memory,
            Controller::Pids,
            Controller::Cpu,
            Controller::Io,
        ];
        for controller in usual {
            let _ignored = self.enable_below(base, controller);
        }
    }

    /// Makes sure that a controller's files are in the group. False if they already were, or cannot be.
    fn enable(&self, controller: Controller) -> Result<bool, CgroupError> {
        let Some(unified) = &self.hierarchies.unified else {
            return Ok(false);
        };
        let listed = |dir: &Path| -> Result<bool, CgroupError> {
            let text = files::read_path(&dir.join("cgroup.controllers"))?;
            Ok(text
                .split_whitespace()
                .any(|name| name == controller.v2_name()))
        };
        let dir = unified.base.join(self.path.as_path());
        if controller == Controller::Core || listed(&dir)? || !listed(&unified.base)? {
            return Ok(false);
        }
        self.enable_below(&unified.base, controller)?;
        listed(&dir)
    }

    fn enable_below(&self, base: &Path, controller: Controller) -> Result<(), CgroupError> {
        let levels = [base.to_owned()]
            .into_iter()
            .chain(self.path.ancestors().map(|level| base.join(level)));
        let value = format!("+{}", controller.v2_name());
        for path in levels {
            let written = files::open_dir(&path)
                .and_then(|dir| files::write(dir, "cgroup.subtree_control", &value));
            let controllers = controller.v2_name().to_owned();
            match written {
                Ok(()) => {}
                Err(Errno::BUSY) => return Err(CgroupError::HasProcesses { path, controllers }),
                Err(source) => {
                    return Err(CgroupError::Enable {
                        path,
                        controllers,
                        source,
                    });
                }
            }
        }
        Ok(())
    }
}

impl GroupDir {
    fn move_process(&self, pid: Pid) -> Result<(), CgroupError> {
        let value = pid.as_raw_nonzero().to_string();
        files::write(&self.fd, "cgroup.procs", &value).map_err(|source| CgroupError::Write {
            path: self.path.join("cgroup.procs"),
            value,
            source,
        })
    }

    pub(crate) fn read(&self, file: &str) -> Result<String, CgroupError> {
        files::read(&self.fd, file).map_err(|source| CgroupError::Read {
            path: self.path.join(file),
            source,
        })
    }

    /// Reads a file that older kernels or other configurations lack.
    pub(crate) fn read_if_there(&self, file: &str) -> Result<Option<String>, CgroupError> {
        match self.read(file) {
            Ok(text) => Ok(Some(text)),
            Err(CgroupError::Read {
                source: Errno::NOENT | Errno::OPNOTSUPP,
                ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn read_number(&self, file: &str) -> Result<Option<u64>, CgroupError> {
        match self.read_if_there(file)? {
            Some(text) => files::number(&self.path.join(file), &text),
            None => Ok(None),
        }
    }

    pub(crate) fn write(&self, file: &str, value: &str) -> Result<(), CgroupError> {
        files::write(&self.fd, file, value).map_err(|source| CgroupError::Write {
            path: self.path.join(file),
            value: value.to_owned(),
            source,
        })
    }
}

fn make_dir(path: &Path) -> Result<(), Errno> {
    mkdirat(CWD, path, FileMode::from_raw_mode(0o755))
}
