//! `cargo xtask guest`: a command in a User-Mode Linux guest with cgroup v2.
//!
//! ```text
//!   host                                   guest (its own kernel, one CPU, boots in 2 s)
//!   /                ── hostfs, ro ──▶     /
//!   current folder   ── hostfs, rw ──▶     the same path
//!   disk.ext4        ── ubda ───────▶      /run/disk ($HULL_TEST_DIR): tmpfs and hostfs cannot be id-mapped on its kernel
//!                                          /sys/fs/cgroup: cgroup2, every controller enabled; tmpfs on /run and /tmp
//! ```
//! The guest's init is a shell script written here; the command's exit code comes back in a file.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::{options::Options, run};

const KERNEL: &str = "linux.uml";
const KERNEL_MODULES: &str = "/usr/lib/uml/modules";
/// Loaded in the guest, those that its kernel has.
const MODULES: &str = "overlay veth bridge nf_tables nft_masq nft_ct nft_reject_inet br_netfilter";
/// What the guest's disk may grow to; it is sparse.
const DISK: u64 = 4 << 30;

pub(crate) fn command(words: &[String]) -> Result<ExitCode> {
    let mut options = Options::new(words);
    let memory = options.value("-m")?;
    let seconds: Option<u64> = options
        .value("-t")?
        .map(|text| text.parse())
        .transpose()
        .context("-t SECONDS")?;
    let command: Vec<OsString> = options.command()?.into_iter().map(Into::into).collect();
    let guest = Guest {
        memory: memory.unwrap_or_else(|| "1G".to_owned()),
        limit: Duration::from_secs(seconds.unwrap_or(300)),
        dir: std::env::current_dir()?,
        environment: std::env::vars_os().collect(),
    };
    if let Some(reason) = missing() {
        bail!("{reason}");
    }
    let code = guest.run(&command, |line| println!("{line}"))?;
    match code {
        Some(code) => Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
        None => bail!(
            "the guest died, or ran out of its {} s",
            guest.limit.as_secs()
        ),
    }
}

/// Says why there can be no guest here, if so.
pub(crate) fn missing() -> Option<String> {
    for program in [KERNEL, "mkfs.ext4"] {
        if !run::is_installed(program) {
            return Some(format!(
                "{program} is missing: install user-mode-linux, kmod and e2fsprogs"
            ));
        }
    }
    None
}

/// What a guest is given.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    /// As the kernel takes it: `1G`.
    pub(crate) memory: String,
    pub(crate) limit: Duration,
    /// The folder that is writable, and current.
    pub(crate) dir: PathBuf,
    pub(crate) environment: Vec<(OsString, OsString)>,
}

impl Guest {
    /// Runs a command and hands on its lines. Returns its exit code; none when the guest did not get to its end.
    pub(crate) fn run(
        &self,
        command: &[OsString],
        mut line: impl FnMut(&str),
    ) -> Result<Option<i32>> {
        let files = Files::make()?;
        let init = files.write("init", &self.init(&files, command)?)?;
        let disk = files.disk()?;
        let mut kernel = run::limited(self.limit, Path::new(KERNEL));
        kernel
            .arg(format!("mem={}", self.memory))
            .arg(format!("umid=hull{}", std::process::id()))
            .arg(format!("uml_dir={}/", files.dir.display()))
            .arg(format!("ubd0={}", disk.display()))
            .args(["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro"])
            .arg(format!("init={}", init.display()))
            .args(["con0=null,fd:1", "con=null", "quiet", "cgroup_no_v1=all"])
            // The guest's memory is a file: not on a disk.
            .env("TMPDIR", "/dev/shm")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut kernel = kernel
            .spawn()
            .with_context(|| format!("cannot start {KERNEL}"))?;
        let output = kernel.stdout.take().context("a pipe was asked for")?;
        for text in BufReader::new(output).split(b'\n') {
            let text = text?;
            let text = String::from_utf8_lossy(&text);
            let text = text.trim_end_matches('\r');
            if !is_kernels(text) {
                line(text);
            }
        }
        kernel.wait()?;
        let code = std::fs::read_to_string(files.dir.join("code")).unwrap_or_default();
        Ok(code.trim().parse().ok())
    }

    /// Writes the guest's init.
    fn init(&self, files: &Files, command: &[OsString]) -> Result<String> {
        let version = std::fs::read_dir(KERNEL_MODULES)?
            .next()
            .context("the guest's kernel has no modules")??;
        let version = version.file_name().to_string_lossy().into_owned();
        let (here, work) = (quoted(self.dir.as_os_str()), quoted(files.dir.as_os_str()));
        let mut text = format!(
            "\
#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc -o nosuid,nodev,noexec proc /proc; mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o ptmxmode=666,gid=5 devpts /dev/pts; mount -t tmpfs shm /dev/shm
mount -t cgroup2 -o nsdelegate,memory_recursiveprot cgroup2 /sys/fs/cgroup
mount -t tmpfs run /run; mkdir -p /run/hull-guest /run/here /run/disk /run/lib/modules
mount -t hostfs -o {work} none /run/hull-guest
mount -t hostfs -o {here} none /run/here
mount -t ext4 /dev/ubda /run/disk
mount -t tmpfs tmp /tmp; mkdir -p {here}; mount --move /run/here {here}
ln -s {KERNEL_MODULES}/{version} /run/lib/modules/{version}
for module in {MODULES}; do modprobe -d /run -S {version} $module 2>/dev/null; done
sysctl -qw net.ipv4.ip_forward=1; ip link set lo up
mkdir /sys/fs/cgroup/init; echo $$ > /sys/fs/cgroup/init/cgroup.procs
for each in $(cat /sys/fs/cgroup/cgroup.controllers); do echo +$each > /sys/fs/cgroup/cgroup.subtree_control; done
"
        );
        for (name, value) in &self.environment {
            if name
                .as_bytes()
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
                && name != "PATH"
            {
                writeln!(text, "export {}={}", name.display(), quoted(value))?;
            }
        }
        let command: Vec<String> = command.iter().map(quoted).collect();
        write!(
            text,
            "export HULL_TEST_DIR=/run/disk HULL_GUEST=1\ncd {here}\n{}\necho $? > /run/hull-guest/code\nsync; umount /run/disk\n\
             halt -f 2>/dev/null || busybox halt -f\n",
            command.join(" ")
        )?;
        Ok(text)
    }
}

/// The guest's files on the host; not below /tmp or /dev, which are its own.
struct Files {
    dir: PathBuf,
}

impl Files {
    fn make() -> Result<Self> {
        let dir = PathBuf::from(format!("/var/tmp/hull-guest-{}", std::process::id()));
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self { dir })
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.dir.join(name);
        std::fs::write(&path, text)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        Ok(path)
    }

    fn disk(&self) -> Result<PathBuf> {
        let path = self.dir.join("disk.ext4");
        std::fs::File::create(&path)?.set_len(DISK)?;
        run::checked(
            Command::new("mkfs.ext4")
                .args(["-q", "-F", "-E", "lazy_itable_init=1"])
                .arg(&path),
        )?;
        Ok(path)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.dir).ok();
    }
}

/// Some lines the guest's kernel prints even when told to be quiet.
fn is_kernels(line: &str) -> bool {
    [
        "SELinux: ",
        "mmapper_init",
        "Failed to initialize ubd",
        "reboot: ",
        "Core dump limits",
        "random: ",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

/// Quotes a word for the shell.
fn quoted(word: impl AsRef<OsStr>) -> String {
    let word = word.as_ref().to_string_lossy();
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words_in_the_shell() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
