"""The documentation: made pages are fresh, all pages are reached, links and names are real."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from agent.testing.runners import OWN_JUNIT
from app.cli.main import cli
from app.settings.base import CONFIG_VARIABLE
from app.settings.schema import Settings

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES, *(ROOT / "deploy").rglob("*.md")]
FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(
    r"(?:^ *(?:\w+=\S+ )*(?:\S*/bin/)?|`(?:\S*/bin/)?)patchwright((?: [a-z-]+(?![\w./]))+)",
    re.MULTILINE,
)
"""`patchwright` where a line or a piece of code begins with it, and the words after it."""
NO_SETTINGS = {CONFIG_VARIABLE, OWN_JUNIT, "PATCHWRIGHT_CACHE", "PATCHWRIGHT_CHECK_DETECTORS"}
"""Variables of other readers: the settings' own file, scripts and tests."""


def words(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, *command), cwd=ROOT, capture_output=True, text=True, check=False
    )


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_made_pages_are_as_the_program_says() -> None:
    looked = words("docs/made_pages.py", "--check")
    assert looked.returncode == 0, looked.stderr


def nav_pages(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    for part in nav.values() if isinstance(nav, dict) else nav if isinstance(nav, list) else ():
        yield from nav_pages(part)


def test_every_page_is_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    assert sorted(nav_pages(nav)) == [str(page.relative_to(DOCS)) for page in PAGES]


@pytest.mark.parametrize("path", TEXTS, ids=named)
def test_links_lead_to_files(path: Path) -> None:
    for target in LINK.findall(FENCE.sub("", path.read_text("utf-8"))):
        place = target.partition("#")[0]
        if not place or re.match(r"[a-z]+:", place):
            continue
        found = (path.parent / place).resolve()
        assert found.exists(), f"{named(path)} links to {target}, which is not there"
        if path.is_relative_to(DOCS):
            assert found.is_relative_to(DOCS), f"{target} is not part of the site"


def test_every_make_target_is_in_the_table_of_targets() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    steps = {"help", "test-setup"}  # the list itself, and a step of others
    missing = [t for t in phony[1].split() if t not in steps and f"`make {t}`" not in table]
    assert not missing


def commands(here: Any, name: str) -> Iterator[tuple[str, Any]]:
    inside = getattr(here, "commands", None)
    if inside is None:
        yield name, here
    for word, command in (inside or {}).items():
        yield from commands(command, f"{name} {word}")


def test_every_command_and_each_of_its_words_is_explained() -> None:
    for name, command in commands(get_command(cli), "patchwright"):
        assert command.help, f"`{name}` has no help"
        for parameter in command.params:
            assert parameter.help, f"`{name}`: {parameter.name} has no help"


def is_command(said: list[str]) -> bool:
    here: Any = get_command(cli)
    for word in said:
        inside = getattr(here, "commands", None)
        if inside is None:  # what follows are options and arguments
            known = {name for p in here.params for name in (*p.opts, *p.secondary_opts)}
            if word.startswith("--") and word not in known:
                return False
        elif word not in inside:
            return False
        else:
            here = inside[word]
    return True


@pytest.mark.parametrize("path", TEXTS, ids=named)
def test_commands_and_settings_that_are_named_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    code = [*FENCE.findall(text), *re.findall(r"`[^`\n]+`", FENCE.sub("", text))]
    for piece in code:
        for said in COMMAND.findall(piece):
            assert is_command(said.split()), f"{named(path)}: there is no `patchwright{said}`"
    known = {f"PATCHWRIGHT_{name.upper()}" for name in Settings.model_fields} | NO_SETTINGS
    for variable in re.findall(r"PATCHWRIGHT_[A-Z0-9_]+(?![A-Z0-9_…])", text):
        assert variable in known, f"{named(path)}: there is no setting {variable}"


@pytest.mark.parametrize(
    "fetched",
    [
        '<script src="https://cdn.example/x.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/a.css">',
        '<img src="https://img.example/a.png">',
    ],
)
def test_a_site_that_asks_other_hosts_is_refused(tmp_path: Path, fetched: str) -> None:
    page = '<a href="https://example.com">read on</a><img src="pictures/run.png">'
    (tmp_path / "index.html").write_text(page)
    assert words("docs/check_site.py", str(tmp_path)).returncode == 0
    (tmp_path / "other.html").write_text(page + fetched)
    assert "other.html: " in words("docs/check_site.py", str(tmp_path)).stderr
    (tmp_path / "other.html").unlink()
    (tmp_path / "a.css").write_text("@font-face { src: url(https://fonts.example/a.woff2) }")
    assert "a.css: https://fonts" in words("docs/check_site.py", str(tmp_path)).stderr
