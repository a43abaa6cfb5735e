"""A small world for runs: a forge in one file, a real git repository, sandboxes without containers.

Everything outward is kept on disk, so that a killed process leaves it as a real GitHub would, and
every act is written down, so that doubled ones are seen.
"""

from __future__ import annotations

import asyncio
import fcntl
import io
import json
import subprocess
import tarfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from agent.model import Message, Model, ToolSpec, Turn, Usage
from agent.models.openai_compat import OnWaiting
from app.git.mirror import Mirror
from app.github.errors import ForgeAway, ForgeMissing
from app.github.forge import Reaction
from app.github.records import (
    BranchRules,
    CheckReport,
    CheckRun,
    Comment,
    FailedCheck,
    GitToken,
    IssueThread,
    Permission,
    Pull,
    Repository,
    ReviewComment,
)
from app.runs.workflow import Services
from app.settings.schema import Settings
from app.storage.store import SqlStore
from sandbox.protocol import Sandbox
from tests.doubles.local_sandbox import LocalSandbox
from tests.doubles.seeded_policy import FILES, TITLE, SeededModel


class FileForge:
    """`Forge` over one JSON file."""

    name = "octo/calc"

    def __init__(self, file: Path, clone_url: str) -> None:
        self._file = file
        self._clone_url = clone_url

    @contextmanager
    def world(self, act: str = "") -> Iterator[dict[str, Any]]:
        """The file's content to read and change; `act` is written down as done."""
        with self._file.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            world = json.loads(file.read() or "{}")
            for name, empty in (("comments", {}), ("pulls", {}), ("acts", []), ("set", {})):
                world.setdefault(name, empty)
            if act:
                if world["set"].get("away", 0) > 0:
                    world["set"]["away"] -= 1
                    self._write(file, world)
                    raise ForgeAway("GitHub cannot be reached.")
                world["acts"].append(act)
            yield world
            self._write(file, world)

    @staticmethod
    def _write(file: Any, world: dict[str, Any]) -> None:
        file.seek(0)
        file.truncate()
        file.write(json.dumps(world))

    async def bot_login(self) -> str:
        return "patchwright[bot]"

    async def git_token(self, *, renew: bool = False) -> GitToken:
        return GitToken("secret-token", datetime.now(UTC) + timedelta(hours=1))

    async def repository(self) -> Repository:
        return Repository(self.name, "main", True, False, self._clone_url, "https://web.test")

    async def issue(self, number: int) -> IssueThread:
        with self.world("read issue") as world:
            state = world["set"].get("issue", "open")
        if state == "gone":
            raise ForgeMissing("There is no such issue.")
        said = Comment(1, "reporter", "It still happens.", datetime.now(UTC), "u")
        own = Comment(2, "patchwright[bot]", "status", datetime.now(UTC), "u")
        return IssueThread(
            number=number,
            title=TITLE,
            body="See the title.",
            author="reporter",
            open=state == "open",
            locked=False,
            is_pull=False,
            labels=("patchwright",),
            comments=(said, own),
            url=f"https://web.test/{self.name}/issues/{number}",
        )

    async def rendered_images(self, number: int, *, reviews: bool = False) -> tuple[str, ...]:
        return ()

    async def permission(self, user: str, *, user_id: int = 0) -> Permission:
        with self.world() as world:
            role = world["set"].get("role", "triage")
        return Permission("read" if role == "triage" else role, role)

    async def react(self, issue: int, reaction: Reaction, *, comment: int = 0) -> None:
        with self.world(f"react {reaction}"):
            pass

    async def put_comment(self, issue: int, marker: str, body: str) -> Comment:
        with self.world("comment") as world:
            world["comments"][marker] = body
        return Comment(1, "patchwright[bot]", body, datetime.now(UTC), "https://web.test/c")

    async def pulls(self, branch: str) -> tuple[Pull, ...]:
        with self.world() as world:
            found = world["pulls"].get(branch)
        return (Pull(**found),) if found else ()

    async def open_pulls(self, most: int) -> tuple[Pull, ...]:
        return ()

    async def open_pull(
        self, *, branch: str, base: str, title: str, body: str, draft: bool
    ) -> Pull:
        with self.world("open pull") as world:
            number = 100 + len(world["pulls"])
            url = f"https://web.test/pull/{number}"
            pull = Pull(number, url, True, draft, False, branch, "5" * 40, title, body)
            world["pulls"].setdefault(branch, asdict(pull))
            hang = world["set"].pop("hang after open pull", False)
        if hang:  # until somebody kills the process: the act is done, its answer never comes
            await asyncio.Event().wait()
        return pull

    async def add_labels(self, number: int, labels: Sequence[str]) -> None:
        with self.world("label"):
            pass

    async def put_check(self, report: CheckReport) -> CheckRun:
        with self.world("check") as world:
            world.setdefault("checks", {})[report.external_id] = asdict(report)
        conclusion = report.conclusion or ""
        return CheckRun(1, report.external_id, report.status, conclusion, "https://web.test/check")

    async def request_reviewers(
        self, number: int, people: Sequence[str], teams: Sequence[str]
    ) -> tuple[str, ...]:
        with self.world("ask for review") as world:
            world["reviewers"] = [*people, *teams]
        return ()

    async def file(self, path: str, *, repository: str = "") -> bytes | None:
        with self.world() as world:
            found = world.get("files", {}).get(f"{repository}:{path}" if repository else path)
        return found.encode() if found is not None else None

    async def pull(self, number: int) -> Pull:
        with self.world() as world:
            return next(Pull(**p) for p in world["pulls"].values() if p["number"] == number)

    async def changed_paths(self, number: int, *, most: int = 3_000) -> tuple[str, ...]:
        return ()

    async def review_comments(self, number: int) -> tuple[ReviewComment, ...]:
        return ()

    async def reply(self, number: int, thread: int, marker: str, body: str) -> None:
        raise NotImplementedError

    async def failed_checks(self, sha: str) -> tuple[FailedCheck, ...]:
        return ()

    async def is_on_branch(self, branch: str, sha: str) -> bool:
        return True

    async def check_log(self, check: int) -> bytes | None:
        return None

    async def open_issue(self, marker: str, title: str, body: str) -> int:
        raise NotImplementedError

    async def branch_rules(self, branch: str) -> BranchRules:
        return BranchRules()

    async def delete_branch(self, branch: str, sha: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class LocalSandboxes:
    """`Sandboxes` in temporary folders; none outlives its process."""

    def __init__(self) -> None:
        self.kept: list[frozenset[str]] = []

    async def open(
        self, run_id: str, purpose: str, tree_tar: Path, history: Path | None = None
    ) -> Sandbox:
        """Without the history: nothing that is run here asks for it."""
        with tarfile.open(tree_tar) as tar:
            members = [m for m in tar.getmembers() if m.isfile()]
            files = {m.name: (tar.extractfile(m) or io.BytesIO()).read() for m in members}
        return LocalSandbox(files, warm=True)

    def share(self, tree_tar: Path, other: Path) -> None:
        pass

    async def environment(self, tree_tar: Path) -> str:
        return "temporary folders"

    async def attach(self, sandbox_id: str) -> Sandbox | None:
        return None

    async def sweep(self, keep_runs: Collection[str]) -> None:
        self.kept.append(frozenset(keep_runs))


GIVES_UP_AFTER = 7


class HeldModel(SeededModel):
    """Waits at its turn after so many results for as long as the file with that number exists.

    So a test can kill, freeze or count while runs stand still, however slow the machine is.
    """

    hold: Path
    gives_up_after = 1_000_000
    """Results after which it says that it cannot fix this."""

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        done = sum(message.role == "tool" for message in messages)
        while (at := self._held_at()) is not None and done >= at:
            await asyncio.sleep(0.05)
        if done >= self.gives_up_after:
            return Turn(content="I cannot fix this.", usage=Usage(prompt_tokens=9))
        return await super().turn(messages, tools)

    def _held_at(self) -> int | None:
        try:
            return int(self.hold.read_text())
        except FileNotFoundError:
            return None


class RunWorld:
    """A state folder with a repository, a forge and the services of runs over them.

    `fixes`: whether its model finds the fix; else runs end with a diagnosis, which takes a fraction
    of the time of the gate.
    """

    def __init__(
        self, folder: Path, *, steps: int = 16, fixes: bool = True, **settings: Any
    ) -> None:
        self.folder = folder
        self.remote = folder / "remote.git"
        if not self.remote.exists():
            make_remote(self.remote, FILES)
        self.settings = Settings(state_dir=folder / "state", **settings)
        self.store = SqlStore(self.settings.database)
        self.forge = FileForge(folder / "forge.json", str(self.remote))
        self.sandboxes = LocalSandboxes()
        self.steps = steps
        self.fixes = fixes

    def services(self, **change: Any) -> Services:
        """The services; what is given replaces its part."""
        parts: dict[str, Any] = {
            "settings": self.settings,
            "store": self.store,
            "forge": lambda *_place: self.forge,
            "mirror": lambda url, _repository_id=0: Mirror(
                self.folder / "state" / "mirror.git", url
            ),
            "sandboxes": self.sandboxes,
            "make_model": self.model,
            "patience_s": (0.01, 0.01),
            "status_interval_s": 0.05,
        }
        return Services(**parts | change)

    def model(self, _run_id: str, seed: int, _waiting: OnWaiting, _looking: bool) -> Model:
        model = HeldModel(seed, self.steps, slow_commands=False)
        model.hold = self.folder / "hold"
        if not self.fixes:
            model.gives_up_after = GIVES_UP_AFTER
        return model

    def hold(self, results: int) -> None:
        """From here on every run waits before its turn after so many results."""
        new = self.folder / "hold.new"
        new.write_text(str(results))
        new.replace(self.folder / "hold")

    def let_go(self) -> None:
        """Runs go on."""
        (self.folder / "hold").unlink()

    def branches(self) -> dict[str, str]:
        """The remote's branches with their commits."""
        out = git(self.remote, "for-each-ref", "--format=%(refname:short) %(objectname)")
        return dict(line.split() for line in out.splitlines())


def git(repository: Path, *words: str, stdin: str = "") -> str:
    """Run git on a bare repository."""
    done = subprocess.run(
        ["git", f"--git-dir={repository}", *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def make_remote(path: Path, files: dict[str, str]) -> None:
    """A bare repository with one commit of these files on `main`."""
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(path)], check=True)
    parts = ["commit refs/heads/main\ncommitter a <a@b> 1700000000 +0000\ndata 5\nfirst\n"]
    for name, content in files.items():
        size = len(content.encode())
        parts.append(f"M 100644 inline {name}\ndata {size}\n{content}\n")
    git(path, "fast-import", "--quiet", stdin="".join(parts))
