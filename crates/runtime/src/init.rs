//! The child's story: from the clone to the app.
//!
//! ```text
//!   join cgroups ─ wait for the parts ─ become the mapped root ─ cgroup and IPC namespace ─ names, loopback
//!   attach root ─ mounts ─ files ─ sysctls ─ masks ─ terminal ─ pivot
//!   streams ─ user ─ capabilities ─ find the command ─ tie to the parent ─▶ Created
//!   wait for Start, or set the limits ─ signals ─ filter ─ exec
//! ```
//! Where the container may mount, the second line is another process's story ([`crate::locked`]).
//!
//! The child is a single-threaded copy of the parent with its own memory and descriptor table: everything is allowed, and
//! everything it inherited is close-on-exec. It never returns into its caller's code.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use hull_sys::clone::CloneFlags;
use hull_sys::mount::MountAttr;
use hull_sys::namespaces::{setns, unshare};
use hull_sys::seccomp::SockFilter;
use hull_sys::{Errno, net};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags, open, statx};
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, UnmountFlags, mount_change, move_mount, unmount,
};
use rustix::process::{Gid, Uid, fchdir, pivot_root, umask};
use rustix::system::{setdomainname, sethostname};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::channel::{Channel, Message};
use crate::create::Go;
use crate::error::{At as _, Failure, StartError, Step};
use crate::launch::{Launch, Stdio};
use crate::plan::{Assembly, Plan};
use crate::process::{Ready, bind_to_parent, leave_keyring};
use crate::rootfs::inside::{Inside, Shape, until_exec};
use crate::rootfs::masks::Masks;
use crate::rootfs::mounts::{Kind, Maker, READ_ONLY, attach};
use crate::rootfs::superblock::{Depth, change_mount, clone_mount};
use crate::rootfs::{Assembler, Parts, Slot, put_aside, put_on_old_root};
use crate::streams::{self, Terminal};
use crate::{reaper, rootfs};

/// Why the child ends before the app begins.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The parent is gone: there is nobody to tell.
    Orphaned,
    Failed(StartError),
}

impl<E: Into<StartError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What the child brings along from before the clone.
#[derive(Debug)]
pub(crate) struct Init<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) launch: &'a Launch<'a>,
    pub(crate) filter: Option<&'a [SockFilter]>,
    /// v1 `tasks` files, open for writing.
    pub(crate) tasks: &'a [OwnedFd],
    /// Names and places of the container's cgroup directories.
    pub(crate) cgroups: &'a [(String, std::path::PathBuf)],
    /// Mounts made while the parent visited joined namespaces, by their place in the plan; with a locked root, the child's too.
    pub(crate) visited: Vec<Option<OwnedFd>>,
    /// Split a small init off from the app; the function closes all of its descriptors.
    pub(crate) reaper: Option<fn()>,
    pub(crate) go: Go,
}

impl Init<'_> {
    /// Becomes the app, or reports why not and ends.
    pub(crate) fn run(mut self, channel: Channel) -> ! {
        let ready = match self.stand(&channel) {
            Ok(ready) => ready,
            Err(Stop::Orphaned) => end(1),
            Err(Stop::Failed(error)) => {
                channel.report(error);
                end(1)
            }
        };
        let channel = match self.reaper {
            Some(forget) => {
                let process = self.launch.spec.process.as_ref();
                let command = process.map_or(&[][..], |process| process.args.as_slice());
                reaper::split(channel, forget, command)
            }
            None => channel,
        };
        let in_userns = self.plan.namespaces.maps.is_some();
        channel.report(self.plan.process.exec(&ready, self.filter, in_userns));
        end(1)
    }

    /// Does everything up to the exec, and waits for the word to do that.
    fn stand(&mut self, channel: &Channel) -> Result<Ready, Stop> {
        self.join_cgroups()?;
        let parts = self.receive_parts(channel)?;
        self.become_root()?;
        self.make_namespaces()?;
        let terminal = if self.plan.locked {
            self.enter_locked_root(channel)?
        } else {
            let parts = match parts {
                Some(parts) => parts,
                None => self.assembler().assemble()?,
            };
            self.build_root(&parts)?
        };
        self.plan.process.enter_directory()?;
        let ready = self.become_app(terminal.as_ref())?;
        let shared_keyring = leave_keyring()?;
        bind_to_parent(true)?;
        let created = Message::Created { shared_keyring };
        let master = terminal.as_ref().map(|terminal| terminal.master.as_fd());
        channel
            .send(&created, master.as_slice())
            .map_err(|_| Stop::Orphaned)?;
        drop(terminal);
        if self.go == Go::AtOnce {
            self.plan.process.set_own_rlimits()?;
            // The death signal is set: had the parent died before that, its end would be closed by now.
            return match channel.other_end_is_open() {
                true => Ok(ready),
                false => Err(Stop::Orphaned),
            };
        }
        // Waiting is also the check that the parent lives: had it died before the death signal was set, this reads the end.
        match channel.receive()? {
            Some((Message::Start, _)) => Ok(ready),
            Some(_) => Err(StartError::BadMessage.into()),
            None => Err(Stop::Orphaned),
        }
    }

    /// By our own hand and before anything else is done in them: a write of `0` to `tasks` by a single-threaded process
    /// never waits, and the cgroup namespace made later is rooted where this leads.
    fn join_cgroups(&self) -> Result<(), Failure> {
        for tasks in self.tasks {
            rustix::io::write(tasks, b"0").at(Step::Cgroup, "")?;
        }
        Ok(())
    }

    fn receive_parts(&mut self, channel: &Channel) -> Result<Option<Parts>, Stop> {
        let slots = channel.receive_parts()?.ok_or(Stop::Orphaned)?;
        match self.plan.assembly {
            Assembly::Inside => Ok(None),
            // So far it only says that the maps are written.
            Assembly::Outside if self.plan.locked => Ok(None),
            Assembly::Outside => Parts::from_slots(slots, self.plan.mounts.len())
                .map(Some)
                .ok_or(StartError::BadMessage.into()),
        }
    }

    /// Until now the process has the ids of the caller, who is nobody in the new user namespace.
    fn become_root(&self) -> Result<(), Failure> {
        let Some(maps) = &self.plan.namespaces.maps else {
            return Ok(());
        };
        let refused = |errno| Failure::new(Step::SetIds, "0", errno);
        set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).map_err(refused)?;
        if !maps.is_single() {
            set_thread_groups(&[]).map_err(refused)?;
        }
        set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).map_err(refused)
    }

    fn make_namespaces(&self) -> Result<(), Failure> {
        let namespaces = &self.plan.namespaces;
        let late = namespaces.in_child();
        if !late.is_empty() {
            unshare(late).at(Step::Unshare, "cgroup and IPC")?;
        }
        if !namespaces.makes(CloneFlags::NEWUSER) {
            // The copy of the mount tree still belongs to the host's peer groups: what happens here must not travel there.
            // In a new user namespace the kernel has seen to that.
            leave_peer_groups().at(Step::Unshare, "mount")?;
        }
        if namespaces.makes(CloneFlags::NEWNET) {
            net::lo_up().at(Step::Loopback, "")?;
        }
        if let Some(name) = &self.plan.hostname {
            sethostname(name.as_bytes()).at(Step::Hostname, name)?;
        }
        if let Some(name) = &self.plan.domainname {
            setdomainname(name.as_bytes()).at(Step::Hostname, name)?;
        }
        Ok(())
    }

    fn assembler(&self) -> Assembler<'_> {
        Assembler {
            plan: self.plan,
            launch: self.launch,
            cgroups: self.cgroups,
            userns: None,
        }
    }

    /// Hands over the mounts that only it can make, and enters the root that was made with them.
    fn enter_locked_root(&mut self, channel: &Channel) -> Result<Option<Terminal>, Stop> {
        umask(Mode::empty());
        let mut made = Vec::new();
        let mut proc = None;
        let visited = std::mem::take(&mut self.visited);
        for ((index, mount), visited) in (0..).zip(&self.plan.mounts).zip(visited) {
            let fresh = match (mount.maker, &mount.kind) {
                (Maker::Visitor, _) => visited,
                (Maker::Inside, Kind::Dev | Kind::Cgroup) | (Maker::Outside, _) => None,
                (Maker::Inside, _) => Some(mount.make_fresh(None)?),
            };
            if mount.kind == Kind::Proc && mount.destination == Path::new("/proc") {
                proc = fresh.as_ref().and_then(|proc| proc.try_clone().ok());
            }
            made.extend(fresh.map(|fresh| (Slot::Mount(index), fresh)));
        }
        // Here, in its own namespaces: whose settings these are depends on who writes them.
        self.write_sysctls(proc.as_ref())?;
        channel.send_parts(&made).map_err(|_| Stop::Orphaned)?;
        drop((made, proc));
        let slots = channel.receive_parts()?.ok_or(Stop::Orphaned)?;
        let Ok([(Slot::Namespace, namespace)]) = <[_; 1]>::try_from(slots) else {
            return Err(StartError::BadMessage.into());
        };
        setns(namespace, CloneFlags::NEWNS).at(Step::Namespace, "mount")?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open("/", flags, Mode::empty()).at(Step::AttachRoot, "/")?;
        Ok(self.open_terminal(Inside(root.as_fd()))?)
    }

    /// Puts the parts together and makes the result the root.
    pub(crate) fn build_root(&self, parts: &Parts) -> Result<Option<Terminal>, Failure> {
        // Until `become_user` sets the app's: modes are as written.
        umask(Mode::empty());
        let backstage = parts.backstage.as_fd();
        if self.plan.assembly == Assembly::Outside {
            put_aside(backstage).at(Step::AttachRoot, "")?;
        }
        put_on_old_root(parts.root.as_fd()).at(Step::AttachRoot, "")?;
        let root = Inside(parts.root.as_fd());
        for (place, disk) in self.plan.host_mounts.visible_disks().zip(&parts.disks) {
            self.attach_disk(root, place, disk)?;
        }
        let proc = self.mount_all(root, parts)?;
        self.place_files(root, backstage)?;
        if !self.plan.locked {
            self.write_sysctls(proc.as_ref())?;
        }
        let masks = Masks {
            root,
            proc: proc.as_ref().map(AsFd::as_fd),
            backstage,
        };
        masks.freeze(self.plan.frozen.iter().map(AsRef::as_ref))?;
        masks.hide(self.plan.masked.iter().map(AsRef::as_ref))?;
        let terminal = match self.plan.locked {
            true => None,
            false => self.open_terminal(root)?,
        };
        self.make_working_directory(root)?;
        if self.plan.read_only_root {
            let attr = MountAttr {
                set: READ_ONLY,
                ..MountAttr::default()
            };
            change_mount(root, Depth::One, &attr).at(Step::ReadOnlyPath, "/")?;
        }
        pivot(root.as_fd()).at(Step::Pivot, "")?;
        Ok(terminal)
    }

    /// docker's rule: a working directory that is not there is made, and is root's.
    fn make_working_directory(&self, root: Inside<'_>) -> Result<(), Failure> {
        let path = self.plan.process.cwd.as_path();
        if path == Path::new("/") {
            return Ok(());
        }
        root.mount_point(path, Shape::Directory)
            .map(until_exec)
            .at(Step::WorkDir, path)
    }

    fn attach_disk(&self, root: Inside<'_>, place: &Path, disk: &OwnedFd) -> Result<(), Failure> {
        let shape = rootfs::mounts::shape(disk.as_fd()).at(Step::HostRoot, place)?;
        // A mount that lies below a directory this container may not enter cannot be shown.
        let Ok(target) = root.mount_point(place, shape) else {
            return Ok(());
        };
        attach(disk.as_fd(), target.as_fd()).at(Step::HostRoot, place)
    }

    /// Attaches the mounts of the spec in order; returns the container's procfs.
    fn mount_all(&self, root: Inside<'_>, parts: &Parts) -> Result<Option<OwnedFd>, Failure> {
        let mut proc = None;
        for (index, mount) in self.plan.mounts.iter().enumerate() {
            let brought = match mount.maker {
                Maker::Outside => parts.mounts.get(index),
                Maker::Visitor | Maker::Inside => self.visited.get(index),
            };
            match (&mount.kind, brought.and_then(Option::as_ref)) {
                (kind, Some(brought)) => {
                    mount.attach(root, brought)?;
                    if *kind == Kind::Proc && mount.destination == Path::new("/proc") {
                        proc = brought.try_clone().ok();
                    }
                }
                (Kind::Dev, None) => self.mount_dev(root, parts, &mount.destination)?,
                (Kind::Cgroup, None) => self.mount_cgroups(root, parts, index)?,
                (kind, None) => {
                    let fresh = mount.make_fresh(None)?;
                    mount.attach(root, &fresh)?;
                    match *kind == Kind::Proc && mount.destination == Path::new("/proc") {
                        true => proc = Some(fresh),
                        false => until_exec(fresh),
                    }
                }
            }
        }
        Ok(proc)
    }

    fn mount_dev(&self, root: Inside<'_>, parts: &Parts, place: &Path) -> Result<(), Failure> {
        // Nodes bound from the host are mounts below.
        let depth = match self.plan.assembly {
            Assembly::Outside => Depth::One,
            Assembly::Inside => Depth::Tree,
        };
        let target = root
            .mount_point(place, Shape::Directory)
            .at(Step::MountPoint, place)?;
        clone_mount(&parts.backstage, "dev", depth, &MountAttr::default())
            .and_then(|dev| attach(dev.as_fd(), target.as_fd()).map(|()| until_exec(dev)))
            .at(Step::Mount, place)
    }

    /// Shows the container its own groups: on v1 a directory for each hierarchy, as docker does.
    fn mount_cgroups(&self, root: Inside<'_>, parts: &Parts, index: usize) -> Result<(), Failure> {
        let mount = &self.plan.mounts[index];
        let place = mount.destination.as_path();
        let target = root
            .mount_point(place, Shape::Directory)
            .at(Step::MountPoint, place)?;
        let failed = |errno| Failure::new(Step::Mount, place, errno);
        if let ([(name, _)], [only]) = (self.cgroups, parts.cgroups.as_slice())
            && name.is_empty()
        {
            return attach(only.as_fd(), target.as_fd()).map_err(failed);
        }
        let attr = MountAttr {
            set: mount.options.set,
            ..MountAttr::default()
        };
        let dir = match parts.cgroups.is_empty() {
            true => clone_mount(&parts.backstage, "empty", Depth::One, &attr),
            false => clone_mount(&parts.backstage, "cgroup", Depth::One, &attr),
        };
        let dir = dir.map_err(failed)?;
        attach(dir.as_fd(), target.as_fd()).map_err(failed)?;
        for ((name, _), clone) in self.cgroups.iter().zip(&parts.cgroups) {
            // A directory of ours that nobody else has seen yet: the name is what it says.
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            move_mount(clone, "", &dir, name.as_str(), flags).map_err(failed)?;
        }
        until_exec(target);
        until_exec(dir);
        Ok(())
    }

    /// Binds the given files, and devices with a place outside `/dev`.
    fn place_files(&self, root: Inside<'_>, backstage: BorrowedFd<'_>) -> Result<(), Failure> {
        let bind = |from: &Path, to: &Path| -> Result<(), Failure> {
            let target = root.mount_point(to, Shape::File).at(Step::MountPoint, to)?;
            clone_mount(backstage, from, Depth::One, &MountAttr::default())
                .and_then(|file| attach(file.as_fd(), target.as_fd()).map(|()| until_exec(file)))
                .at(Step::File, to)?;
            until_exec(target);
            Ok(())
        };
        for (index, (path, _)) in self.launch.files.iter().enumerate() {
            bind(&Path::new("files").join(index.to_string()), path)?;
        }
        for path in self.plan.devices_elsewhere() {
            let below = path.strip_prefix("/").unwrap_or(path);
            bind(&Path::new("nodes").join(below), path)?;
        }
        Ok(())
    }

    fn write_sysctls(&self, proc: Option<&OwnedFd>) -> Result<(), Failure> {
        for sysctl in &self.plan.sysctls {
            let proc = proc.ok_or(Errno::NODEV).at(Step::Sysctl, "without /proc")?;
            sysctl.write(proc.as_fd())?;
        }
        Ok(())
    }

    fn open_terminal(&self, root: Inside<'_>) -> Result<Option<Terminal>, Failure> {
        let Stdio::Terminal(size) = self.launch.stdio else {
            return Ok(None);
        };
        let terminal = Terminal::open(root, size)?;
        terminal.become_console(root)?;
        Ok(Some(terminal))
    }

    /// From root of the container to the app's user with the app's powers.
    fn become_app(&self, terminal: Option<&Terminal>) -> Result<Ready, StartError> {
        let process = &self.plan.process;
        let identity = process.identify()?;
        streams::install(&self.launch.stdio, terminal, identity.uid)?;
        let maps = self.plan.namespaces.maps.as_ref();
        let groups_denied = maps.is_some_and(|maps| maps.is_single());
        process.become_user(
            &identity,
            groups_denied,
            maps.is_some(),
            self.filter.is_some(),
        )?;
        process.find_command(&identity)
    }
}

/// Sees to it that nothing done to this copy of the mount tree travels to where it was copied from.
pub(crate) fn leave_peer_groups() -> Result<(), Errno> {
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private)
}

/// Makes the mount `root` the root directory and forgets the old tree. No directory is needed to put the old one in: it is
/// stacked on the new one and detached from there.
///
/// One `umount2` takes only the topmost mount of a stack, and on the old root others may lie: ours, or the host's own. Were any
/// left, a process that enters the mount namespace later (`exec`) would begin in the *host's* root. So it goes on until what
/// lies on top of `/` is the new root itself. `..` of the root crosses to the top of the stack; `/` and `.` do not.
fn pivot(root: BorrowedFd<'_>) -> Result<(), Errno> {
    fchdir(root)?;
    pivot_root(".", ".")?;
    let own = mount_id(root, c"", AtFlags::EMPTY_PATH)?;
    loop {
        unmount(".", UnmountFlags::DETACH)?;
        if mount_id(CWD, c"/..", AtFlags::empty())? == own {
            return Ok(());
        }
    }
}

fn mount_id(dir: BorrowedFd<'_>, path: &std::ffi::CStr, flags: AtFlags) -> Result<u64, Errno> {
    Ok(statx(dir, path, flags, StatxFlags::MNT_ID)?.stx_mnt_id)
}

/// Ends the child without going back into the caller's code.
#[expect(
    clippy::exit,
    reason = "the child must not return; the parent emptied the buffers of standard output before the clone"
)]
pub(crate) fn end(code: i32) -> ! {
    std::process::exit(code)
}
