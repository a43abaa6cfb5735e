"""Set-up against the real engine and the registries that this machine's own clients use."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import socket
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest
import yaml

from sandbox.docker.engine import DockerEngine
from sandbox.docker.prepared_volume import VOLUME_BYTES_LABEL, VOLUME_LABEL
from sandbox.egress.rules import EgressRules, networks_of
from sandbox.environment.choose import EnvironmentSettings, candidates, files_to_read
from sandbox.environment.python import steps
from sandbox.environment.records import PREFIX, Environment, Resolution, Step, apt
from sandbox.environment.tree import read_tree, tree_hash
from sandbox.errors import ImageMissing
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits
from sandbox.setup.container import SetupSpec
from sandbox.setup.disk_use import volume_bytes
from sandbox.setup.docker_images import prepare_on_engine
from sandbox.setup.prepared_images import list_images, prune
from sandbox.setup.records import PreparedEnvironment, SetupFailed, SetupPolicy, proposal
from sandbox.setup.registries import machine_hosts
from sandbox.spec import INSTALLATION_LABEL, PREPARED_LABEL, SandboxSpec
from tests.support.sandboxes.fixtures import tar_of

pytestmark = [pytest.mark.docker]

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

PYTHON = {
    "pyproject.toml": '[build-system]\nrequires = ["setuptools"]\n'
    'build-backend = "setuptools.build_meta"\n'
    '[project]\nname = "tally"\nversion = "1"\ndependencies = ["six"]\n',
    "src/tally/__init__.py": "import six\n\ndef text(x):\n    return six.text_type(x)\n",
    "tests/test_tally.py": "import tally\n\ndef test_text():\n    assert tally.text(1) == '1'\n",
}
JAVASCRIPT = {
    "package.json": '{"name": "span", "version": "1.0.0", "scripts": {"test": "mocha"}, '
    '"dependencies": {"ms": "2.1.3"}, "devDependencies": {"mocha": "^10"}}',
    "index.js": "module.exports = require('ms');\n",
    "test/span.js": "const ms = require('..');\n"
    "it('reads', () => require('assert').equal(ms('1s'), 1000));\n",
}
GO = {
    "go.mod": "module example.com/sum\n\ngo 1.19\n",
    "sum.go": "package sum\n\nfunc Sum(a, b int) int { return a + b }\n",
    "sum_test.go": 'package sum\n\nimport "testing"\n\n'
    "func TestSum(t *testing.T) {\n\tif Sum(1, 2) != 3 {\n\t\tt.Fatal()\n\t}\n}\n",
}


LOCKED_BY_UV = {
    "pyproject.toml": PYTHON["pyproject.toml"].replace('dependencies = ["six"]\n', ""),
    "uv.lock": 'version = 1\nrevision = 3\nrequires-python = ">=3.9"\n\n[[package]]\n'
    'name = "tally"\nversion = "1"\nsource = { editable = "." }\n',
    ".python-version": "3.7\n",
    "src/tally/__init__.py": "import importlib.metadata\n\n"
    "def text():\n    return importlib.metadata.version('tally')\n",
    "tests/test_tally.py": "import tally\n\ndef test_text():\n    assert tally.text() == '1'\n",
}


def policy() -> SetupPolicy:
    """The machine's own registries, at the addresses that they have here, public or not."""
    hosts = machine_hosts()
    addresses = set()
    for host in hosts:
        with contextlib.suppress(OSError):
            addresses |= {str(a[4][0]) for a in socket.getaddrinfo(host.split(":")[0], 443)}
    return SetupPolicy(
        EgressRules(hosts=hosts, networks=networks_of(sorted(addresses))),
        ca_file=CERTIFICATES if CERTIFICATES.is_file() else None,
        timeout_s=600,
    )


class Workshop:
    """Prepares trees for an installation of its own."""

    def __init__(self, engine: DockerEngine, folder: Path) -> None:
        self.engine = engine
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.spec = SetupSpec(BASE_IMAGE, Limits(), self.name, self.name)
        self._folder = folder

    def tar(self, files: dict[str, str]) -> Path:
        return tar_of(dict(files), self._folder / f"{uuid.uuid4().hex}.tar")

    async def prepare(
        self, files: dict[str, str], *found: Environment, rules: SetupPolicy | None = None
    ) -> PreparedEnvironment:
        tree = self.tar(files)
        read = read_tree(tree, files_to_read)
        return await prepare_on_engine(
            self.engine,
            tree,
            tree_hash(tree),
            found or candidates(read.files, read.texts),
            self.spec,
            rules or policy(),
            scope=self.name,
        )

    async def volumes(self) -> set[str]:
        """Those of this installation."""
        label = f"{INSTALLATION_LABEL}={self.name}"
        found = await self.engine.call(lambda c: c.volumes.list(filters={"label": label}))
        return {volume.name for volume in found}

    async def run(self, image: str, files: dict[str, str], command: str) -> tuple[int | None, str]:
        spec = SandboxSpec(image, Limits(), self.name, "test", installation=self.name)
        box = await self.engine.open(spec, self.tar(files))
        try:
            result = await box.run(command)
            assert await box.diff() == ""
        finally:
            await box.close()
        return result.exit_code, result.text


@pytest.fixture
async def workshop(engine: DockerEngine, tmp_path: Path) -> AsyncIterator[Workshop]:
    made = Workshop(engine, tmp_path)
    yield made
    await prune(engine, made.name, most_bytes=0, most_days=1)
    assert await engine.sweep((), installation=made.name) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("files", "command", "shows"),
    [
        pytest.param(PYTHON, "python3 -m pytest -q", "1 passed", id="Python"),
        pytest.param(JAVASCRIPT, "npm test --silent", "1 passing", id="JavaScript"),
        pytest.param(GO, "go test ./...", "ok", id="Go", marks=pytest.mark.long),
    ],
)
async def test_a_real_package_is_set_up_once_and_tested_without_a_network(
    workshop: Workshop, files: dict[str, str], command: str, shows: str
) -> None:
    cold = await workshop.prepare(files)
    assert cold.failed == () and cold.image.startswith("patchwright/prepared:")
    code, output = await workshop.run(cold.image, files, command)
    assert code == 0, output
    assert shows in output
    warm = await workshop.prepare(files)
    assert warm.cached and warm.image == cold.image
    ratio = cold.duration_s / warm.duration_s
    print(f"set-up {cold.duration_s:.1f} s, cached {warm.duration_s:.3f} s: {ratio:.0f}x")
    _, out = await workshop.run(warm.image, files, "ls /sys/class/net; env")
    assert out.split()[0] == "lo" and "_proxy" not in out.lower()


async def test_a_failed_command_is_named_with_its_last_lines(workshop: Workshop) -> None:
    steps = (Step("true"), Step("echo first; echo the reason >&2; exit 3"), Step("touch /never"))
    wished = Environment("the settings", steps=steps, explicit=True)
    with pytest.raises(SetupFailed, match=r"exit 3[\s\S]*the reason") as failed:
        await workshop.prepare({"a": "b"}, wished, Environment("the base image"))
    assert failed.value.command == steps[1].command and "first" in failed.value.log
    assert await list_images(workshop.engine, workshop.name) == []


async def test_a_guess_that_fails_gives_way_to_the_next(workshop: Workshop) -> None:
    guess = Environment("a guess", steps=(Step("exit 1"),))
    done = await workshop.prepare({"a": "b"}, guess, Environment("the base image"))
    assert done.image == BASE_IMAGE
    assert [error.environment.source for error in done.failed] == ["a guess"]


async def test_what_set_up_adds_to_the_tree_is_there_and_in_no_patch(workshop: Workshop) -> None:
    script = (
        "mkdir -p node_modules/.bin node_modules/a packages/b && "
        "echo 1 >node_modules/a/index.js && ln -s ../packages/b node_modules/b && "
        "echo built >src/made.so && echo 2 >packages/b/new && "
        "echo kept >~/.toolrc && echo x >src/old"
    )
    wished = Environment("x", steps=(Step(script),), variables=(("OWN", "$PATH:/own"),))
    files = {"src/old": "old", "packages/b/index.js": "b"}
    done = await workshop.prepare(files, wished)
    code, output = await workshop.run(
        done.image,
        files,
        "cat node_modules/a/index.js node_modules/b/index.js src/made.so src/old packages/b/new "
        "~/.toolrc; touch node_modules/.cache; case $OWN in *bin:/own) echo own;; esac",
    )
    assert output.split() == ["1", "bbuilt", "old2", "kept", "own"]
    assert code == 0


async def test_a_set_up_reaches_nothing_but_the_proxy(workshop: Workshop) -> None:
    """Addresses of this machine, other hosts, plain sockets: all refused; credentials unseen."""
    server = await asyncio.start_server(lambda r, w: w.close(), "0.0.0.0", 0)
    port = server.sockets[0].getsockname()[1]
    probe = (
        "import os,socket,urllib.request as u\n"
        f"for a in ('172.17.0.1','127.0.0.1','169.254.169.254'):\n"
        f"  try: socket.create_connection((a,{port}),3); print('REACHED',a)\n"
        "  except OSError as e: print('no',a)\n"
        f"  try: u.urlopen(f'http://{{a}}:{port}/',timeout=9); print('PROXIED',a)\n"
        "  except Exception as e: print('refused',a,e)\n"
        "print([k for k,v in os.environ.items() if 's3cret' in v])\n"
        "print(os.listdir('/sys/class/net'))\n"
    )
    step = Step(f"python3 - <<'E'\n{probe}E\nexit 1")
    rules = SetupPolicy(EgressRules(authorization={"private.test": "Bearer s3cret"}))
    async with server:
        with pytest.raises(SetupFailed) as failed:
            await workshop.prepare({"a": "b"}, Environment("x", steps=(step,), explicit=True),
                                   rules=rules)  # fmt: skip
    log = failed.value.log.rpartition("exit 1\n")[2]
    assert "REACHED" not in log and "PROXIED" not in log and log.count("refused ") == 3
    assert "['lo']" in log and "\n[]\n" in log
    assert any("169.254.169.254" in why for why in failed.value.refused)


async def test_images_are_listed_and_pruned_by_size(workshop: Workshop) -> None:
    def environment(number: int) -> Environment:
        step = Step(f"head -c 3000000 /dev/urandom >/opt/patchwright/home/{number}")
        return Environment(f"number {number}", steps=(step,))

    offline = SetupPolicy(network=False)
    for number in (1, 2):
        await workshop.prepare({"a": "b"}, environment(number), rules=offline)
    images = await list_images(workshop.engine, workshop.name)
    assert [image.source for image in images] == ["number 2", "number 1"]
    assert all(3_000_000 <= image.size_bytes < 4_000_000 for image in images)
    begun = time.monotonic()
    assert (await workshop.prepare({"a": "b"}, environment(1), rules=offline)).cached
    assert time.monotonic() - begun < 2
    removed = await prune(workshop.engine, workshop.name, most_bytes=5_000_000, most_days=1)
    assert [image.source for image in removed] == ["number 2"]


async def test_packages_lie_in_a_volume_that_a_run_cannot_write_to(workshop: Workshop) -> None:
    """It begins with what an earlier one holds, and goes with its image."""
    offline, files = SetupPolicy(network=False), {"a": "b"}
    write = "echo {0} >/opt/patchwright/{0}; ln -s {0} /opt/patchwright/link-{0}"
    first = await workshop.prepare(
        files, Environment("first", steps=(Step(write.format("one")),)), rules=offline
    )
    more = first.environment.with_more(first.image, (Step(write.format("two")),))
    both = await workshop.prepare(files, more, rules=offline)
    look = "cd /opt/patchwright && cat link-*; touch new 2>&1; rm -f one 2>&1; ls"
    for made, names in ((first, "one"), (both, "one two")):
        _, shown = await workshop.run(made.image, files, look)
        assert shown.splitlines()[: len(names.split())] == names.split(), shown
        assert shown.count("Read-only file system") == 2, shown
    volumes = [image.volume for image in await list_images(workshop.engine, workshop.name)]
    assert len(set(volumes)) == 2 and set(volumes) == await workshop.volumes()
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    await prune(workshop.engine, workshop.name, most_bytes=2**40, most_days=1, now=later)
    assert set(volumes) == await workshop.volumes()
    await prune(workshop.engine, workshop.name, most_bytes=0, most_days=1)
    assert await workshop.volumes() == set()


async def test_what_a_set_up_leaves_running_writes_nothing_after_it_was_measured(
    workshop: Workshop,
) -> None:
    forever = "while :; do head -c 65536 /dev/zero; done >>/opt/patchwright/grown"
    begun = Step(f"setsid sh -c '{forever}' >/dev/null 2>&1 & sleep 0.2")
    made = await workshop.prepare(
        {"a": "b"}, Environment("settings", steps=(begun,)), rules=SetupPolicy(network=False)
    )
    image = await workshop.engine.call(lambda client: client.images.get(made.image))
    volume = image.labels[VOLUME_LABEL]
    now = await workshop.engine.call(
        lambda client: volume_bytes(client, workshop.spec, BASE_IMAGE, volume)
    )
    assert now == int(image.labels[VOLUME_BYTES_LABEL]) > 65536


async def test_a_failed_set_up_leaves_no_volume(workshop: Workshop) -> None:
    wished = Environment("settings", steps=(Step("exit 1"),), explicit=True)
    with pytest.raises(SetupFailed):
        await workshop.prepare({"a": "b"}, wished, rules=SetupPolicy(network=False))
    await workshop.engine.sweep((), installation=workshop.name)
    assert await workshop.volumes() == set()


async def test_an_image_whose_volume_is_gone_is_made_again(workshop: Workshop) -> None:
    """`docker volume prune` takes those that no container uses just now."""
    offline, files = SetupPolicy(network=False), {"a": "b"}
    environment = Environment("x", steps=(Step("echo here >/opt/patchwright/one"),))
    first = await workshop.prepare(files, environment, rules=offline)
    [lost] = await workshop.volumes()
    await workshop.engine.close()  # which waits until the set-up's container is gone
    await workshop.engine.call(lambda client: client.volumes.get(lost).remove())
    with pytest.raises(ImageMissing, match=r"is gone"):
        await workshop.run(first.image, files, "true")
    again = await workshop.prepare(files, environment, rules=offline)
    assert not again.cached and again.image == first.image
    label = f"{INSTALLATION_LABEL}={workshop.name}"
    found = await workshop.engine.call(lambda c: c.images.list(filters={"label": label}))
    assert [image.tags for image in found] == [[again.image]], "the first one is not left behind"
    assert await workshop.run(again.image, files, "cat /opt/patchwright/one") == (0, "here\n")
    assert lost not in await workshop.volumes()


async def test_a_volume_that_the_engine_made_itself_is_no_environment(workshop: Workshop) -> None:
    """It does when a container asks for one that is removed just then."""
    offline, files = SetupPolicy(network=False), {"a": "b"}
    environment = Environment("x", steps=(Step("echo here >/opt/patchwright/one"),))
    await workshop.prepare(files, environment, rules=offline)
    [lost] = await workshop.volumes()

    def replace_by_empty(client: docker.DockerClient) -> None:
        client.volumes.get(lost).remove()
        client.volumes.create(lost)

    await workshop.engine.close()  # which waits until the set-up's container is gone
    await workshop.engine.call(replace_by_empty)
    try:
        again = await workshop.prepare(files, environment, rules=offline)
        assert not again.cached
        shown = await workshop.run(again.image, files, "cat /opt/patchwright/one")
        assert shown == (0, "here\n")
    finally:
        await workshop.engine.call(lambda client: client.volumes.get(lost).remove())


async def test_of_two_workers_that_make_the_same_one_image_stays(workshop: Workshop) -> None:
    offline, files = SetupPolicy(network=False), {"a": "b"}
    environment = Environment("x", steps=(Step("sleep 1; echo here >/opt/patchwright/one"),))
    made = await asyncio.gather(
        *(workshop.prepare(files, environment, rules=offline) for _ in range(2))
    )
    assert [one.cached for one in made] == [False, False] and made[0].image == made[1].image
    assert len(await workshop.volumes()) == 2
    # The engine has removed the containers that made them.
    await workshop.engine.sweep((), installation=workshop.name)
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    await prune(workshop.engine, workshop.name, most_bytes=2**40, most_days=1, now=later)
    label = f"{INSTALLATION_LABEL}={workshop.name}"
    left = await workshop.engine.call(lambda c: c.images.list(filters={"label": label}))
    assert [image.tags for image in left] == [[made[0].image]]
    assert len(await workshop.volumes()) == 1
    shown = await workshop.run(made[0].image, files, "cat /opt/patchwright/one")
    assert shown == (0, "here\n")


async def test_volumes_of_interrupted_set_ups_are_pruned_later(workshop: Workshop) -> None:
    """Not at once: a set-up that is just beginning has one, too, that nothing uses."""
    names = [f"{workshop.name}-{which}" for which in ("own", "others")]
    for name, whose in zip(names, (workshop.name, "another"), strict=True):
        labels = {PREPARED_LABEL: "x", INSTALLATION_LABEL: whose}
        await workshop.engine.call(lambda c, n=name, told=labels: c.volumes.create(n, labels=told))
    try:
        for hours, left in ((0, 2), (1, 1)):
            later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)
            await prune(workshop.engine, workshop.name, most_bytes=0, most_days=1, now=later)
            there = await workshop.engine.call(lambda client: client.volumes.list())
            assert len({volume.name for volume in there} & {*names}) == left
    finally:
        await workshop.engine.call(lambda client: client.volumes.get(names[1]).remove())


DATED = Resolution(locked=False, as_of="2024-03-01")


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_what_is_proposed_where_uv_is_needed_works_as_settings(workshop: Workshop) -> None:
    files = LOCKED_BY_UV | {"tools/requirements.txt": "six\n"}
    locked = candidates(tuple(LOCKED_BY_UV), LOCKED_BY_UV)[0]
    dated = steps(("requirements.txt",), {"requirements.txt": "six\n"}, "tools", DATED)
    both = replace(locked, steps=(*locked.steps, *dated))
    text = proposal(both)
    assert PREFIX not in text and text.count("pip install uv && ") == 1
    setup = tuple(yaml.safe_load(text)["setup"])
    made = await workshop.prepare(files, *candidates((), {}, EnvironmentSettings(setup=setup)))
    asked = "python3 -m pytest -q tests && python3 -c 'import six; print(six.__version__)'"
    code, output = await workshop.run(made.image, files, asked)
    assert code == 0 and "1 passed" in output and output.endswith("\n1.16.0\n")


def test_the_recipe_is_proposed_for_the_settings() -> None:
    found = candidates(tuple(PYTHON), PYTHON)[0]
    text = proposal(found)
    assert text.startswith("setup:\n  - 'pip install ") and "uv" not in text
    assert proposal(candidates((), {}, EnvironmentSettings(setup=("x",)))[0]) == ""
    manager = JAVASCRIPT["package.json"].replace(
        '"1.0.0"', '"1.0.0", "packageManager": "pnpm@9.1.0"'
    )
    for package, commands in (
        (JAVASCRIPT["package.json"], ["npm install --no-package-lock"]),
        (manager, ["npm install -g pnpm@9.1.0", "pnpm install --store-dir /tmp/pnpm"]),
    ):
        files = {"package.json": package}
        text = proposal(candidates(tuple(files), files)[0])
        tools = "apt-get update && apt-get install -y --no-install-recommends nodejs npm"
        lines = text.splitlines()
        assert lines[:2] == ["setup:", f"  - '{tools}'"], "\n".join(lines)
        assert len(lines) == 2 + len(commands)
        for line, command in zip(lines[2:], commands, strict=True):
            assert line.startswith(f"  - '{command}")
    elixir = Environment("detection", steps=(apt(("elixir",), unless="mix"),))
    plain = "apt-get update && apt-get install -y --no-install-recommends elixir"
    assert proposal(elixir) == f"setup:\n  - '{plain}'\n"
    assert "apk add" in proposal(replace(elixir, image="alpine:3"))
