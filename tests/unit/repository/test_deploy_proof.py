"""The GitHub Action and the git hook that run `patchwright prove`, with a stand-in for it."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.github.app import git

ROOT = Path(__file__).resolve().parents[3]
ACTION = ROOT / "deploy/action"
HOOK = ROOT / "deploy/git/pre-receive"
PROVE = """#!/bin/sh
printf '%s\\n' "$@" >"$ARGUMENTS"
for word in "$@"; do case $last in --json) printf '{"verdict": "%s"}' "$VERDICT" >"$word";; esac
last=$word; done
if [ -d "$2/objects" ]; then
    # As the program itself: without what git told the hook.
    unset $(git rev-parse --local-env-vars)
    git -C "$2" cat-file -e "${4#--head=}^{tree}" || exit 3
fi
echo "tests/test_<b>.py::test_a shows it"
exit "$STATUS"
"""


def stand_in(folder: Path) -> Path:
    program = folder / "bin" / "patchwright"
    program.parent.mkdir()
    program.write_text(PROVE)
    program.chmod(0o755)
    return program


def test_the_action_gives_no_input_to_a_shell_as_program_text() -> None:
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    steps = action["runs"]["steps"]
    assert all("${{" not in step["run"] and step["shell"] == "bash" for step in steps)
    asked = {value for step in steps for value in step["env"].values()}
    for name in action["inputs"]:
        assert f"${{{{ inputs.{name} }}}}" in asked, name
    said = {name for name in ("verdict", "reports") if f"{name}=" in _script().read_text()}
    assert said == action["outputs"].keys()


def _script() -> Path:
    return ACTION / "prove.sh"


@pytest.mark.parametrize(
    ("verdict", "status", "required", "ends"),
    [
        ("proven", 0, "true", 0),
        ("unproven", 2, "true", 2),
        ("unproven", 2, "false", 0),
        ("failed", 2, "false", 2),
        ("", 1, "false", 1),
    ],
)
def test_the_step_ends_as_the_proof_and_the_input_say(
    tmp_path: Path, verdict: str, status: int, required: str, ends: int
) -> None:
    files = {name: tmp_path / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    environment = {
        "PATH": os.environ["PATH"],
        "RUNNER_TEMP": str(tmp_path),
        "PATCHWRIGHT": str(stand_in(tmp_path)),
        "ARGUMENTS": str(tmp_path / "arguments"),
        "VERDICT": verdict,
        "STATUS": str(status),
        "BASE": "$(touch owned)",
        "HEAD": "--help",
        "FOLDER": ".",
        "TEST_COMMAND": "make 'a b'",
        "REQUIRED": required,
        **{name: str(path) for name, path in files.items()},
    }
    done = subprocess.run([_script()], env=environment, cwd=tmp_path, capture_output=True)
    assert done.returncode == ends, done.stderr
    words = (tmp_path / "arguments").read_text().splitlines()
    assert words[:5] == [
        "prove",
        ".",
        "--base=$(touch owned)",
        "--head=--help",
        "--test-command=make 'a b'",
    ]
    if verdict:
        assert f"verdict={verdict}\n" in files["GITHUB_OUTPUT"].read_text()
        summary = files["GITHUB_STEP_SUMMARY"].read_text()
        assert "    tests/test_<b>.py::test_a shows it\n" in summary


@pytest.mark.parametrize("proven", [True, False])
def test_the_hook_takes_only_proven_pushes_to_the_branch(tmp_path: Path, proven: bool) -> None:
    work, bare = tmp_path / "work", tmp_path / "bare.git"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    git(work, "commit", "-q", "--allow-empty", "-m", "first")
    git(tmp_path, "clone", "-q", "--bare", str(work), str(bare))
    arguments, program = tmp_path / "arguments", stand_in(tmp_path)
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\nexport PATH={program.parent}:$PATH ARGUMENTS={arguments} VERDICT=proven "
        f"STATUS={0 if proven else 2}\nexec {HOOK}\n"
    )
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    first = git(work, "rev-parse", "HEAD")
    (work / "new.txt").write_text("new\n")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "second")
    pushed = subprocess.run(
        ["git", "push", "-q", str(bare), "main"],
        cwd=work,
        capture_output=True,
        text=True,
    )
    assert (pushed.returncode == 0) is proven, pushed.stderr
    assert proven or "the change is not proven" in pushed.stderr
    new = git(work, "rev-parse", "HEAD")
    assert arguments.read_text().split()[2:] == [f"--base={first}", f"--head={new}"]
    arguments.unlink()
    git(work, "push", "-q", str(bare), "main:refs/heads/other")
    assert not arguments.exists(), "other branches are not proven"
