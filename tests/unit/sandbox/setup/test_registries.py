"""Which registries this machine's own clients use."""

from pathlib import Path

import pytest

from sandbox.setup.registries import hosts_of, machine_hosts, pip_urls


def test_hosts_of_addresses_once_each_and_sorted():
    urls = [
        "https://b.test/simple",
        "http://a.test:8080/x",
        "https://b.test:443",
        "file:///x",
        "no",
    ]
    assert hosts_of(urls) == ("a.test:8080", "b.test")


def test_pip_addresses_under_every_name_that_pip_takes():
    listed = (
        "global.index-url='https://one.test/simple'\n"
        "global.extra_index_url='https://two.test/simple https://three.test'\n"
        "global.cert='/etc/ca.crt'\n:env:.index-url='https://four.test'\n"
    )
    assert pip_urls(listed) == [
        "https://one.test/simple",
        "https://two.test/simple",
        "https://three.test",
        "https://four.test",
    ]


def test_this_machine_has_some():
    hosts = machine_hosts()
    assert hosts == tuple(sorted(set(hosts)))
    assert all("/" not in host and host for host in hosts)
    assert len(hosts) >= 2, "pip's index and its files at least"


def test_a_checkout_that_one_stands_in_is_neither_run_nor_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    betrayed = tmp_path / "betrayed"
    (tmp_path / "pip.py").write_text(f"open({str(betrayed)!r}, 'w').close()\n")
    (tmp_path / ".npmrc").write_text("registry=https://evil.test/\n")
    (tmp_path / "package.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert "evil.test" not in machine_hosts()
    assert not betrayed.exists()
    # An import path of the person's own that leads back into the checkout.
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    machine_hosts()
    assert not betrayed.exists()
