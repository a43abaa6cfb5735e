"""Attacks on the kernel's borders: files of the kernel, devices, other processes, namespaces."""

from __future__ import annotations

from sandbox.attacks.target import Attack, Target, must_answer, must_not_escape

PROC = """
def write(path, data=b"1"):
    def go():
        with open(path, "wb", buffering=0) as file:
            file.write(data)
    tried(f"wrote {path}", go)
for path, data in (
    ("/proc/sys/kernel/hostname", b"owned"), ("/proc/sys/kernel/core_pattern", b"|/tmp/x"),
    ("/proc/sys/kernel/modprobe", b"/tmp/x"), ("/proc/sys/vm/overcommit_memory", b"1"),
    ("/proc/sysrq-trigger", b"h"), ("/proc/irq/default_smp_affinity", b"1"),
    ("/proc/1/oom_score_adj", b"1000"), ("/proc/1/attr/current", b"x"), ("/proc/1/uid_map", b"x"),
    ("/proc/acpi/wakeup", b"x"), ("/proc/fs/nfsd/threads", b"1"), ("/proc/bus/pci/00/00.0", b"x"),
):
    write(path, data)
def read(path):
    def go():
        with open(path, "rb") as file:
            if not file.read(64): raise OSError("empty")
    tried(f"read {path}", go)
for path in (
    "/proc/kcore", "/proc/kmsg", "/proc/1/mem", "/proc/1/environ", "/proc/keys",
    "/proc/timer_list", "/proc/sched_debug", "/proc/scsi/scsi", "/proc/1/root/etc/shadow",
):
    read(path)
"""

SYS = """
def write(path, data=b"1"):
    def go():
        with open(path, "wb", buffering=0) as file:
            file.write(data)
    tried(f"wrote {path}", go)
for path in (
    "/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/ksm/run",
    "/sys/module/overlay/parameters/metacopy", "/sys/firmware/efi/vars/del_var",
):
    write(path, b"x")
for top, folders, files in os.walk("/sys/fs/cgroup"):
    for name in files:
        if name in ("release_agent", "devices.allow", "memory.limit_in_bytes", "memory.max",
                    "pids.max", "cgroup.procs", "notify_on_release"):
            write(os.path.join(top, name), b"1")
for folder in ("/sys/fs/cgroup/made", "/sys/fs/cgroup/memory/made", "/sys/fs/cgroup/rdma/made"):
    tried(f"made {folder}", lambda: os.mkdir(folder))
"""

MOUNT = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
os.makedirs("/tmp/m", exist_ok=True)
for kind in (b"tmpfs", b"proc", b"sysfs", b"cgroup", b"overlay", b"ext4", b"fuse"):
    tried(f"mounted {kind.decode()}", lambda: check(libc.mount(b"none", b"/tmp/m", kind, 0, None)))
MS_BIND, MS_REMOUNT = 4096, 32
tried("mounted / elsewhere", lambda: check(libc.mount(b"/", b"/tmp/m", None, MS_BIND, None)))
tried("made / writable", lambda: check(libc.mount(b"none", b"/", None, MS_REMOUNT, None)))
tried("unmounted /proc", lambda: check(libc.umount2(b"/proc", 2)))
tried("changed the root", lambda: os.chroot("/tmp"))
for name, flag in (("user", 0x10000000), ("mount", 0x20000), ("network", 0x40000000),
                   ("process", 0x20000000), ("cgroup", 0x02000000)):
    tried(f"made a {name} namespace", lambda: check(libc.unshare(flag)))
for name in ("mnt", "net", "pid", "user"):
    tried(f"entered init's {name} namespace",
          lambda: check(libc.setns(os.open(f"/proc/1/ns/{name}", 0), 0)))
tried("wrote to the root", lambda: open("/usr/bin/owned", "w"))
"""

MKNOD = """
import stat
for name, kind, major, minor in (
    ("mem", stat.S_IFCHR, 1, 1), ("null", stat.S_IFCHR, 1, 3), ("disk", stat.S_IFBLK, 8, 0),
    ("vda", stat.S_IFBLK, 254, 0), ("fuse", stat.S_IFCHR, 10, 229), ("loop", stat.S_IFBLK, 7, 0),
):
    for folder in ("/tmp", "/dev", "/workspace", "/dev/shm"):
        tried(f"made {folder}/{name}",
              lambda: os.mknod(f"{folder}/{name}", kind | 0o666, os.makedev(major, minor)))
known = {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"}
for name in os.listdir("/dev"):
    mode = os.lstat(f"/dev/{name}").st_mode
    if stat.S_ISBLK(mode) or stat.S_ISCHR(mode) and name not in known:
        print("ESCAPED found the device", name)
"""

_PTRACE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206
for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
    if os.stat(f"/proc/{pid}").st_uid == os.getuid():
        continue
    for request in (PTRACE_ATTACH, PTRACE_SEIZE):
        tried(f"traced process {pid}", lambda: check(libc.ptrace(request, pid, None, None)))
    tried(f"killed process {pid}", lambda: os.kill(pid, 9))
    tried(f"read the memory of process {pid}", lambda: open(f"/proc/{pid}/mem", "rb"))
    for name in ("root", "cwd", "exe", "fd"):
        tried(f"followed {name} of process {pid}", lambda: os.listdir(f"/proc/{pid}/{name}/"))
"""

_PRIVILEGE = """
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines()
              if ":\\t" in line)
for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
    if int(status[name], 16): print("ESCAPED has capabilities", name, status[name])
if status["NoNewPrivs"].strip() != "1": print("ESCAPED may gain privileges")
if status["Seccomp"].strip() != "2": print("ESCAPED runs without a system call filter")
tried("became root", lambda: os.setuid(0))
tried("became another user", lambda: os.setgid(65534))
open("/tmp/mine", "w").close()
tried("gave a file to root", lambda: os.chown("/tmp/mine", 0, 0))
import shutil, subprocess
shutil.copy("/bin/sh", "/tmp/sh"); os.chmod("/tmp/sh", 0o6755)
for name in ("su", "mount", "newgrp", "passwd", "chsh", "/tmp/sh"):
    path = shutil.which(name)
    if path is None: continue
    command = [path, "-c", "id -u"] if name in ("su", "/tmp/sh") else [path, "--version"]
    said = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if said.stdout.strip() == "0": print("ESCAPED became root by", name)
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def check(result):
    if result < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
for name, number, words in (
    ("bpf", 321, (0, 0, 0)), ("init_module", 175, (0, 0, 0)), ("kexec_load", 246, (0, 0, 0, 0)),
    ("add_key", 248, (b"user", b"k", b"v", 1, -3)), ("userfaultfd", 323, (0,)),
    ("perf_event_open", 298, (0, 0, -1, -1, 0)), ("open_by_handle_at", 304, (0, 0, 0)),
    ("settimeofday", 164, (b"\\0" * 16, 0)), ("reboot", 169, (0, 0, 0)),
    ("swapon", 167, (b"/x", 0)),
):
    if os.uname().machine == "x86_64":
        tried(f"called {name}", lambda: check(libc.syscall(number, *words)))
"""


async def proc_writes(target: Target) -> None:
    """Kernel settings and other processes through /proc."""
    await _probe(target, PROC)


async def sys_writes(target: Target) -> None:
    """Kernel settings and limits of the container through /sys."""
    await _probe(target, SYS)


async def mounts(target: Target) -> None:
    """Mounts, namespaces, other roots."""
    await _probe(target, MOUNT)


async def device_nodes(target: Target) -> None:
    """Device files made, or found."""
    await _probe(target, MKNOD)


async def tracing(target: Target) -> None:
    """Processes of other users traced, killed, read."""
    await _probe(target, _PTRACE)


async def privileges(target: Target) -> None:
    """Root by set-user-id programs or by system calls that the engine should filter."""
    await _probe(target, _PRIVILEGE)


async def _probe(target: Target, script: str) -> None:
    box = await target.open()
    await must_not_escape(box, script)
    await must_answer(box)


ATTACKS = (
    Attack("/proc writes", proc_writes),
    Attack("/sys writes", sys_writes),
    Attack("mount and namespaces", mounts),
    Attack("mknod and devices", device_nodes),
    Attack("ptrace of init", tracing),
    Attack("privileges and system calls", privileges),
)
