"""The system calls that programs in a sandbox may make, by machine.

What ordinary programs of a Debian or Ubuntu system need (shells, coreutils, Python, Perl, compilers), without
those that reach the host, other namespaces, or what the kernel counts for the whole machine: mounts, modules,
clocks, keyrings, asynchronous I/O, io_uring, BPF, tracing, NUMA policies, new namespaces. `clone`, `clone3`,
`socket` and `socketpair` are not listed: for them the filter looks at the arguments.

Each table gives the names of consecutive numbers by the first of them.
"""

from __future__ import annotations

# Since Linux 5.1 a new call has one number on every machine.
_COMMON = {
    424: "pidfd_send_signal",
    434: "pidfd_open",
    436: "close_range openat2",
    439: "faccessat2",
    441: "epoll_pwait2",
    444: "landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    448: "process_mrelease futex_waitv",
    451: "cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue",
    462: "mseal",
}
_X86_64 = {
    0: (
        "read write open close stat fstat lstat poll lseek mmap mprotect munmap brk rt_sigaction "
        "rt_sigprocmask rt_sigreturn ioctl pread64 pwrite64 readv writev access pipe select sched_yield "
        "mremap msync mincore madvise shmget shmat shmctl dup dup2 pause nanosleep getitimer alarm "
        "setitimer getpid sendfile"
    ),
    42: "connect accept sendto recvfrom sendmsg recvmsg shutdown bind listen getsockname getpeername",
    54: "setsockopt getsockopt",
    57: (
        "fork vfork execve exit wait4 kill uname semget semop semctl shmdt msgget msgsnd msgrcv msgctl "
        "fcntl flock fsync fdatasync truncate ftruncate getdents getcwd chdir fchdir rename mkdir rmdir "
        "creat link unlink symlink readlink chmod fchmod chown fchown lchown umask gettimeofday getrlimit "
        "getrusage sysinfo times"
    ),
    102: "getuid",
    104: (
        "getgid setuid setgid geteuid getegid setpgid getppid getpgrp setsid setreuid setregid getgroups "
        "setgroups setresuid getresuid setresgid getresgid getpgid setfsuid setfsgid getsid capget capset "
        "rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigsuspend sigaltstack utime mknod"
    ),
    135: "personality",
    137: "statfs fstatfs",
    140: (
        "getpriority setpriority sched_setparam sched_getparam sched_setscheduler sched_getscheduler "
        "sched_get_priority_max sched_get_priority_min sched_rr_get_interval mlock munlock mlockall "
        "munlockall"
    ),
    157: "prctl arch_prctl",
    160: "setrlimit chroot sync",
    186: (
        "gettid readahead setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr "
        "flistxattr removexattr lremovexattr fremovexattr tkill time futex sched_setaffinity "
        "sched_getaffinity"
    ),
    213: "epoll_create",
    216: (
        "remap_file_pages getdents64 set_tid_address restart_syscall semtimedop fadvise64 timer_create "
        "timer_settime timer_gettime timer_getoverrun timer_delete"
    ),
    228: "clock_gettime clock_getres clock_nanosleep exit_group epoll_wait epoll_ctl tgkill utimes",
    240: "mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr",
    247: "waitid",
    251: "ioprio_set ioprio_get inotify_init inotify_add_watch inotify_rm_watch",
    257: (
        "openat mkdirat mknodat fchownat futimesat newfstatat unlinkat renameat linkat symlinkat "
        "readlinkat fchmodat faccessat pselect6 ppoll"
    ),
    273: "set_robust_list get_robust_list splice tee sync_file_range vmsplice",
    280: (
        "utimensat epoll_pwait signalfd timerfd_create eventfd fallocate timerfd_settime timerfd_gettime "
        "accept4 signalfd4 eventfd2 epoll_create1 dup3 pipe2 inotify_init1 preadv pwritev "
        "rt_tgsigqueueinfo"
    ),
    299: "recvmmsg",
    302: "prlimit64",
    306: "syncfs sendmmsg",
    309: "getcpu",
    314: "sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create",
    322: "execveat",
    324: "membarrier mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free statx",
    334: "rseq",
}
_ARM64 = {
    5: (
        "setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr "
        "removexattr lremovexattr fremovexattr getcwd"
    ),
    19: (
        "eventfd2 epoll_create1 epoll_ctl epoll_pwait dup dup3 fcntl inotify_init1 inotify_add_watch "
        "inotify_rm_watch ioctl ioprio_set ioprio_get flock mknodat mkdirat unlinkat symlinkat linkat "
        "renameat"
    ),
    43: (
        "statfs fstatfs truncate ftruncate fallocate faccessat chdir fchdir chroot fchmod fchmodat "
        "fchownat fchown openat close"
    ),
    59: "pipe2",
    61: (
        "getdents64 lseek read write readv writev pread64 pwrite64 preadv pwritev sendfile pselect6 ppoll "
        "signalfd4 vmsplice splice tee readlinkat newfstatat fstat sync fsync fdatasync sync_file_range "
        "timerfd_create timerfd_settime timerfd_gettime utimensat"
    ),
    90: "capget capset personality exit exit_group waitid set_tid_address",
    98: "futex set_robust_list get_robust_list nanosleep getitimer setitimer",
    107: "timer_create timer_gettime timer_getoverrun timer_settime timer_delete",
    113: "clock_gettime clock_getres clock_nanosleep",
    118: (
        "sched_setparam sched_setscheduler sched_getscheduler sched_getparam sched_setaffinity "
        "sched_getaffinity sched_yield sched_get_priority_max sched_get_priority_min "
        "sched_rr_get_interval restart_syscall kill tkill tgkill sigaltstack rt_sigsuspend rt_sigaction "
        "rt_sigprocmask rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_sigreturn setpriority "
        "getpriority"
    ),
    143: (
        "setregid setgid setreuid setuid setresuid getresuid setresgid getresgid setfsuid setfsgid times "
        "setpgid getpgid getsid setsid getgroups setgroups uname"
    ),
    163: "getrlimit setrlimit getrusage umask prctl getcpu gettimeofday",
    172: (
        "getpid getppid getuid geteuid getgid getegid gettid sysinfo mq_open mq_unlink mq_timedsend "
        "mq_timedreceive mq_notify mq_getsetattr msgget msgctl msgrcv msgsnd semget semctl semtimedop "
        "semop shmget shmctl shmat shmdt"
    ),
    200: (
        "bind listen accept connect getsockname getpeername sendto recvfrom setsockopt getsockopt "
        "shutdown sendmsg recvmsg readahead brk munmap mremap"
    ),
    221: "execve mmap fadvise64",
    226: "mprotect msync mlock munlock mlockall munlockall mincore madvise remap_file_pages",
    240: "rt_tgsigqueueinfo",
    242: "accept4 recvmmsg",
    260: "wait4 prlimit64",
    267: "syncfs",
    269: "sendmmsg",
    274: "sched_setattr sched_getattr renameat2 seccomp getrandom memfd_create",
    281: "execveat",
    283: "membarrier mlock2 copy_file_range preadv2 pwritev2 pkey_mprotect pkey_alloc pkey_free statx",
    293: "rseq",
}


def _numbered(*tables: dict[int, str]) -> dict[str, int]:
    runs = [(first, names.split()) for table in tables for first, names in table.items()]
    return {name: first + offset for first, names in runs for offset, name in enumerate(names)}


ALLOWED = {"x86_64": _numbered(_X86_64, _COMMON), "aarch64": _numbered(_ARM64, _COMMON)}
"""Machine to the calls that are allowed whatever their arguments, name to number."""
