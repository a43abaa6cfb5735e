"""`patchwright fix` as a person types it: layouts it has never seen, and wrong requests."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from app.sandboxes.orphans import owner, sweep_left_over
from sandbox.docker.engine import DockerEngine, SandboxSpec
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits
from tests.e2e.bugs import LAYOUTS, ROOT_MODULES, Bug
from tests.e2e.service import ROOT
from tests.support.long import few
from tests.support.sandboxes.fixtures import tar_of

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]


def git(folder: Path, *words: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        **{f"GIT_{who}_NAME": "ann" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "ann@example.org" for who in ("AUTHOR", "COMMITTER")},
    }
    done = subprocess.run(
        ["git", *words], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def repository(bug: Bug, tmp_path: Path) -> tuple[Path, Path]:
    """A committed repository with the bug, and the issue file beside it."""
    folder = bug.write(tmp_path / "repo")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "all")
    issue = tmp_path / "issue.md"
    issue.write_text(f"# {bug.title}\n\n{bug.body}")
    return folder, issue


def fix(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PATCHWRIGHT_")}
    return subprocess.run(
        [sys.executable, "-m", "app", "fix", *map(str, words)],
        cwd=ROOT,
        env={**kept, "XDG_STATE_HOME": f"{tempfile.gettempdir()}/fix-state", **environment},
        capture_output=True,
        text=True,
        timeout=800,
    )


@pytest.mark.slow
@pytest.mark.parametrize("layout", few(LAYOUTS, 2))
def test_it_fixes_repositories_it_has_never_seen(layout: str, tmp_path: Path):
    folder, issue = repository(LAYOUTS[layout], tmp_path)
    before = git(folder, "status", "--porcelain=v1", "--ignored"), git(folder, "rev-parse", "HEAD")
    out, report = tmp_path / "fix.diff", tmp_path / "report.json"
    done = fix(folder, "--issue", issue, "--model", "offline", "--out", out, "--report", report)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(report.read_text())
    assert told["outcome"] == "proven"
    assert told["gate"]["verdict"] == "proven"
    assert told["patch"] == out.read_text()
    after = git(folder, "status", "--porcelain=v1", "--ignored"), git(folder, "rev-parse", "HEAD")
    assert before == after, "the repository is as it was"
    git(folder, "apply", "--check", str(out))


def one_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit 1 and one clear message, without a stack trace."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    message = " ".join(done.stderr.split())
    assert message.startswith("error:"), done.stderr
    for word in words:
        assert word in message, message


class TestBadInput:
    """Each wrong request: one clear sentence, exit 1, nothing written."""

    def test_no_such_path(self, tmp_path: Path):
        _, issue = repository(ROOT_MODULES, tmp_path)
        one_sentence(fix(tmp_path / "nowhere", "--issue", issue), "no folder")

    def test_not_a_repository(self, tmp_path: Path):
        _, issue = repository(ROOT_MODULES, tmp_path)
        plain = tmp_path / "plain"
        plain.mkdir()
        one_sentence(fix(plain, "--issue", issue), "not a git repository")

    def test_dirty_tree(self, tmp_path: Path):
        folder, issue = repository(ROOT_MODULES, tmp_path)
        (folder / "stats.py").write_text("changed = True\n")
        one_sentence(fix(folder, "--issue", issue), "not committed", "stats.py")

    def test_empty_issue(self, tmp_path: Path):
        folder, issue = repository(ROOT_MODULES, tmp_path)
        for nothing in ("  \n", "#\n", "\n\n# \n"):
            issue.write_text(nothing)
            one_sentence(fix(folder, "--issue", issue), "empty")

    def test_no_issue_file(self, tmp_path: Path):
        folder, _ = repository(ROOT_MODULES, tmp_path)
        one_sentence(fix(folder, "--issue", tmp_path / "none.md"), "cannot be read")

    def test_no_tests(self, tmp_path: Path):
        bug = Bug({"a.py": "x = 1\n"}, "x is wrong", "It should be 2.")
        folder, issue = repository(bug, tmp_path)
        one_sentence(fix(folder, "--issue", issue), "No tests were found", "--test-command")

    def test_tests_that_cannot_run(self, tmp_path: Path):
        folder, issue = repository(ROOT_MODULES, tmp_path)
        done = fix(folder, "--issue", issue, "--test-command", "no-such-runner --all")
        one_sentence(done, "`no-such-runner --all` cannot be run", "--test-command")

    def test_tests_that_cannot_run_by_the_repositorys_own_word(self, tmp_path: Path):
        asked = {".github/patchwright.yml": "test_command: no-such-runner --here\n"}
        bug = replace(ROOT_MODULES, files={**ROOT_MODULES.files, **asked})
        folder, issue = repository(bug, tmp_path)
        one_sentence(fix(folder, "--issue", issue), "`no-such-runner --here` cannot be run")

    def test_engine_down(self, tmp_path: Path):
        folder, issue = repository(ROOT_MODULES, tmp_path)
        done = fix(folder, "--issue", issue, DOCKER_HOST=f"unix://{tmp_path}/no.sock")
        one_sentence(done, "No container engine responds")

    def test_image_missing(self, tmp_path: Path):
        folder, issue = repository(ROOT_MODULES, tmp_path)
        done = fix(folder, "--issue", issue, PATCHWRIGHT_SANDBOX_IMAGE="no/such-image:1")
        one_sentence(done, "no/such-image:1", "patchwright images build")

    def test_unknown_model_profile(self, tmp_path: Path):
        folder, issue = repository(ROOT_MODULES, tmp_path)
        done = fix(
            *(folder, "--issue", issue, "--model", "gpt-0"),
            PATCHWRIGHT_MODEL_URL="http://127.0.0.1:1/v1",
        )
        one_sentence(done, "gpt-0", "k2-thinking")

    def test_output_folder_missing(self, tmp_path: Path):
        folder, issue = repository(ROOT_MODULES, tmp_path)
        done = fix(folder, "--issue", issue, "--out", tmp_path / "no" / "fix.diff")
        one_sentence(done, "does not exist")

    def test_output_is_a_folder(self, tmp_path: Path):
        folder, issue = repository(ROOT_MODULES, tmp_path)
        for option in ("--out", "--report"):
            one_sentence(fix(folder, "--issue", issue, option, tmp_path), "is a folder")

    def test_wrong_words(self, tmp_path: Path):
        # Typer's own status for them is 2, which would say that there is no proven fix.
        one_sentence(fix(tmp_path), "--issue")
        one_sentence(fix(tmp_path, "--issue", tmp_path, "--attempts", "0"), "--attempts")
        one_sentence(fix(tmp_path, "--isue", tmp_path), "--isue")


async def test_sandboxes_of_a_killed_command_are_removed_by_the_next(tmp_path: Path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    engine = DockerEngine()
    tree = tar_of({"a.py": "x = 1\n"}, tmp_path / "tree.tar")
    dead, living = f"terminal:{platform.node()}:{ended.pid}:0123456789ab", owner()
    opened = []
    for name in (dead, living):
        spec = SandboxSpec(
            image=BASE_IMAGE, limits=Limits(), run_id="left", purpose="test", installation=name
        )
        opened.append(await engine.open(spec, tree))
    try:
        assert opened[0].id in await sweep_left_over(engine)
        assert (await opened[1].run("echo here")).text == "here\n"
    finally:
        await engine.sweep((), installation=dead)
        await engine.sweep((), installation=living)
        await engine.close()
