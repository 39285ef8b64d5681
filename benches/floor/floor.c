// The floor: what the kernel has to do for one container of `hull run --rm --network none IMAGE true`, and nothing else.
//
//   floor LOWER SCRATCH BASE FILTER PROGRAM CGROUP...
//
// LOWER    the only layer, a directory           SCRATCH  where upper and work are made and removed
// BASE     first host id of the container's 65,536  FILTER  struct sock_filter, one after another
// CGROUP   a directory to make in one hierarchy: NAME=PATH; NAME is empty for the unified one
//
// One process, one clone3, one exec. It shares no code with Hull, shares nothing between starts, writes no record, keeps no log
// and explains no failure. `cargo xtask bench --check` fails when this file grows beyond the line count in budgets.toml.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h> // struct clone_args
#include <linux/seccomp.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_GROUPS = 16, MAX_FILTER = 4096 };
static const char *const MASKED[] = {
    "proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats", "proc/sched_debug",
    "proc/scsi", "proc/timer_list", "proc/timer_stats", "sys/devices/virtual/powercap", "sys/firmware", 0};
static const char *const READ_ONLY[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger", 0},
    *const STAGE[] = {"empty", "files", "cgroup", "dev"}, *const FILES[] = {"hosts", "hostname", "resolv.conf", 0};
static const struct { const char *name; int major, minor; } NODES[] = {
    {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
static const char *const LINKS[][2] = {{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"}, {"core", "/proc/kcore"}, {"ptmx", "pts/ptmx"}};
// CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP
static const unsigned CAPABILITIES = 0xa80425fb;

struct hierarchy { char *name, *path; int dir, tasks; };
static struct hierarchy groups[MAX_GROUPS];
static int group_count;
static struct sock_filter filter[MAX_FILTER];
static unsigned short filter_length;

static void die(const char *what)
{
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    _exit(125);
}
#define MUST(call) ({ long result_ = (long)(call); if (result_ < 0) die(#call); (int)result_; })

static void put(int dir, const char *name, int mode, const char *text)
{
    int file = MUST(openat(dir, name, O_WRONLY | O_CLOEXEC | (mode ? O_CREAT : 0), mode));
    if (*text)
        MUST(write(file, text, strlen(text)));
    close(file);
}

static int clone_of(int dir, const char *path, unsigned flags, struct mount_attr *attr)
{
    int mount = MUST(open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags | (*path ? 0 : AT_EMPTY_PATH)));
    if (attr)
        MUST(mount_setattr(mount, "", AT_EMPTY_PATH | (flags & AT_RECURSIVE), attr, sizeof *attr));
    return mount;
}

static void attach(int mount, int dir, const char *path)
{
    MUST(move_mount(mount, "", dir, path, MOVE_MOUNT_F_EMPTY_PATH));
    close(mount);
}

// Options are pairs, a null ends them.
static int fresh(const char *kind, unsigned attributes, const char *const *options)
{
    int context = MUST(fsopen(kind, FSOPEN_CLOEXEC));
    for (; options && *options; options += 2)
        MUST(fsconfig(context, FSCONFIG_SET_STRING, options[0], options[1], 0));
    MUST(fsconfig(context, FSCONFIG_CMD_CREATE, 0, 0, 0));
    return MUST(fsmount(context, FSMOUNT_CLOEXEC, attributes));
}

static int overlay(int lower, int upper, int work)
{
    int context = MUST(fsopen("overlay", FSOPEN_CLOEXEC));
    MUST(fsconfig(context, FSCONFIG_SET_FD, "lowerdir+", 0, lower));
    MUST(fsconfig(context, FSCONFIG_SET_FD, "upperdir", 0, upper));
    MUST(fsconfig(context, FSCONFIG_SET_FD, "workdir", 0, work));
    MUST(fsconfig(context, FSCONFIG_SET_STRING, "redirect_dir", "on", 0));
    MUST(fsconfig(context, FSCONFIG_SET_STRING, "metacopy", "on", 0));
    MUST(fsconfig(context, FSCONFIG_SET_STRING, "xino", "on", 0));
    MUST(fsconfig(context, FSCONFIG_SET_FLAG, "volatile", 0, 0)); // as for every container with --rm: no sync at the end
    MUST(fsconfig(context, FSCONFIG_CMD_CREATE, 0, 0, 0));
    int mount = MUST(fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV));
    struct statvfs state;
    MUST(fstatvfs(mount, &state));
    if (state.f_flag & ST_RDONLY)
        errno = EROFS, die("overlay");
    return mount;
}

// One tmpfs for /dev, the files in /etc, and what masks: the parent makes it, since mknod is refused inside.
static int backstage(void)
{
    static const char *const OPTIONS[] = {"mode", "0755", "size", "65536k", 0};
    int tmpfs = fresh("tmpfs", MOUNT_ATTR_NOSUID, OPTIONS);
    for (int i = 0; i < 4; i++)
        MUST(mkdirat(tmpfs, STAGE[i], 0755));
    int dir = MUST(openat(tmpfs, "files", O_PATH | O_CLOEXEC));
    for (int i = 0; FILES[i]; i++)
        put(dir, FILES[i], 0644, "127.0.0.1 localhost\n");
    dir = MUST(openat(tmpfs, "cgroup", O_PATH | O_CLOEXEC));
    for (int i = 0; i < group_count; i++)
        MUST(mkdirat(dir, *groups[i].name ? groups[i].name : "unified", 0755));
    dir = MUST(openat(tmpfs, "dev", O_PATH | O_CLOEXEC));
    MUST(mkdirat(dir, "pts", 0755));
    MUST(mkdirat(dir, "shm", 01777));
    MUST(mkdirat(dir, "mqueue", 01777));
    for (int i = 0; i < 6; i++) {
        MUST(symlinkat(LINKS[i][1], dir, LINKS[i][0]));
        MUST(mknodat(dir, NODES[i].name, S_IFCHR | 0666, makedev(NODES[i].major, NODES[i].minor)));
    }
    return tmpfs;
}

// With `all`, raises what is permitted (setfsuid lowered it); else leaves docker's default set.
static void capabilities(int all)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{CAPABILITIES, CAPABILITIES, 0}, {0, 0, 0}};
    if (all)
        MUST(syscall(SYS_capget, &header, data));
    data[0].effective = data[0].permitted, data[1].effective = data[1].permitted;
    MUST(syscall(SYS_capset, &header, data));
}

// In the container: puts the parts together.
static void assemble(int root, int stage, const int *clones)
{
    static const char *const PTS[] = {"ptmxmode", "0666", "mode", "0620", "gid", "5", 0};
    static const char *const SHM[] = {"mode", "1777", "size", "67108864", 0};
    const unsigned plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODEV;
    struct mount_attr read_only = {.attr_set = MOUNT_ATTR_RDONLY};
    struct mount_attr group_attr = {.attr_set = MOUNT_ATTR_RDONLY | plain};
    MUST(move_mount(stage, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
    MUST(move_mount(root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
    attach(fresh("proc", plain, 0), root, "proc");
    attach(clone_of(stage, "dev", 0, 0), root, "dev");
    attach(fresh("devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, PTS), root, "dev/pts");
    attach(fresh("sysfs", plain | MOUNT_ATTR_RDONLY, 0), root, "sys");
    int dir = clone_of(stage, "cgroup", 0, &group_attr);
    MUST(move_mount(dir, "", root, "sys/fs/cgroup", MOVE_MOUNT_F_EMPTY_PATH));
    for (int i = 0; i < group_count; i++) {
        MUST(mount_setattr(clones[i], "", AT_EMPTY_PATH, &group_attr, sizeof group_attr));
        attach(clones[i], dir, *groups[i].name ? groups[i].name : "unified");
    }
    attach(fresh("mqueue", plain, 0), root, "dev/mqueue");
    attach(fresh("tmpfs", plain, SHM), root, "dev/shm");
    for (int i = 0; FILES[i]; i++) {
        char path[64], from[64];
        snprintf(path, sizeof path, "etc/%s", FILES[i]);
        if (faccessat(root, path, F_OK, AT_SYMLINK_NOFOLLOW))
            put(root, path, 0644, "");
        snprintf(from, sizeof from, "files/%s", FILES[i]);
        attach(clone_of(stage, from, 0, 0), root, path);
    }
    for (int i = 0; READ_ONLY[i]; i++)
        if (faccessat(root, READ_ONLY[i], F_OK, 0) == 0)
            attach(clone_of(root, READ_ONLY[i], AT_RECURSIVE, &read_only), root, READ_ONLY[i]);
    for (int i = 0; MASKED[i]; i++) {
        struct stat there;
        if (fstatat(root, MASKED[i], &there, 0) == 0) {
            int is_dir = S_ISDIR(there.st_mode);
            attach(clone_of(stage, is_dir ? "empty" : "dev/null", 0, is_dir ? &read_only : 0), root, MASKED[i]);
        }
    }
    MUST(fchdir(root));
    MUST(syscall(SYS_pivot_root, ".", "."));
    MUST(umount2(".", MNT_DETACH)); // the stage, which lies on the old root
    MUST(umount2(".", MNT_DETACH)); // the old root
    MUST(chdir("/"));
}

static void container(int channel, const char *program)
{
    for (int i = 0; i < group_count; i++)
        if (*groups[i].name)
            MUST(write(groups[i].tasks, "0", 1));
    int fds[MAX_GROUPS + 2];
    char byte, control[CMSG_SPACE(sizeof fds)];
    struct iovec iov = {&byte, 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) != 1)
        die("recvmsg");
    memcpy(fds, CMSG_DATA(CMSG_FIRSTHDR(&message)), (group_count + 2) * sizeof *fds);
    MUST(setresgid(0, 0, 0));
    MUST(setgroups(0, 0));
    MUST(setresuid(0, 0, 0));
    MUST(unshare(CLONE_NEWCGROUP | CLONE_NEWIPC));
    struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int net = MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    MUST(ioctl(net, SIOCSIFFLAGS, &lo));
    MUST(sethostname("floor", 5));
    assemble(fds[0], fds[1], fds + 2);
    MUST(prctl(PR_SET_PDEATHSIG, SIGKILL));
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        if (cap > 31 || !(CAPABILITIES >> cap & 1))
            MUST(prctl(PR_CAPBSET_DROP, cap));
    MUST(syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */));
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &(struct sock_fprog){filter_length, filter}));
    capabilities(0);
    char *const arguments[] = {(char *)program, 0}, *const environment[] = {"PATH=/bin", 0};
    execve(program, arguments, environment);
    die(program);
}

static int removed(const char *path, const struct stat *stat, int kind, struct FTW *place)
{
    (void)stat, (void)kind;
    return place->level ? remove(path) : 0;
}

int main(int count, char **words)
{
    if (count < 6 || count - 6 > MAX_GROUPS)
        return fputs("usage: floor LOWER SCRATCH BASE FILTER PROGRAM CGROUP...\n", stderr), 2;
    const char *base = words[3];
    umask(0);
    int lower = MUST(open(words[1], O_PATH | O_CLOEXEC)), scratch = MUST(open(words[2], O_PATH | O_CLOEXEC));
    int file = MUST(open(words[4], O_RDONLY | O_CLOEXEC));
    filter_length = MUST(read(file, filter, sizeof filter)) / sizeof *filter;
    close(file);
    MUST(mkdirat(scratch, "upper", 0755));
    MUST(mkdirat(scratch, "work", 0755));
    int into = -1;
    for (; group_count < count - 6; group_count++) {
        struct hierarchy *group = &groups[group_count];
        group->name = words[6 + group_count];
        *strchr(group->name, '=') = 0, group->path = group->name + strlen(group->name) + 1;
        MUST(mkdir(group->path, 0755));
        group->dir = MUST(open(group->path, O_PATH | O_DIRECTORY | O_CLOEXEC));
        if (!strcmp(group->name, "pids"))
            put(group->dir, "pids.max", 0, "4096");
        if (*group->name)
            group->tasks = MUST(openat(group->dir, "tasks", O_WRONLY | O_CLOEXEC));
        else
            into = group->dir;
    }
    int status, channel[2], fds[MAX_GROUPS + 2];
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel));
    struct clone_args clone = {.flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWNET
            | (into < 0 ? 0 : CLONE_INTO_CGROUP), .exit_signal = SIGCHLD, .cgroup = into < 0 ? 0 : into};
    pid_t pid = MUST(syscall(SYS_clone3, &clone, sizeof clone));
    if (!pid)
        container(channel[1], words[5]);
    char text[64], control[CMSG_SPACE(sizeof fds)] = {0};
    snprintf(text, sizeof text, "/proc/%d", pid);
    int proc = MUST(open(text, O_PATH | O_CLOEXEC));
    snprintf(text, sizeof text, "0 %s 65536", base);
    put(proc, "uid_map", 0, text);
    put(proc, "gid_map", 0, text);
    struct mount_attr map = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = MUST(openat(proc, "ns/user", O_RDONLY | O_CLOEXEC))};
    MUST(prlimit(pid, RLIMIT_NOFILE, &(struct rlimit){1024, 20000}, 0));
    int layer = clone_of(lower, "", 0, &map), pod = clone_of(scratch, "", 0, &map);
    int upper = MUST(openat(pod, "upper", O_PATH | O_CLOEXEC)), work = MUST(openat(pod, "work", O_PATH | O_CLOEXEC));
    setfsgid(atoi(base)), setfsuid(atoi(base)); // else the overlay comes up read-only; see reference on id-mapped uppers
    capabilities(1);
    fds[0] = overlay(layer, upper, work);
    fds[1] = backstage();
    setfsuid(0), setfsgid(0);
    for (int i = 0; i < group_count; i++)
        fds[i + 2] = clone_of(groups[i].dir, "", 0, 0);
    size_t length = (group_count + 2) * sizeof *fds;
    struct iovec iov = {"", 1};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(length)};
    *CMSG_FIRSTHDR(&message) = (struct cmsghdr){CMSG_LEN(length), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, length);
    MUST(sendmsg(channel[0], &message, 0));
    MUST(waitpid(pid, &status, 0));
    for (int i = 0; i < group_count; i++)
        MUST(rmdir(groups[i].path));
    MUST(nftw(words[2], removed, 16, FTW_DEPTH | FTW_PHYS));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
