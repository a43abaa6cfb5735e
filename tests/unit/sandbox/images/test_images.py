"""Where the base image's packages come from, and what its recipe is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox.errors import SandboxError
from sandbox.images import debootstrap
from sandbox.images.apt_sources import (
    AptSource,
    choose,
    machine_codename,
    machine_sources,
    parse_deb822,
    parse_sources_list,
)
from sandbox.images.recipe import RECIPE_FOLDER, read_recipe

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
# a comment in between
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://mirror.test/off
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://mirror.test/source
Suites: bookworm
Components: main
"""


def test_deb822_sources_are_read() -> None:
    keyring = "/usr/share/keyrings/debian.gpg"
    assert parse_deb822(DEB822) == [
        AptSource("http://mirror.test/debian", "bookworm", ("main", "contrib"), keyring),
        AptSource("http://mirror.test/debian", "bookworm-updates", ("main", "contrib"), keyring),
    ]


def test_one_line_sources_are_read() -> None:
    text = (
        "# deb http://mirror.test/no bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://mirror.test/a jammy main universe # why\n"
        "deb-src http://mirror.test/b jammy main\n"
        "deb http://mirror.test/c jammy-updates main\n"
    )
    assert parse_sources_list(text) == [
        AptSource("http://mirror.test/a", "jammy", ("main", "universe"), "/k.gpg"),
        AptSource("http://mirror.test/c", "jammy-updates", ("main",)),
    ]


def test_the_machines_own_main_archive_is_chosen(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://mirror.test/other stable main\n")
    (tmp_path / "sources.list.d/debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d/notes.txt").write_text("deb http://mirror.test/x bookworm main\n")
    assert choose(machine_sources(tmp_path), "bookworm").uri == "http://mirror.test/debian"


def test_a_machine_without_a_matching_apt_source_gets_instructions() -> None:
    with pytest.raises(SandboxError, match="Add the distribution's archive"):
        choose([AptSource("http://mirror.test/a", "jammy", ("main",))], "bookworm")


def test_the_codename_is_read(tmp_path: Path) -> None:
    release = tmp_path / "os-release"
    release.write_text('NAME="X"\nVERSION_CODENAME="noble"\n')
    assert machine_codename(release) == "noble"
    assert machine_codename(tmp_path / "missing") == ""


def test_the_recipes_hash_follows_its_files(tmp_path: Path) -> None:
    for path in RECIPE_FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    first = read_recipe(tmp_path)
    assert first.hash == read_recipe().hash
    assert {"git", "ripgrep"} <= set(first.packages)
    (tmp_path / "packages.txt").write_text("git\n")
    assert read_recipe(tmp_path).hash != first.hash
    (tmp_path / "finish.sh").unlink()
    with pytest.raises(SandboxError, match=r"finish\.sh"):
        read_recipe(tmp_path)


def test_the_command_names_suite_mirror_keyring_and_packages(tmp_path: Path) -> None:
    source = AptSource("http://mirror.test/u", "noble", ("main", "universe"), "/k.gpg")
    command = debootstrap.debootstrap_command(read_recipe(), source, tmp_path)
    assert command[-3:] == ["noble", str(tmp_path), "http://mirror.test/u"]
    assert "--keyring=/k.gpg" in command
    assert "--components=main,universe" in command
    included = next(word for word in command if word.startswith("--include="))
    assert {"python3-pytest", "ripgrep"} <= set(included.removeprefix("--include=").split(","))


async def test_without_root_the_offline_build_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match="needs root"):
        async with debootstrap.root_archive(read_recipe(), print):
            raise AssertionError("built something")


async def test_a_failing_program_is_quoted() -> None:
    with pytest.raises(SandboxError, match=r"testing \(exit 3\):\nwhy"):
        await debootstrap.run(["sh", "-c", "echo why >&2; exit 3"], "testing")
