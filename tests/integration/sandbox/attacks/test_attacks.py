"""Each attack of `patchwright doctor --sandbox` by itself, against the real engine."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.main import cli
from app.sandboxes.attacks import HOST_ATTACKS
from sandbox.attacks.catalogue import ATTACKS
from sandbox.attacks.target import Attack, Escaped, OpenTree, Target, outcome, printable
from sandbox.docker.engine import DockerEngine
from sandbox.docker.options import container_options
from sandbox.docker.plain_image import variables
from sandbox.errors import SandboxGone
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits, Sandbox
from sandbox.setup.attacks import setup_attacks
from sandbox.setup.image_attacks import image_attacks
from sandbox.spec import SandboxSpec
from tests.support.sandboxes.fixtures import engine

__all__ = ["engine"]


def opener(engine: DockerEngine) -> OpenTree:
    async def open_tree(tree: Path, limits: Limits) -> Sandbox:
        run_id = f"attack-{uuid.uuid4().hex[:8]}"
        spec = SandboxSpec(BASE_IMAGE, limits, run_id, "attack", installation="attacks")
        return await engine.open(spec, tree)

    return open_tree


@pytest.mark.docker
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
async def test_is_contained(attack: Attack, engine: DockerEngine) -> None:
    assert await outcome(attack, opener(engine)) == ""


def images() -> SandboxSpec:
    run_id = f"attack-{uuid.uuid4().hex[:8]}"
    return SandboxSpec(BASE_IMAGE, Limits(), run_id, "attack", installation="attacks")


@pytest.mark.docker
@pytest.mark.parametrize("number", range(7))
async def test_an_image_is_contained(number: int, engine: DockerEngine) -> None:
    assert await outcome(image_attacks(engine, images())[number], opener(engine)) == ""


@pytest.mark.docker
@pytest.mark.parametrize("number", range(8))
async def test_a_setup_is_contained(number: int, engine: DockerEngine) -> None:
    assert await outcome(setup_attacks(engine, images())[number], opener(engine)) == ""


@pytest.mark.parametrize("attack", HOST_ATTACKS, ids=lambda attack: attack.name)
async def test_what_the_host_keeps_is_contained(attack: Attack) -> None:
    assert await outcome(attack, nowhere) == ""


async def nowhere(tree: Path, limits: Limits) -> Sandbox:
    raise AssertionError("no sandbox is needed")


@pytest.mark.docker
@pytest.mark.parametrize(
    ("place", "careless"),
    [
        ("sandbox.docker.engine.is_plain", lambda config: True),
        ("sandbox.setup.named_images.refused_labels", lambda labels, is_listed: ""),
        ("sandbox.setup.named_images.checked_variables", variables),
    ],
)
async def test_an_image_used_unchecked_is_reported(
    place: str, careless: Any, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, careless)
    told = [await outcome(a, opener(engine)) for a in image_attacks(engine, images())]
    assert sum(map(bool, told)) == 1


def test_names_are_unique_and_the_whole_list_is_there() -> None:
    engine = DockerEngine()
    docker_alone = (*image_attacks(engine, images()), *setup_attacks(engine, images()))
    names = [attack.name for attack in (*ATTACKS, *docker_alone, *HOST_ATTACKS)]
    assert len(set(names)) == len(names) >= 80


@pytest.mark.docker
@pytest.mark.parametrize(
    "name",
    [
        "host gateway",
        "raw sockets",
        "privileges and system calls",
        "io_uring",
        "bpf",
        "namespaces by unshare, clone, clone3, setns",
        "vsock and other socket families",
        "another sandbox: its addresses, names and sockets",
        "another sandbox: its shared memory and queues",
        "core dumps",
    ],
)
async def test_a_less_hardened_engine_is_reported(
    name: str, engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container of the careless kind: each of these attacks must be seen to succeed in it."""

    def careless(spec: SandboxSpec, volume: str = "") -> dict[str, Any]:
        options = container_options(spec, volume)
        for hardening in ("cap_drop", "security_opt", "ulimits"):
            del options[hardening]
        options |= {"security_opt": ["seccomp=unconfined"], "cap_add": ["SYS_ADMIN", "BPF"]}
        return options | {"network_mode": "host", "ipc_mode": "host"}

    monkeypatch.setattr("sandbox.docker.engine.with_own_profile", lambda options: options)
    monkeypatch.setattr("sandbox.docker.engine.container_options", careless)
    attack = next(attack for attack in ATTACKS if attack.name == name)
    assert await outcome(attack, opener(engine)) != ""


async def test_what_happened_is_one_harmless_line() -> None:
    async def shouting(target: Target) -> None:
        raise Escaped("owned \x1b[2J\x9b0c\u202e\n" + "x" * 1000)

    async def touching(target: Target) -> None:
        (target.host / "owned").touch()

    async def dying(target: Target) -> None:
        raise SandboxGone("out of memory")

    told = await outcome(Attack("a", shouting), nowhere)
    assert told.startswith("owned ") and told.isprintable() and len(told) <= 300
    assert "owned" in await outcome(Attack("b", touching), nowhere)
    assert "out of memory" in await outcome(Attack("c", dying), nowhere)
    assert printable("a\tb\n c") == "a b c"


def run_doctor(monkeypatch: pytest.MonkeyPatch, answers: Mapping[str, str]) -> tuple[int, str]:
    async def done(target: Target) -> None:
        what = answers[names.pop(0)]
        if what:
            raise Escaped(what)

    names = list(answers)
    attacks = tuple(Attack(name, done) for name in answers)
    monkeypatch.setattr("app.cli.doctor.ATTACKS", attacks)
    for more in ("image_attacks", "setup_attacks"):
        monkeypatch.setattr(f"app.cli.doctor.{more}", lambda engine, spec: ())
    monkeypatch.setattr("app.cli.doctor.HOST_ATTACKS", ())
    result = CliRunner().invoke(cli, ["doctor", "--sandbox"])
    return result.exit_code, result.output


@pytest.mark.docker
def test_doctor_prints_one_line_per_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run_doctor(monkeypatch, {"a bomb": "", "a [bold]link[/]": ""})
    assert (code, said) == (0, "a bomb: contained\na [bold]link[/]: contained\n")
    code, said = run_doctor(monkeypatch, {"a bomb": "[red]it went \x1b[2Joff", "a link": ""})
    assert code == 1
    assert said == (
        "a bomb: NOT CONTAINED: [red]it went \N{REPLACEMENT CHARACTER}[2Joff\na link: contained\n"
    )


def test_doctor_without_an_engine_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATCHWRIGHT_DOCKER_URL", f"unix://{tmp_path}/none.sock")
    result = CliRunner().invoke(cli, ["doctor", "--sandbox"])
    assert result.exit_code == 1
    assert "contained" not in result.output
