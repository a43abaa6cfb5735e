"""Which system calls code in a container may make: a seccomp profile of our own.

The engine's default differs with its version: older ones let io_uring and AF_VSOCK through. This
one is the same on every engine. It is an allow-list: of Linux's calls (its tables for x86 and ARM)
those are left out that manage the machine (modules, mounts, namespaces, clocks, keys, BPF), look
into other processes' memory, or have no other user than attacks on the kernel (io_uring,
userfaultfd). What is newer than this list does not exist for the code inside: it is told ENOSYS,
for which programs have another way. Tracing one's own processes stays, for debuggers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

EPERM, ENOSYS = 1, 38

ALLOWED = """
    _llseek _newselect accept accept4 access alarm arch_prctl arm_fadvise64_64
    arm_sync_file_range bind breakpoint brk cacheflush cachestat capget capset chdir chmod chown
    chown32 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
    clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
    epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
    fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
    fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64
    fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64
    futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area get_tls getcpu
    getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups
    getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
    getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid getsockname
    getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch
    inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
    io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill
    landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr
    link linkat listen listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat
    lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat
    mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap
    mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat nice
    oldfstat oldlstat oldolduname oldstat olduname open openat openat2 pause pidfd_open
    pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64
    prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64
    pwritev pwritev2 read readahead readdir readlink readlinkat readv recvfrom recvmmsg
    recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
    restart_syscall riscv_flush_icache riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending
    rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
    rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
    sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
    sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop
    semtimedop_time64 sendfile sendfile64 sendmmsg sendmsg sendto set_robust_list
    set_thread_area set_tid_address set_tls setfsgid setfsgid32 setfsuid setfsuid32 setgid
    setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid
    setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid
    setuid32 setxattr setxattrat sgetmask shmat shmctl shmdt shmget shutdown sigaction
    sigaltstack signal signalfd signalfd4 sigpending sigprocmask sigreturn sigsuspend socketpair
    splice ssetmask stat stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range
    sync_file_range2 syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
    timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime
    timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64
    ugetrlimit umask uname unlink unlinkat utime utimensat utimensat_time64 utimes vfork
    vmsplice wait4 waitid waitpid write writev
""".split()  # noqa: SIM905 - as a list it would fill pages

SOCKET_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}

_NEW_NAMESPACES = 0x7E020000
"""Flags of clone(2): CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""Linux, 32-bit Linux, both with the old kernel's version, and the question which it is."""


def profile() -> str:
    """The profile in the form that `seccomp=` of Docker's security options takes."""
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": ENOSYS,
            "archMap": [
                {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            ],
            "syscalls": [
                _allow([*ALLOWED, "ptrace"]),
                *(_allow(["personality"], _argument(kind)) for kind in _PERSONALITIES),
                *(_allow(["socket"], _argument(kind)) for kind in SOCKET_FAMILIES.values()),
                _allow(
                    ["clone"],
                    {
                        "index": 0,
                        "value": _NEW_NAMESPACES,
                        "valueTwo": 0,
                        "op": "SCMP_CMP_MASKED_EQ",
                    },
                ),
                # Its flags are in memory, where no filter sees them; programs then use clone.
                {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS},
                # EPERM, as the engine's own profile says for what programs know to be forbidden.
                {"names": FORBIDDEN, "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM},
            ],
        }
    )


FORBIDDEN = """
    _sysctl acct add_key adjtimex bpf chroot clock_adjtime clock_adjtime64 clock_settime
    clock_settime64 delete_module fanotify_init fanotify_mark finit_module fsconfig fsmount
    fsopen fspick get_mempolicy init_module ioperm iopl kcmp kexec_file_load kexec_load keyctl
    lookup_dcookie mbind migrate_pages modify_ldt mount mount_setattr move_mount move_pages
    name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd
    pivot_root process_madvise process_vm_readv process_vm_writev quotactl quotactl_fd reboot
    request_key set_mempolicy set_mempolicy_home_node setdomainname sethostname setns
    settimeofday socketcall stime swapoff swapon sysfs syslog umount umount2 unshare uselib
    userfaultfd ustat vhangup vm86 vm86old
""".split()  # noqa: SIM905 - as a list it would fill pages
"""Calls that programs may try and must do without."""


def with_own_profile(options: dict[str, Any]) -> dict[str, Any]:
    """A container's options with this profile in place of the engine's."""
    kept = [each for each in options.get("security_opt", ()) if not each.startswith("seccomp")]
    return {**options, "security_opt": [*kept, f"seccomp={profile()}"]}


def takes_profile(info: Mapping[str, Any], version: Mapping[str, Any]) -> bool:
    """Whether an engine filters system calls by a profile that comes with the request.

    Podman expects a file on its own machine there, and keeps its default, as does an engine whose
    kernel has no such filters.
    """
    names = [str(part.get("Name", "")) for part in version.get("Components") or ()]
    filters = [str(option) for option in info.get("SecurityOptions") or ()]
    return not any("Podman" in name for name in names) and any(
        option.startswith("name=seccomp") for option in filters
    )


def _allow(names: list[str], argument: dict[str, Any] | None = None) -> dict[str, Any]:
    arguments = [argument] if argument else []
    return {"names": names, "action": "SCMP_ACT_ALLOW", "args": arguments}


def _argument(value: int) -> dict[str, Any]:
    return {"index": 0, "value": value, "valueTwo": 0, "op": "SCMP_CMP_EQ"}
