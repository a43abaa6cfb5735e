"""`patchwright eval` on histories that the tests build, with the offline model."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from git import Repo
from rich.console import Console

from agent.evaluation.hidden import judge_hidden
from agent.evaluation.instances import Instance, read_instances
from agent.evaluation.report import Report
from app.environments import OwnEnvironment
from app.eval_folder import EvalFolder, FolderRefused
from app.eval_history import Mined, NoHistory, mine
from app.eval_sources import NoRepository, Sources
from app.evaluate import EvalRequest, evaluate
from app.settings import Settings
from sandbox.protocol import Sandbox
from tests.doubles.local_sandbox import LocalSandbox
from tests.histories.all import STORIES
from tests.histories.calendar_tools import CALENDAR, CLOCK
from tests.histories.story import Story, build

SMALL = Story(name="small", modules=(CLOCK,))
"""Two fixes."""


class LocalTrees:
    """`Trees` without containers; `found` is what every tree says of its environment."""

    def __init__(self, found: OwnEnvironment | None = None) -> None:
        self._found = found or OwnEnvironment()
        self.opened: list[str] = []

    async def environment(self, tree: Path, repository: str, about: str) -> OwnEnvironment:
        return self._found

    async def open(self, *, run_id: str, purpose: str, image: str, tree: Path) -> Sandbox:
        self.opened.append(image)
        with tarfile.open(tree) as archive:
            files = {
                member.name: file.read()
                for member in archive
                if member.isfile() and (file := archive.extractfile(member)) is not None
            }
        return LocalSandbox(files)


def quiet() -> Console:
    return Console(quiet=True)


def settings(tmp_path: Path, **values: object) -> Settings:
    return Settings.model_validate({"state_dir": tmp_path / "state", **values})


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(SMALL, tmp_path_factory.mktemp("histories"))


@pytest.fixture(scope="module")
def mined(small: Path) -> Mined:
    return asyncio.run(mine(str(small), LocalTrees(), small.parent))


@pytest.fixture
def instances(mined: Mined) -> tuple[Instance, ...]:
    return mined.instances


def test_the_stories_hold_thirty_fixes_of_different_kinds() -> None:
    kinds = [fix.kind for story in STORIES for module in story.modules for fix in module.fixes]
    assert len(kinds) >= 30
    assert len(set(kinds)) >= 20


def test_fixes_of_a_history_become_instances(small: Path, mined: Mined) -> None:
    commits = list(Repo(small).iter_commits("HEAD", first_parent=True))
    assert mined.looked_at == len(commits)
    newest, oldest = mined.instances
    assert newest.problem_statement.startswith("Night shifts have a negative length")
    assert oldest.problem_statement.startswith("Full hours are shown with one zero")
    assert newest.FAIL_TO_PASS == ("test_clock.py::test_over_midnight",)
    assert "test_clock.py::test_full_hours" in newest.PASS_TO_PASS
    assert "clock.py" not in newest.test_patch.replace("test_clock.py", "")
    assert sum(mined.rejected.values()) == mined.looked_at - 2
    assert mined.rejected["changes no source"] == 2


async def test_a_merge_counts_as_one_change(tmp_path: Path) -> None:
    mined = await mine(str(build(CALENDAR, tmp_path)), LocalTrees(), tmp_path, limit=2, parallel=2)
    titles = [i.problem_statement.splitlines()[0] for i in mined.instances]
    assert titles == [
        "Bookings that touch are not seen to overlap",
        "March belongs to the wrong quarter",
    ]
    assert mined.looked_at == 4


async def test_what_has_no_history_says_so(tmp_path: Path) -> None:
    Repo.init(tmp_path / "empty")
    with pytest.raises(NoHistory, match="cannot be read"):
        await mine(str(tmp_path / "empty"), LocalTrees(), tmp_path)


async def test_the_merged_fix_resolves_and_less_does_not(
    small: Path, instances: tuple[Instance, ...], tmp_path: Path
) -> None:
    asked = instances[0]
    tree = await Sources(tmp_path, tmp_path).tree(str(small), asked.base_commit)

    async def fresh() -> Sandbox:
        return await LocalTrees().open(run_id="", purpose="", image="", tree=tree)

    assert (await judge_hidden(asked, asked.patch, fresh)).resolved
    # A patch that brings the hidden tests' file in a tame form does not replace them.
    tamed = asked.test_patch.replace("== 480", "== -960")
    refuted = await judge_hidden(asked, tamed, fresh)
    assert refuted.problem == "the patch changes nothing but hidden tests"
    harmless = (
        "diff --git a/N b/N\nnew file mode 100644\n--- /dev/null\n+++ b/N\n@@ -0,0 +1 @@\n+n\n"
    )
    wrong = await judge_hidden(asked, harmless + tamed, fresh)
    assert wrong.failed == asked.FAIL_TO_PASS
    broken = await judge_hidden(asked, asked.patch.replace("-    return", "-    retain"), fresh)
    assert "does not apply" in broken.problem


async def test_repositories_are_found_in_a_folder_of_mirrors(small: Path, tmp_path: Path) -> None:
    Repo(small).clone(str(tmp_path / "mirrors" / "team" / "small.git"), bare=True)
    sources = Sources(tmp_path / "s", tmp_path / "f", str(tmp_path / "mirrors"))
    (tmp_path / "s").mkdir()
    commit = Repo(small).head.commit.hexsha
    with tarfile.open(await sources.tree("team/small", commit)) as archive:
        assert "clock.py" in archive.getnames()
    with pytest.raises(NoRepository, match="--mirrors"):
        await sources.tree("team/other", commit)
    with pytest.raises(NoRepository):
        await sources.tree("../team/small", commit)


async def test_a_model_that_is_away_is_an_error_and_is_tried_again(
    instances: tuple[Instance, ...], tmp_path: Path
) -> None:
    away = settings(
        tmp_path, model="k2-thinking", model_url="http://127.0.0.1:9/v1", model_patience_s=0
    )
    request = EvalRequest(instances[:1], tmp_path / "out")
    report = await evaluate(request, away, LocalTrees(), quiet())
    assert (report.verdicts.errors, report.verdicts.resolved.count) == (1, 0)
    assert report.verdicts.rows[0].note
    with pytest.raises(FolderRefused, match="--resume"):
        await evaluate(request, away, LocalTrees(), quiet())
    resumed = EvalRequest(instances[:1], tmp_path / "out", resume=True)
    await evaluate(resumed, away, LocalTrees(), quiet())
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 2
    others = EvalRequest(instances, tmp_path / "out", resume=True)
    with pytest.raises(FolderRefused, match="other instances"):
        await evaluate(others, away, LocalTrees(), quiet())


def test_a_folder_is_used_by_one_evaluation_at_a_time(tmp_path: Path) -> None:
    folder = EvalFolder(tmp_path / "out")
    with folder.used(), pytest.raises(FolderRefused, match="at work"), folder.used():
        pass


def command(out: Path, path: Path, *more: str) -> list[str]:
    words = ["eval", "--from-history", str(path), "--model", "offline", "--out", str(out)]
    return [sys.executable, "-m", "app", *words, "--parallel", "2", *more]


def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "XDG_STATE_HOME": str(tmp_path), "COLUMNS": "200"}


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def verdicts_of(out: Path) -> object:
    return Report.model_validate_json((out / "report.json").read_bytes()).verdicts


def report_rows(out: Path) -> Sequence[str]:
    return [json.loads(line)["instance_id"] for line in lines(out / "predictions.jsonl")]


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_evaluation_that_is_resumed_says_the_same(tmp_path: Path) -> None:
    path = build(Story(name="clocks", modules=(CLOCK, CALENDAR.modules[0])), tmp_path)
    more = ("--limit", "4")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done = subprocess.run(
        command(whole, path, *more),
        env=environment(tmp_path),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "gate precision" in done.stdout
    found = read_instances((whole / "instances.jsonl").read_text())
    assert len(found) == 4

    running = subprocess.Popen(
        command(killed, path, *more),
        env=environment(tmp_path),
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 240
    while not lines(killed / "results.jsonl") and time.monotonic() < deadline:
        assert running.poll() is None
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    before = lines(killed / "results.jsonl")
    assert 1 <= len(before) < 4
    assert not (killed / "report.json").exists()

    resumed = subprocess.run(
        command(killed, path, *more, "--resume"),
        env=environment(tmp_path),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    assert lines(killed / "results.jsonl")[: len(before)] == before
    assert verdicts_of(killed) == verdicts_of(whole)
    assert report_rows(killed) == report_rows(whole) == [i.instance_id for i in found]
    assert (killed / "predictions.jsonl").read_bytes() == (whole / "predictions.jsonl").read_bytes()
    for name in ("report.html", f"traces/{found[0].instance_id}.html"):
        assert (killed / name).stat().st_size > 1000

    compared = subprocess.run(
        [sys.executable, "-m", "app", "eval", "--compare", str(whole), str(killed)],
        env=environment(tmp_path),
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "p = 1." in compared.stdout, compared.stderr
