"""`patchwright eval` on histories that the tests build, with the offline model."""

from __future__ import annotations

import asyncio
import functools
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from git import Repo
from rich.console import Console

from agent.evaluation.hidden import judge_hidden
from agent.evaluation.instances import Instance, read_instances
from agent.evaluation.report import Report, Verdicts
from agent.models.replay import ReplayMode
from app.evaluation.evaluate import EvalRequest, evaluate
from app.evaluation.folder import EvalFolder, FolderRefused
from app.evaluation.history import Mined, NoHistory, mine
from app.evaluation.instance_run import with_environment
from app.evaluation.repositories import NoRepository, Sources
from app.evaluation.sandboxes import docker_trees
from app.sandboxes.local_environment import LocalEnvironment
from app.settings.schema import Settings
from sandbox.protocol import Sandbox
from tests.doubles.local_sandbox import LocalSandbox
from tests.histories.all import STORIES
from tests.histories.calendar_tools import CALENDAR, CLOCK, DAYS
from tests.histories.story import Story, build

SMALL = Story(name="small", modules=(CLOCK,))
"""Two fixes."""


MIXED = Story(
    name="mixed",
    modules=(replace(DAYS, fixes=DAYS.fixes[1:2]), replace(CLOCK, fixes=CLOCK.fixes[:1])),
)
"""A fix that the search finds, and a later one that it does not."""


class LocalTrees:
    """`Trees` without containers; `found` is what every tree says of its environment."""

    def __init__(self, found: LocalEnvironment | None = None) -> None:
        self._found = found or LocalEnvironment()
        self.opened: list[str] = []

    async def environment(self, tree: Path, repository: str, about: str) -> LocalEnvironment:
        return self._found

    async def image_id(self, image: str) -> str:
        return image or "plain"

    async def open(
        self, *, run_id: str, purpose: str, image: str, tree: Path, history: Path | None = None
    ) -> Sandbox:
        self.opened.append(image)
        with tarfile.open(tree) as archive:
            files = {
                member.name: file.read()
                for member in archive
                if member.isfile() and (file := archive.extractfile(member)) is not None
            }
        return LocalSandbox(files, warm=True)


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


async def test_a_path_without_a_history_is_reported(tmp_path: Path) -> None:
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


@pytest.fixture
def address(small: Path, tmp_path: Path) -> Iterator[str]:
    """Where the small repository can be fetched from; its default branch is not called so."""
    bare = tmp_path / "served" / "team" / "small.git"
    Repo(small).clone(str(bare), bare=True)
    Repo(bare).git.branch("-m", "main", "trunk")
    Repo(bare).git.update_server_info()
    handler = functools.partial(Quiet, directory=str(tmp_path / "served"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


async def test_mirrors_and_histories_may_be_addresses(
    address: str, small: Path, tmp_path: Path
) -> None:
    sources = Sources(tmp_path, tmp_path / "fetched", address)
    with tarfile.open(await sources.tree("team/small", Repo(small).head.commit.hexsha)) as archive:
        assert "clock.py" in archive.getnames()
    url = f"{address}/team/small.git"
    mined = await mine(url, LocalTrees(), tmp_path / "fetched", limit=1)
    assert [i.repo for i in mined.instances] == [url]
    assert mined.instances[0].instance_id.startswith("team__small-")
    assert [i.name for i in (tmp_path / "fetched").iterdir() if "small" in i.name]


async def test_the_image_is_the_given_one_or_the_repositorys_own(
    instances: tuple[Instance, ...], tmp_path: Path
) -> None:
    trees = LocalTrees(LocalEnvironment(image="own", test_command="make check"))
    bare = instances[0].model_copy(update={"test_command": ""})
    found = await with_environment(bare, trees, tmp_path)
    assert (found.image, found.test_command) == ("own", "make check")
    told = await with_environment(instances[0], trees, tmp_path)
    assert (told.image, told.test_command) == ("own", instances[0].test_command)
    given = told.model_copy(update={"image": "given"})
    assert await with_environment(given, trees, tmp_path) == given


@pytest.mark.docker
async def test_what_a_repository_asks_for_is_set_up_in_its_sandboxes(tmp_path: Path) -> None:
    files = {
        ".github/patchwright.yml": (
            "setup: ['echo ready >$HOME/word']\nnetwork: {setup: false}\ntest_command: make check\n"
        ),
        "a.py": "",
    }
    tree = tmp_path / "tree.tar"
    with tarfile.open(tree, "w") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    async with docker_trees(settings(tmp_path)) as trees:
        own = await trees.environment(tree, "team/asking", "")
        assert own.test_command == "make check"
        assert own.image
        sandbox = await trees.open(run_id="r", purpose="p", image=own.image, tree=tree)
        seen = await sandbox.run("find / -name word -path '*home*' 2>/dev/null | xargs cat")
    assert "ready" in seen.text


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
    with pytest.raises(FolderRefused, match="different instances"):
        await evaluate(others, away, LocalTrees(), quiet())


def test_a_folder_is_used_by_one_evaluation_at_a_time(tmp_path: Path) -> None:
    folder = EvalFolder(tmp_path / "out")
    with folder.in_use(), pytest.raises(FolderRefused, match="is running in"), folder.in_use():
        pass


def evaluation(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app", "eval", "--model", "offline", *words],
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "COLUMNS": "200"},
        cwd=Path(__file__).parents[4],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def said(running: subprocess.Popen[str]) -> str:
    """What it printed, once it has ended well."""
    printed, _ = running.communicate()
    assert running.returncode == 0, printed
    return printed


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def verdicts_of(out: Path) -> Verdicts:
    return Report.model_validate_json((out / "report.json").read_bytes()).verdicts


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.long
def test_a_killed_evaluation_that_is_resumed_says_the_same(tmp_path: Path) -> None:
    """Two fixes from their history to the report: in one go, and killed after the first."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    history = str(build(MIXED, tmp_path))
    printed = said(evaluation(tmp_path, "--from-history", history, "--out", str(whole)))
    assert "gate precision" in printed
    found = read_instances((whole / "instances.jsonl").read_text())
    assert len(found) == 2
    assert [(r.status, r.resolved) for r in verdicts_of(whole).rows] == [
        ("diagnosis", False),
        ("proven", True),
    ]

    words = (str(whole / "instances.jsonl"), "--out", str(killed))
    running = evaluation(tmp_path, *words)
    while not lines(killed / "results.jsonl"):
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    before = lines(killed / "results.jsonl")
    assert len(before) == 1
    assert not (killed / "report.json").exists()

    assert "1 of 2 are done already" in said(evaluation(tmp_path, *words, "--resume"))
    assert lines(killed / "results.jsonl")[:1] == before
    assert verdicts_of(killed) == verdicts_of(whole)
    assert (killed / "predictions.jsonl").read_bytes() == (whole / "predictions.jsonl").read_bytes()
    predicted = [json.loads(line) for line in lines(killed / "predictions.jsonl")]
    assert [p["instance_id"] for p in predicted] == [i.instance_id for i in found]
    assert set(predicted[0]) == {"instance_id", "model_name_or_path", "model_patch"}
    for name in ("report.html", f"traces/{found[0].instance_id}.html"):
        assert (killed / name).stat().st_size > 1000
    assert "p = 1." in said(evaluation(tmp_path, "--compare", str(whole), str(killed)))


ODD = "def greet():\n    return 'hello'\n"


def odd_history(folder: Path) -> Path:
    """A history with what real ones have: an empty commit, an empty merge, a Latin-1 file."""
    place = folder / "odd"
    git = ["git", "-C", str(place), "-c", "user.email=a@b", "-c", "user.name=a"]
    subprocess.run(["git", "init", "-q", "-b", "main", str(place)], check=True)

    def commit(message: str, **files: bytes) -> None:
        for name, data in files.items():
            (place / name.replace("__", ".")).write_bytes(data)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", message, "--allow-empty"], check=True)

    fine = b"from a import greet\n\n\ndef test_greet():\n    assert greet() == 'hello'\n"
    commit("Start", a__py=ODD.encode(), test_a__py=fine)
    commit("Nothing at all")
    commit("A name\n\nin Latin-1", b__py=b"# caf\xe9\n", test_b__py=b"# none\n")
    wanted = b"from a import greet\n\n\ndef test_greet():\n    assert greet() == 'hullo'\n"
    commit("It says hello", a__py=ODD.replace("hello", "hullo").encode(), test_a__py=wanted)
    subprocess.run([*git, "checkout", "-qb", "side", "HEAD~1"], check=True)
    subprocess.run(
        [*git, "merge", "-q", "-s", "ours", "--no-ff", "-m", "Merge", "main"], check=True
    )
    return place


async def test_unusual_commits_are_skipped_with_a_reason_and_mining_resumes(tmp_path: Path) -> None:
    place = odd_history(tmp_path)
    folder = EvalFolder(tmp_path / "out")
    with folder.in_use():
        first = await mine(
            str(place), LocalTrees(), tmp_path, branch="main", keep=folder.append_mined
        )
        assert first.rejected == {
            "no parent": 1,
            "changes nothing": 1,
            "is not UTF-8 text": 1,
        }
        assert [i.problem_statement for i in first.instances] == ["It says hello"]
        known = folder.mined_commits(str(place))
        assert len(known) == 1
        (folder.root / "mined.jsonl").open("ab").write(b'{"repo": "half a li')
        trees = LocalTrees()
        again = await mine(
            str(place), trees, tmp_path, branch="main", known=folder.mined_commits(str(place))
        )
    assert again == first
    assert trees.opened == []  # nothing was tried twice
    side = await mine(str(place), LocalTrees(), tmp_path, branch="side")
    assert side.rejected["changes nothing"] == 2


async def test_what_the_network_failed_is_tried_again_and_no_verdict(tmp_path: Path) -> None:
    place = odd_history(tmp_path)
    folder = EvalFolder(tmp_path / "out")
    away = LocalTrees(LocalEnvironment(network_away=True))
    with folder.in_use():
        spoiled = await mine(str(place), away, tmp_path, branch="main", keep=folder.append_mined)
        assert spoiled.rejected["network away"] == 1
        assert folder.mined_commits(str(place)) == {}


@pytest.mark.parametrize("mode", ["whole", "narrow"])
async def test_merged_fixes_are_replayed_through_the_gate(
    mode: ReplayMode, instances: tuple[Instance, ...], tmp_path: Path
) -> None:
    if mode == "whole":  # the command is found out, as in any other run
        instances = tuple(i.model_copy(update={"test_command": ""}) for i in instances)
    asked = EvalRequest(instances=instances, out=tmp_path / "out", replay=mode)
    with EvalFolder(asked.out).in_use():
        report = await evaluate(asked, settings(tmp_path), LocalTrees(), quiet())
    assert report.replay is not None
    assert report.model == f"replay ({mode})"
    assert [row.verdict for row in report.replay.rows] == ["proven", "proven"]
    assert report.replay.made_wrong == ()
    assert all(row.right and row.same_source for row in report.replay.rows)
    assert "Merged fixes, replayed" in (asked.out / "report.html").read_text()
