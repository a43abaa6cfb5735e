"""What a set-up of a JavaScript project runs, where npm and yarn only say what they see."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sandbox.environment.javascript import steps
from sandbox.environment.records import Resolution

SHOWS = "#!/bin/sh\ncase $1 in config) echo https://npm.example/of/us/;; *) cat {0}; {1};; esac\n"
YARN_LOCK = """\
a@1:
  resolved "https://registry.yarnpkg.com/a/-/a-1.0.0.tgz#0f4d"
b@1:
  resolved "http://registry.npmjs.org/b/-/b-1.0.0.tgz#0f4d"
c@1:
  resolved "https://npm.corp.example/c/-/c-1.0.0.tgz#0f4d"
"""


def ran(folder: Path, command: str, program: str, does: str) -> str:
    """What a command prints in a folder where a program of this name stands for the real one."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    for name in {program, "npm"}:
        (programs / name).write_text(does)
        (programs / name).chmod(0o755)
    environment = {"PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True
    )
    return f"{done.stdout}[{done.returncode}]"


@pytest.mark.parametrize(("ends", "status"), [("true", 0), ("exit 3", 1)])
def test_a_lock_of_yarn_asks_the_registry_that_is_configured(
    tmp_path: Path, ends: str, status: int
) -> None:
    (tmp_path / "yarn.lock").write_text(YARN_LOCK)
    command = steps(("package.json", "yarn.lock"), {"package.json": "{}"}, ".")[-1].command
    said = ran(tmp_path, command, "yarn", SHOWS.format("yarn.lock", f"echo $YARN_REGISTRY; {ends}"))
    assert "https://npm.example/of/us/a/-/a-1.0.0.tgz" in said
    assert "https://npm.example/of/us/b/-/b-1.0.0.tgz" in said
    assert "https://npm.corp.example/c/-/c-1.0.0.tgz" in said
    assert said.endswith(f"https://npm.example/of/us\n[{status}]")
    assert (tmp_path / "yarn.lock").read_text() == YARN_LOCK


def test_a_project_of_newer_yarn_that_names_its_registry_keeps_it() -> None:
    lock = {"package.json": "{}", "yarn.lock": "__metadata:\n  version: 8"}
    plain = steps(("package.json", "yarn.lock"), lock, ".")[-1].command
    own = {**lock, ".yarnrc.yml": "npmRegistryServer: https://npm.corp.example"}
    named = steps(("package.json", "yarn.lock"), own, ".")[-1].command
    assert "YARN_NPM_REGISTRY_SERVER=" in plain and "YARN_NPM_REGISTRY_SERVER" not in named


MANIFEST = """{"name": "x", "dependencies": {"a": "^1.0.0", "b": "npm:c@2", "d": "./d"},
 "devDependencies": {"e": "owner/e#patch", "f": "git+ssh://git@example.com/f.git", "g": "latest",
 "h": "https://example.com/h.tgz", "i": "git@example.com:i.git"}}
"""


def test_the_last_resort_is_without_what_no_registry_has(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(MANIFEST)
    last = Resolution(locked=False, one_by_one=True)
    command = steps(("package.json",), {"package.json": MANIFEST}, ".", last)[-1].command
    said = ran(tmp_path, command, "npm", SHOWS.format("package.json", "true"))
    left = '{"name":"x","dependencies":{"a":"^1.0.0","b":"npm:c@2","d":"./d"},'
    assert said.endswith(left + '"devDependencies":{"g":"latest"}}[0]')
    assert (tmp_path / "package.json").read_text() == MANIFEST
    usual = steps(("package.json",), {"package.json": MANIFEST}, ".", Resolution(locked=False))
    assert "writeFileSync" not in usual[-1].command


ASKED = """#!/bin/sh
[ "$1" = view ] || exec cat package.json
case $3 in
  a@*) echo "npm error code E404" >&2; exit 1;;
  d@*) echo "npm error code ECONNRESET" >&2; exit 1;;
  g@*) ;;
  *) echo 1.0.0;;
esac
"""


def test_the_last_resort_is_without_what_was_withdrawn_from_the_registry(tmp_path: Path) -> None:
    manifest = """{"dependencies": {"a": "^1.0.0 || ^2", "b": "*", "d": "1"},
        "devDependencies": {"g": "9"}}"""
    (tmp_path / "package.json").write_text(manifest)
    last = Resolution(locked=False, one_by_one=True)
    command = steps(("package.json",), {"package.json": manifest}, ".", last)[-1].command
    said = ran(tmp_path, command, "npm", ASKED)
    assert "left out: a ^1.0.0 || ^2\nleft out: g 9\n" in said
    assert said.endswith('{"dependencies":{"b":"*","d":"1"},"devDependencies":{}}[0]')


def test_no_package_downloads_a_browser(tmp_path: Path) -> None:
    manifest = {"package.json": '{"devDependencies": {"puppeteer": "24"}}'}
    command = steps(("package.json",), manifest, ".")[-1].command
    said = ran(tmp_path, command, "npm", "#!/bin/sh\necho $1 $PUPPETEER_SKIP_DOWNLOAD")
    assert said == "install true\n[0]"
