"""Environments on bases that have the toolchains which a project asks for."""

from __future__ import annotations

from sandbox.environment.choose import BARE, candidates, files_to_read
from sandbox.environment.records import Environment
from sandbox.environment.versions.available import BaseImage, Offers
from sandbox.environment.versions.records import Tool, Version

USUAL: dict[Tool, Version] = {"python": (3, 11, 2), "node": (18, 20), "go": (1, 19)}
BASE = BaseImage("base", USUAL)
NEWER = BaseImage("base-python3.13", {**USUAL, "python": (3, 13, 1)})
PACKAGE = '[build-system]\nrequires = []\n[project]\nname = "x"\nrequires-python = "{}"\n'


def found(files: dict[str, str], offers: Offers, committed: str = "") -> tuple[Environment, ...]:
    texts = {name: files[name] for name in files_to_read(tuple(files))}
    return candidates(tuple(files), texts, offers=offers, committed=committed)


def all_commands(environment: Environment) -> str:
    return "\n".join(step.command for step in environment.steps)


def test_an_interpreter_that_will_do_is_used_though_another_is_pinned() -> None:
    files = {
        "pyproject.toml": PACKAGE.format(">=3.9"),
        "uv.lock": 'requires-python = ">=3.9"',
        ".python-version": "3.10",
    }
    first = found(files, Offers(BASE, (NEWER,)))[0]
    assert not first.base
    assert not first.lacks
    assert "UV_PYTHON=/opt/patchwright/python/bin/python3" in all_commands(first)


def test_a_base_with_the_wanted_interpreter_comes_first() -> None:
    files = {"pyproject.toml": PACKAGE.format(">=3.12")}
    offers = Offers(BASE, (NEWER,), registry=True, python_mirror="https://m.test/py")
    first, official, mirror, lacking, bare = found(files, offers)
    assert first.base == "base-python3.13"
    assert official.image == "python:3.14-slim"
    assert official.official
    assert "uv python install --mirror 'https://m.test/py' 3.14" in all_commands(mirror)
    assert "needs Python >=3.12" in lacking.lacks
    assert bare.source == BARE
    assert "needs Python >=3.12" in bare.lacks


def test_another_base_is_named_with_what_is_wanted_of_it() -> None:
    newer = BaseImage("base-python3.13", {**NEWER.versions, "go": (1, 24, 4)})
    first = found({"go.mod": "module x\n\ngo 1.23\n", "x.go": ""}, Offers(BASE, (newer,)))[0]
    assert first.source.endswith(", on the base image with Python 3.13 (Go 1.24)")
    python = found({"pyproject.toml": PACKAGE.format(">=3.12")}, Offers(BASE, (newer,)))[0]
    assert python.source.endswith(", on the base image with Python 3.13")


def test_without_a_suitable_interpreter_nothing_claims_to_be_whole() -> None:
    files = {"pyproject.toml": PACKAGE.format(">=3.14")}
    assert all("needs Python >=3.14" in one.lacks for one in found(files, Offers(BASE, (NEWER,))))


def test_an_interpreter_is_provided_where_there_is_nothing_to_install() -> None:
    files = {"pyproject.toml": '[project]\nname = "x"\nrequires-python = ">=3.12"\n'}
    assert found(files, Offers(BASE, (NEWER,)))[0].base == "base-python3.13"


def test_node_comes_from_the_npm_registry_where_the_base_has_an_old_one() -> None:
    files = {"package.json": '{"engines": {"node": ">=20"}, "devDependencies": {"a": "1"}}'}
    assert "node-linux-$arch@24" in all_commands(found(files, Offers(BASE))[0])
    assert "node-linux" not in all_commands(found(files, Offers())[0])
    ci = {".github/workflows/ci.yml": "node-version: [20, 22]\n", "package.json": "{}"}
    ci["package.json"] = files["package.json"].replace(">=20", ">=16")
    used, plain, *_ = found(ci, Offers(BASE))
    assert "node-linux-$arch@22" in all_commands(used)
    assert "node-linux" not in all_commands(plain)
    files["package.json"] = files["package.json"].replace(">=20", ">=16")
    assert "node-linux" not in all_commands(found(files, Offers(BASE))[0])


def test_a_locked_set_up_is_followed_by_unlocked_ones_of_today_and_of_the_commits_time() -> None:
    files = {"pyproject.toml": PACKAGE.format(">=3.9"), "uv.lock": ""}
    locked, newest, dated, bare = found(files, Offers(BASE), "2024-02-02")
    assert "uv sync" in all_commands(locked)
    assert "pip install --disable-pip-version-check -q -e ." in all_commands(newest)
    assert "uv pip install" in all_commands(dated)
    assert "--exclude-newer 2024-02-02" in all_commands(dated)
    assert bare.is_bare
    files = {"package.json": '{"devDependencies": {"a": "1"}}'}
    assert "--before=2024-02-02" in all_commands(found(files, Offers(BASE), "2024-02-02")[1])


def test_without_a_lock_the_newest_versions_are_tried_once() -> None:
    files = {"pyproject.toml": PACKAGE.format(">=3.9")}
    assert len(found(files, Offers(BASE))) == 2


def test_the_versions_that_ci_uses_are_a_last_resort() -> None:
    files = {"pyproject.toml": PACKAGE.format(">=3.9"), ".python-version": "3.13"}
    assert [one.base for one in found(files, Offers(BASE, (NEWER,)))] == ["", "base-python3.13", ""]
