# Hull's default system call profile: what a container may call, decided by its bounding capabilities.
#
# It allows what docker's default profile allows (moby 28), so that images behave the same, with three differences:
#   * socket() looks at the 32 bits of the family that the kernel looks at: docker's 64-bit comparison lets
#     `1 << 32 | AF_VSOCK` pass. Families the kernel does not have are refused as well.
#   * uprobe, new in Linux 6.18, is allowed beside uretprobe: both are entered by the kernel's own trampolines only.
#   * rules that ask for Linux 4.8 are simply there: Hull needs 5.15.
# Everything else gets EPERM, and numbers newer than the newest one named here get ENOSYS (see `Policy`), so that C
# libraries fall back instead of failing.
#
# Grammar: `[always]`, `[with CAP_X]` or `[without CAP_X]` opens a section; a rule is `allow NAME...` or
# `errno NUMBER NAME...`, `if argN OP VALUE` at its end makes it conditional; a line that starts with blanks goes on.
# OP is one of == != < <= > >=, or `& MASK ==`.

[always]
# Reading, writing and positioning
allow read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek sendfile sendfile64
  splice tee vmsplice copy_file_range readahead fadvise64 fadvise64_64 ioctl fcntl fcntl64 flock
  sync syncfs fsync fdatasync sync_file_range truncate truncate64 ftruncate ftruncate64 fallocate
# Opening, closing, duplicating
allow open openat openat2 creat close close_range dup dup2 dup3 pipe pipe2 memfd_create memfd_secret
  name_to_handle_at
# The tree of names
allow link linkat symlink symlinkat unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir mknod mknodat
  readlink readlinkat getdents getdents64 getcwd chdir fchdir umask
# What files are and whose
allow stat stat64 lstat lstat64 fstat fstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs fstatfs64
  access faccessat faccessat2 chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32
  utime utimes futimesat utimensat utimensat_time64 cachestat statmount listmount
allow getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat
  listxattr llistxattr flistxattr listxattrat removexattr lremovexattr fremovexattr removexattrat
# Watching files
allow inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark
# Waiting for descriptors
allow poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64
  epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2
  eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
# Asynchronous I/O (io_uring is not here: it has been the kernel's richest source of escapes)
allow io_setup io_submit io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64
# Memory
allow brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall
  remap_file_pages pkey_alloc pkey_free pkey_mprotect membarrier mseal map_shadow_stack process_mrelease
# Processes and threads
allow fork vfork execve execveat exit exit_group wait4 waitid waitpid getpid getppid gettid getpgid getpgrp setpgid
  getsid setsid set_tid_address set_robust_list get_robust_list rseq prctl arch_prctl modify_ldt
  get_thread_area set_thread_area restart_syscall uretprobe uprobe getcpu pidfd_open pidfd_send_signal
  seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self
  ptrace process_vm_readv process_vm_writev
# The execution domains Linux, BSD's, both with UNAME26, and the question (-1)
allow personality if arg0 == 0
allow personality if arg0 == 0x8
allow personality if arg0 == 0x20000
allow personality if arg0 == 0x20008
allow personality if arg0 == 0xffffffff
# Locks and scheduling
allow futex futex_time64 futex_wait futex_waitv futex_wake futex_requeue
  sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam
  sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min
  sched_rr_get_interval sched_rr_get_interval_time64 getpriority setpriority ioprio_get ioprio_set
# Signals
allow kill tkill tgkill rt_sigaction rt_sigprocmask rt_sigpending rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn
  rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 sigaltstack sigprocmask sigreturn pause alarm
# Clocks and timers
allow time times gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64
  clock_nanosleep clock_nanosleep_time64 nanosleep adjtimex clock_adjtime clock_adjtime64 getitimer setitimer
  timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
# Who am I, and who may I become
allow getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32
  getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32
  setresuid setresuid32 setresgid setresgid32 setgroups setgroups32 setfsuid setfsuid32 setfsgid setfsgid32
  capget capset
# Limits and the machine
allow getrlimit ugetrlimit setrlimit prlimit64 getrusage sysinfo uname getrandom riscv_hwprobe
# Sockets
allow socketpair socketcall bind listen accept accept4 connect shutdown getsockname getpeername getsockopt setsockopt
  send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64
# Families 0..37, 39 and 41..47: all but AF_ALG (38) and AF_VSOCK (40, which reaches the hypervisor)
allow socket if arg0 & 0xffffffe0 == 0
allow socket if arg0 & 0xfffffffc == 32
allow socket if arg0 & 0xfffffffe == 36
allow socket if arg0 & 0xffffffff == 39
allow socket if arg0 & 0xffffffff == 41
allow socket if arg0 & 0xfffffffe == 42
allow socket if arg0 & 0xfffffffc == 44
# System V and POSIX IPC
allow ipc shmget shmat shmdt shmctl semget semop semtimedop semtimedop_time64 semctl msgget msgsnd msgrcv msgctl
  mq_open mq_unlink mq_getsetattr mq_notify mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64

[without CAP_SYS_ADMIN]
# Any clone that makes no namespace. clone3 passes its flags in memory, where a filter cannot look, so it does not exist
# here and C libraries fall back to clone.
allow clone if arg0 & 0x7e020000 == 0
errno 38 clone3

[with CAP_SYS_ADMIN]
allow clone clone3 unshare setns mount umount umount2 mount_setattr move_mount open_tree fsopen fsconfig fsmount fspick
  quotactl quotactl_fd sethostname setdomainname syslog fanotify_init lookup_dcookie bpf perf_event_open
  lsm_get_self_attr lsm_set_self_attr lsm_list_modules

[with CAP_DAC_READ_SEARCH]
allow open_by_handle_at

[with CAP_SYS_BOOT]
allow reboot

[with CAP_SYS_CHROOT]
allow chroot

[with CAP_SYS_MODULE]
allow init_module finit_module delete_module

[with CAP_SYS_PACCT]
allow acct

[with CAP_SYS_PTRACE]
allow kcmp pidfd_getfd process_madvise

[with CAP_SYS_RAWIO]
allow iopl ioperm

[with CAP_SYS_TIME]
allow settimeofday stime clock_settime clock_settime64

[with CAP_SYS_TTY_CONFIG]
allow vhangup

[with CAP_SYS_NICE]
allow get_mempolicy set_mempolicy mbind set_mempolicy_home_node

[with CAP_SYSLOG]
allow syslog

[with CAP_BPF]
allow bpf

[with CAP_PERFMON]
allow perf_event_open
