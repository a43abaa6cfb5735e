"""Where set-up may connect to: names by an allow-list, addresses by what they are."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62}[a-z0-9_])?(\.[a-z0-9_-]{1,63})*\Z")
_PORTS = (80, 443)
_OVERRIDE = re.compile(rb"x-(?:http-)?method(?:-override)?", re.IGNORECASE)
Headers = Sequence[tuple[bytes, bytes]]
# What `ipaddress` counts as global in some versions: protocol assignments, site-local addresses,
# examples, and IPv4 addresses written as IPv6, which a translator or relay on the way would turn
# back. And a cloud's own services at a public address: Azure's, for every virtual machine
# (https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16).
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32"),
        *("2002::/16", "64:ff9b::/96", "64:ff9b:1::/48", "fec0::/10", "3fff::/20", "5f00::/16"),
    )
)


@dataclass(frozen=True, slots=True)
class EgressRules:
    """What the proxy lets through."""

    hosts: tuple[str, ...] = ()
    """Names; `*.example.com` is every name below example.com; `:PORT` instead of 80 and 443."""
    networks: tuple[Network, ...] = ()
    """Addresses that are no public ones and may be reached all the same: one's own mirrors."""
    authorization: dict[str, str] = field(default_factory=dict, repr=False)
    """Values of the Authorization header by host, which the proxy adds. Never enters a sandbox."""
    upload_hosts: tuple[str, ...] = ()
    """Hosts with such a value to which more than reading is permitted; patterns as in `hosts`."""

    def refusal(self, host: str, port: int) -> str:
        """Why this name and port may not be asked for; empty: they may."""
        name = canonical(host)
        if not _NAME.match(name):
            return f"{host[:80]!r} is not a host name"
        if any(_matches(entry, name, port) for entry in self.hosts):
            return ""
        if any(_matches(entry, name, 443) for entry in self.hosts):
            return f"port {port} of {name} is not on the allow-list of set-up"
        return f"{name} is not on the allow-list of set-up"

    def refused_request(self, host: str, port: int, method: bytes, headers: Headers) -> str:
        """Why this request may not be made with the host's credentials; empty: it may.

        They are the operator's: a repository's set-up may read with them, not publish.
        """
        if not self.credentials_for(host):
            return ""
        if any(_matches(entry, canonical(host), port) for entry in self.upload_hosts):
            return ""
        name = canonical(host)
        if method not in (b"GET", b"HEAD"):
            return f"{method.decode('ascii', 'replace')[:20]} to {name}: it may only be read from"
        if any(_OVERRIDE.fullmatch(field) for field, _ in headers):
            return f"a header that changes the method of a request to {name}"
        if any(f.lower() == b"transfer-encoding" or _has_body(f, value) for f, value in headers):
            return f"a {method.decode()} with a body to {name}"
        return ""

    def refused_address(self, address: str) -> str:
        """Why this address may not be connected to; empty: it may."""
        if self.names_address(address):
            return ""
        ip = ipaddress.ip_address(address.partition("%")[0])
        return "" if _is_public(ip) else f"{ip} is not a public address"

    def names_address(self, address: str) -> bool:
        """Whether the operator permitted this address by its network."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        return any(ip.version == n.version and ip in n for n in self.networks)

    def credentials_for(self, host: str) -> str:
        """The Authorization value for a host; empty: none."""
        return self.authorization.get(canonical(host), "")


def is_within(wanted: str, bounds: Sequence[str]) -> bool:
    """Whether a pattern of hosts names nothing but what one of the bounds does; `*`: everything."""
    name = wanted.lower()
    inner = name.removeprefix("*")
    return any(
        bound in ("*", name) or (bound.startswith("*.") and inner.endswith(bound[1:]))
        for bound in (b.lower() for b in bounds)
    )


def canonical(host: str) -> str:
    """A host's name as the rules compare it."""
    return host.lower().removesuffix(".")


def networks_of(texts: Sequence[str]) -> tuple[Network, ...]:
    """Networks in CIDR form. Raises `ValueError` that names the wrong one."""
    return tuple(ipaddress.ip_network(text.strip(), strict=False) for text in texts)


def parse_credentials(text: str) -> dict[str, str]:
    """Lines `HOST VALUE`, the value being an Authorization header's, e.g. `Bearer …`.

    Empty lines and those that begin with # are passed over. Raises `ValueError` with the line's
    number and none of its text.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        host, _, value = line.strip().partition(" ")
        value = value.strip()
        if not _NAME.match(canonical(host)) or not value or not value.isprintable():
            raise ValueError(f"line {number} is not `HOST VALUE`")
        found[canonical(host)] = value
    return found


def _matches(entry: str, name: str, port: int) -> bool:
    host, _, number = entry.lower().partition(":")
    if port != int(number) if number else port not in _PORTS:
        return False
    return name.endswith(host[1:]) if host.startswith("*.") else name == host


def _has_body(name: bytes, value: bytes) -> bool:
    return name.lower() == b"content-length" and value.strip() != b"0"


def _is_public(ip: Address) -> bool:
    special = any(ip.version == n.version and ip in n for n in _NOT_PUBLIC)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or special)
