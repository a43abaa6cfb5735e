"""Attacks by system calls that no program under test needs, and by what processes inherit."""

from __future__ import annotations

from sandbox.attacks.target import Attack, Escaped, Target, must_answer, must_not_escape

CALL = """
import ctypes, platform
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(4096)
# Of the calls that are older than Linux 5.1, whose numbers differ: x86-64, then all others.
NUMBERS = {
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "unshare": (272, 97), "setns": (308, 268), "clone": (56, 220),
    "pivot_root": (155, 41), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "adjtimex": (159, 171),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "acct": (163, 89), "quotactl": (179, 60), "syslog": (103, 116), "swapon": (167, 224),
    "move_pages": (279, 239), "fanotify_init": (300, 262), "sched_setscheduler": (144, 119),
    "io_uring_setup": 425, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432,
    "pidfd_open": 434, "clone3": 435, "pidfd_getfd": 438, "process_madvise": 440,
    "mount_setattr": 442, "quotactl_fd": 443,
}
def call(name, *words):
    number = NUMBERS[name]
    if isinstance(number, tuple):
        number = number[platform.machine() != "x86_64"]
    def go():
        ctypes.set_errno(0)
        result = libc.syscall(number, *words)
        if result == 0 and name in ("clone", "clone3"):
            os._exit(0)
        # A call that looked at its arguments was let through, whatever it thinks of them.
        if result >= 0 or ctypes.get_errno() not in (1, 13, 38):
            return
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    tried(f"called {name}", go)
"""

_KEYS = """
call("add_key", b"user", b"attack", b"v", 1, -3)
call("request_key", b"user", b"attack", 0, -3)
for ring in (-1, -2, -3, -4, -5): call("keyctl", 0, ring, 1)
"""
_MODULES = """
call("init_module", buffer, 16, b""); call("finit_module", 0, b"", 0)
call("delete_module", b"overlay", 0); call("kexec_load", 0, 0, 0, 0)
call("kexec_file_load", 0, 0, 0, b"", 0); call("reboot", 0xfee1dead, 672274793, 0)
"""
NAMESPACES = """
flags = {"user": 0x10000000, "mount": 0x20000, "network": 0x40000000, "process": 0x20000000,
         "IPC": 0x08000000, "UTS": 0x04000000, "cgroup": 0x02000000, "time": 0x80}
for flag in flags.values():
    call("unshare", flag)
    if flag != 0x80: call("clone", flag | 17, 0, 0, 0, 0)
    call("clone3", (ctypes.c_uint64 * 11)(flag, 0, 0, 0, 17), 88)
for name in os.listdir("/proc/self/ns"):
    call("setns", os.open(f"/proc/self/ns/{name}", 0), 0)
call("setns", libc.syscall(434, 1, 0), 0x20000)
"""
_MOUNTS = """
call("fsopen", b"tmpfs", 0); call("open_tree", -100, b"/", 1); call("fsmount", 0, 0, 0)
call("move_mount", -100, b"/", -100, b"/tmp", 0); call("pivot_root", b"/tmp", b"/tmp")
call("mount_setattr", -100, b"/", 0, (ctypes.c_uint64 * 4)(), 32)
call("name_to_handle_at", -100, b"/", buffer, buffer, 0); call("open_by_handle_at", -100, buffer, 0)
"""
_CLOCK = """
call("settimeofday", buffer, 0); call("clock_settime", 0, buffer); call("adjtimex", buffer)
"""
_PROCESSES = """
import socket as sockets
vector = (ctypes.c_uint64 * 2)(ctypes.addressof(buffer), 16)
call("process_vm_readv", 1, vector, 1, vector, 1, 0)
call("process_vm_writev", 1, vector, 1, vector, 1, 0)
call("kcmp", 1, os.getpid(), 0, 0, 0)
handle = libc.syscall(434, 1, 0)
call("pidfd_getfd", handle, 0, 0); call("process_madvise", handle, vector, 1, 20, 0)
call("move_pages", 1, 0, 0, 0, 0, 0)
"""
_ACCOUNTING = """
call("acct", b"/tmp/x"); call("quotactl", 0x800007 << 8, b"/", 0, buffer)
call("quotactl_fd", 0, 0x800007 << 8, 0, buffer); call("syslog", 3, buffer, 64)
call("swapon", b"/tmp/x", 0); call("fanotify_init", 0, 0)
"""
_PRIORITY = """
import resource
call("sched_setscheduler", 0, 1, (ctypes.c_int * 1)(50))
tried("became more important", lambda: os.nice(-10))
tried("became safe from the kernel's killer",
      lambda: open("/proc/self/oom_score_adj", "wb", buffering=0).write(b"-1000"))
for name in ("NOFILE", "MEMLOCK", "MSGQUEUE", "RTPRIO", "NICE", "CORE"):
    def go():
        kind = getattr(resource, f"RLIMIT_{name}")
        limit = resource.getrlimit(kind)[1]
        if limit == -1: return
        resource.setrlimit(kind, (limit + 1, limit + 1))
    tried(f"raised its limit {name}", go)
"""
_FAMILIES = """
names = {40: "vsock", 38: "kernel crypto", 17: "packet", 44: "XDP", 31: "Bluetooth", 29: "CAN",
         30: "TIPC", 21: "RDS", 41: "KCM", 43: "SMC", 15: "PF_KEY", 24: "PPPoX", 9: "X.25"}
for family, name in names.items():
    for kind in (1, 2, 3, 5):
        tried(f"made a {name} socket", lambda: socket.socket(family, kind).close())
"""
_NETLINK = """
import struct
def ask(kind, flags, body):
    def go():
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
            s.settimeout(2); s.bind((0, 0))
            s.send(struct.pack("=IHHII", 16 + len(body), kind, flags | 5, 1, 0) + body)
            answer = s.recv(4096)
            error = struct.unpack_from("=i", answer, 16)[0]
            if error: raise OSError(-error, os.strerror(-error))
    return go
link = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + struct.pack("=HH", 16 + 4, 18 | 0x8000)
link += struct.pack("=HH8s", 12, 1, b"dummy\\0\\0\\0") + b"\\0" * 4
tried("made an interface", ask(16, 0x600, link))
tried("changed an interface", ask(19, 0, struct.pack("=BxHiII", 0, 0, 1, 0, 1)))
address = struct.pack("=BBBBI", 2, 8, 0, 0, 1) + struct.pack("=HH4s", 8, 2, bytes((10, 9, 8, 7)))
tried("made an address", ask(20, 0x600, address))
route = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + struct.pack("=HHI", 8, 4, 1)
tried("made a route", ask(24, 0x600, route))
"""
_INHERITED = """
own = os.stat("/")
for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdigit()):
    try: names = os.listdir(f"/proc/{pid}/fd")
    except OSError: continue
    for name in names:
        path = f"/proc/{pid}/fd/{name}"
        try: where = os.readlink(path)
        except OSError: continue
        if os.path.isdir(path) and not where.startswith(("/workspace", "/tmp", "/home", "/proc")):
            print("ESCAPED process", pid, "holds the folder", where)
for number in range(3, 64):
    def climb():
        os.chdir(f"/proc/self/fd/{number}")
        if os.path.exists("../../../../../../var/lib/docker") or os.stat(".").st_dev == 0: return
        raise OSError("not the host")
    tried(f"went to the host by descriptor {number}", climb)
"""


async def _calls(target: Target, script: str) -> None:
    box = await target.open()
    await must_not_escape(box, CALL + script)
    await must_answer(box)


async def io_uring(target: Target) -> None:
    """A ring by which the kernel does a process' input and output, past what watches calls."""
    await _calls(target, 'call("io_uring_setup", 8, buffer)')


async def bpf(target: Target) -> None:
    """Programs loaded into the kernel."""
    await _calls(target, "for command in (0, 1, 5): call('bpf', command, buffer, 128)")


async def userfaultfd(target: Target) -> None:
    """Page faults handled by oneself, by which races in the kernel are won."""
    await _calls(target, "call('userfaultfd', 0); call('userfaultfd', 1)")


async def perf_events(target: Target) -> None:
    """Counters of the processor, and what other processes do."""
    await _calls(target, "call('perf_event_open', buffer, 0, -1, -1, 0)")


async def keyrings(target: Target) -> None:
    """The kernel's key store, which namespaces do not separate."""
    await _calls(target, _KEYS)


async def modules(target: Target) -> None:
    """Modules loaded and removed, another kernel, a restart."""
    await _calls(target, _MODULES)


async def namespaces(target: Target) -> None:
    """Namespaces of one's own in every way, and those of others."""
    await _calls(target, NAMESPACES)


async def new_mount_calls(target: Target) -> None:
    """The mount calls since Linux 5.2, another root, files by their handles."""
    await _calls(target, _MOUNTS)


async def clocks(target: Target) -> None:
    """The machine's clock, which all containers share."""
    await _calls(target, _CLOCK)


async def other_processes_memory(target: Target) -> None:
    """Memory and descriptors of init, without a trace."""
    await _calls(target, _PROCESSES)


async def accounting(target: Target) -> None:
    """The kernel's log, accounting, quotas, swap, watches over whole file systems."""
    await _calls(target, _ACCOUNTING)


async def priorities(target: Target) -> None:
    """Real-time and other priorities, limits raised, safety from the kernel's killer."""
    await _calls(target, _PRIORITY)


async def socket_families(target: Target) -> None:
    """Sockets to the hypervisor, and of families that programs under test have no use for."""
    box = await target.open()
    await must_not_escape(box, _FAMILIES)


async def netlink(target: Target) -> None:
    """Interfaces, addresses and routes made."""
    box = await target.open()
    await must_not_escape(box, _NETLINK)


async def inherited_descriptors(target: Target) -> None:
    """Folders of the host that a process was left with (as in CVE-2024-21626)."""
    box = await target.open()
    await must_not_escape(box, _INHERITED)


async def core_dumps(target: Target) -> None:
    """A crash that would leave a file, or start a program of the host."""
    box = await target.open()
    crash = "ulimit -c unlimited; python3 -c 'import os; os.kill(os.getpid(), 11)'"
    result = await box.run(f"{crash}; ulimit -c; find /workspace /tmp /home /run -name 'core*'")
    if result.text.split()[-1:] != ["0"]:
        raise Escaped(f"a core was dumped: {result.text[-200:]!r}")
    await must_answer(box)


ATTACKS = (
    Attack("io_uring", io_uring),
    Attack("bpf", bpf),
    Attack("userfaultfd", userfaultfd),
    Attack("perf events", perf_events),
    Attack("kernel keyrings", keyrings),
    Attack("kernel modules, kexec, reboot", modules),
    Attack("namespaces by unshare, clone, clone3, setns", namespaces),
    Attack("new mount calls and file handles", new_mount_calls),
    Attack("the machine's clock", clocks),
    Attack("memory and descriptors of init", other_processes_memory),
    Attack("kernel log, accounting, quotas, swap", accounting),
    Attack("priorities and limits raised", priorities),
    Attack("vsock and other socket families", socket_families),
    Attack("interfaces and routes by netlink", netlink),
    Attack("inherited descriptors of the host", inherited_descriptors),
    Attack("core dumps", core_dumps),
)
