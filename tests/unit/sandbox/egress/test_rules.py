"""Which hosts and addresses a set-up may reach."""

from __future__ import annotations

import ssl

import pytest

from sandbox.egress.rules import EgressRules, is_within, networks_of, parse_credentials
from sandbox.egress.tls_hello import record_size, server_name


@pytest.mark.parametrize(
    ("host", "port"),
    [("index.test", 443), ("Index.Test.", 80), ("a.b.example.com", 443), ("mirror.test", 8443)],
)
def test_listed_hosts_pass(host: str, port: int) -> None:
    rules = EgressRules(hosts=("index.test", "*.example.com", "mirror.test:8443"))
    assert rules.refusal(host, port) == ""


@pytest.mark.parametrize(
    ("host", "port", "why"),
    [
        ("evil.org", 443, "allow-list"),
        ("index.test.evil.org", 443, "allow-list"),
        ("xindex.test", 443, "allow-list"),
        ("example.com", 443, "allow-list"),
        ("index.test", 22, "port 22"),
        ("mirror.test", 443, "allow-list"),
        ("127.0.0.1", 443, "allow-list"),
        ("2130706433", 443, "allow-list"),
        ("0x7f.1", 443, "allow-list"),
        ("[::1]", 443, "not a host name"),
        ("index.test\r\nHost: evil.org", 443, "not a host name"),
        ("index.test/@evil.org", 443, "not a host name"),
        ("", 443, "not a host name"),
    ],
)
def test_other_hosts_and_ports_do_not(host: str, port: int, why: str) -> None:
    rules = EgressRules(hosts=("index.test", "*.example.com", "mirror.test:8443"))
    assert why in rules.refusal(host, port)


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.17.0.1", "192.168.1.1"),
        *("168.63.129.16", "192.88.99.1", "fec0::1", "3fff::1", "64:ff9b:1::7f00:1"),
        *("169.254.169.254", "100.100.100.200", "192.0.0.192", "224.0.0.1", "255.255.255.255"),
        *("::1", "::", "fe80::1%eth0", "fd00:ec2::254", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
    ],
)
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert "not a public address" in EgressRules().refused_address(address)


def test_public_addresses_and_the_operators_networks_pass() -> None:
    assert EgressRules().refused_address("151.101.0.223") == ""
    assert EgressRules().refused_address("2a04:4e42::223") == ""
    rules = EgressRules(networks=networks_of(["10.20.0.0/16"]))
    assert rules.refused_address("10.20.3.4") == ""
    assert rules.refused_address("10.21.3.4")


def test_a_wrong_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        networks_of(["10.0.0.0/99"])


def test_credentials_are_read_by_host_and_never_shown() -> None:
    found = parse_credentials(
        "# ours\n\nnpm.example.com Bearer s3cret\nPyPI.example.com Basic eA=="
    )
    rules = EgressRules(authorization=found)
    assert rules.credentials_for("NPM.example.com.") == "Bearer s3cret"
    assert rules.credentials_for("pypi.example.com") == "Basic eA=="
    assert rules.credentials_for("example.com") == ""
    assert "s3cret" not in repr(rules)


def test_a_wrong_line_of_credentials_is_named_without_its_text() -> None:
    with pytest.raises(ValueError, match="line 2") as error:
        parse_credentials("a.example Bearer x\ns3cretalone")
    assert "s3cret" not in str(error.value)


def hello(name: str | None) -> bytes:
    """The first record that a real TLS client sends."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_the_name_in_a_real_client_hello_is_found() -> None:
    data = hello("registry.example.com")
    size = record_size(data[:5])
    assert size == len(data) - 5
    assert server_name(data[5:]) == "registry.example.com"


def test_a_hello_without_a_name_or_cut_short_names_nobody() -> None:
    assert server_name(hello(None)[5:]) == ""
    whole = hello("registry.example.com")[5:]
    names = {server_name(whole[:size]) for size in range(len(whole))}
    assert names <= {"", "registry.example.com"}
    assert server_name(b"GET / HTTP/1.1") == ""
    assert record_size(b"GET /") == 0


@pytest.mark.parametrize(
    ("wanted", "bounds", "within"),
    [
        ("a.corp.test", ("*.corp.test",), True),
        ("*.x.corp.test", ("*.corp.test",), True),
        ("*.corp.test", ("*.Corp.test",), True),
        ("A.test", ("a.test",), True),
        ("anything.test", ("*",), True),
        ("corp.test", ("*.corp.test",), False),
        ("*.test", ("*.corp.test",), False),
        ("*.corp.test", ("corp.test", "a.corp.test"), False),
        ("evilcorp.test", ("*.corp.test",), False),
        ("a.test", (), False),
    ],
)
def test_what_repositories_add_stays_within_bounds(
    wanted: str, bounds: tuple[str, ...], within: bool
) -> None:
    assert is_within(wanted, bounds) is within
