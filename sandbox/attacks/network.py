"""Attacks over the network, to the outside and to the machine that the engine runs on."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sandbox.attacks.target import Attack, Escaped, Target, must_not_escape

_SIOCGIFADDR = 0x8915
"""Linux: the address of an interface."""

_CONNECT = """
def connect(where, port, family=socket.AF_INET):
    def go():
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.settimeout(2)
            s.connect((where, port))
    tried(f"connected to {where}:{port}", go)
"""

RAW = """
for name, family, kind, protocol in (
    ("packet", socket.AF_PACKET, socket.SOCK_RAW, 3),
    ("raw ICMP", socket.AF_INET, socket.SOCK_RAW, 1),
    ("raw TCP", socket.AF_INET, socket.SOCK_RAW, 6),
    ("raw ICMPv6", socket.AF_INET6, socket.SOCK_RAW, 58),
    ("vsock", 40, socket.SOCK_STREAM, 0),
):
    def go():
        s = socket.socket(family, kind, protocol)
        if family == 40: s.settimeout(2); s.connect((2, 22))
    tried(f"opened a {name} socket", go)
with open("/proc/net/dev") as file:
    names = {line.split(":")[0].strip() for line in file.readlines()[2:]}
links = {name for name in names if open(f"/sys/class/net/{name}/operstate").read() == "up\\n"}
if links - {"lo"}: print("ESCAPED has the network interfaces", *sorted(links))
"""

OUT = (
    _CONNECT
    + """
for name in ("example.com", "index.test", "github.com"):
    tried(f"resolved {name}", lambda: socket.getaddrinfo(name, 443))
for line in open("/etc/resolv.conf"):
    words = line.split()
    if words[:1] == ["nameserver"]: connect(words[1], 53, socket.AF_INET6 if ":" in words[1] else 2)
question = bytes.fromhex("123401000001000000000000076578616d706c6503636f6d0000010001")
for server in ("1.1.1.1", "8.8.8.8", "127.0.0.11"):
    def ask():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(2); s.connect((server, 53)); s.send(question); s.recv(512)
    tried(f"asked the name server {server}", ask)
for where in ("1.1.1.1", "93.184.215.14"):
    connect(where, 80); connect(where, 443)
connect("2606:4700:4700::1111", 443, socket.AF_INET6)
"""
)

METADATA = (
    _CONNECT
    + """
for where in ("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16"):
    connect(where, 80)
connect("fd00:ec2::254", 80, socket.AF_INET6)
tried("resolved the metadata service", lambda: socket.getaddrinfo("metadata.google.internal", 80))
"""
)

SOCKETS = """
import stat
for top, folders, files in os.walk("/"):
    folders[:] = [f for f in folders if os.path.join(top, f) not in ("/proc", "/sys")]
    for name in files:
        path = os.path.join(top, name)
        try:
            if stat.S_ISSOCK(os.lstat(path).st_mode): print("ESCAPED found the socket", path)
        except OSError: pass
for name in ("DOCKER_HOST", "CONTAINER_HOST", "KUBERNETES_SERVICE_HOST"):
    if name in os.environ: print("ESCAPED knows", name)
if os.path.exists("/var/run/secrets/kubernetes.io"): print("ESCAPED has a service account")
"""


async def raw_sockets(target: Target) -> None:
    """Sockets below TCP and UDP, and any interface but loopback."""
    await must_not_escape(await target.open(), RAW)


async def the_outside(target: Target) -> None:
    """Names, name servers and web servers."""
    await must_not_escape(await target.open(), OUT, timeout_s=60)


async def cloud_metadata(target: Target) -> None:
    """Addresses at which clouds give credentials away."""
    await must_not_escape(await target.open(), METADATA, timeout_s=40)


async def engine_sockets(target: Target) -> None:
    """The engine's socket, or any other, in the sandbox's files."""
    await must_not_escape(await target.open(), SOCKETS)


async def host_gateway(target: Target) -> None:
    """A server on this machine, at all its addresses, and one on an abstract Unix socket."""
    box = await target.open()
    name = f"patchwright-attack-{os.urandom(8).hex()}"
    async with _listening(name) as (port, reached):
        addresses = ["172.17.0.1", "10.0.2.2", "192.168.65.2", "192.168.65.254", *_own_addresses()]
        script = (
            f"for where in {sorted(set(addresses))!r}: connect(where, {port})\n"
            "for name in ('host.docker.internal', 'host.containers.internal', 'gateway'):\n"
            "    tried(f'resolved {name}', lambda: socket.getaddrinfo(name, 80))\n"
            "s = socket.socket(socket.AF_UNIX)\n"
            f"tried('connected to an abstract socket', lambda: s.connect('\\0{name}'))\n"
        )
        await must_not_escape(box, _CONNECT + script, timeout_s=40)
        if reached:
            raise Escaped("a server of the host was reached")


@asynccontextmanager
async def _listening(name: str) -> AsyncIterator[tuple[int, list[str]]]:
    """Servers on this machine; returns the TCP one's port and a list of who came."""
    reached: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str(writer.get_extra_info("peername"))
        reached.append(peer)
        writer.close()

    tcp = await asyncio.start_server(handle, None, 0, family=socket.AF_INET)
    abstract = await asyncio.start_unix_server(handle, f"\0{name}")
    async with tcp, abstract:
        yield tcp.sockets[0].getsockname()[1], reached


def _own_addresses() -> list[str]:
    """This machine's addresses, as far as it knows them without asking anyone."""
    found = []
    for _, name in socket.if_nameindex():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            found += _address_of(probe, name)
    return [address for address in found if not address.startswith("127.")]


def _address_of(probe: socket.socket, interface: str) -> list[str]:
    request = interface.encode()[:15].ljust(40, b"\0")
    try:
        answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
    except OSError:
        return []
    return [socket.inet_ntoa(answer[20:24])]


ATTACKS = (
    Attack("raw sockets", raw_sockets),
    Attack("DNS and HTTP out", the_outside),
    Attack("cloud metadata address", cloud_metadata),
    Attack("docker.sock and other sockets", engine_sockets),
    Attack("host gateway", host_gateway),
)
