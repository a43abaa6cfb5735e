"""Git histories with a known culprit, and their commits as places to run a reproduction."""

import io
import subprocess
import tarfile
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from agent.bisection.bisect import CannotRun
from agent.bisection.records import Commit
from agent.journal.events import ReproductionDeclared
from app.git import ancestry
from app.git.local import mirror_history
from sandbox.protocol import Sandbox
from tests.doubles.local_sandbox import LocalSandbox
from tests.support.github.app import git

GOOD = "def total(prices):\n    return sum(prices)\n"
BAD = "def total(prices):\n    return sum(prices[1:])\n"
REPRODUCTION = ReproductionDeclared(
    attempt=1,
    command="python3 check.py",
    files={"check.py": "from shop.cart import total\nassert total([1, 2]) == 3, 'wrong total'\n"},
    expected_failure="wrong total",
    observed='  File "/workspace/shop/cart.py", line 2, in total\nAssertionError: wrong total',
    accepted=True,
    runs=3,
    failures=3,
)


@dataclass
class History:
    """Writes a repository by `git fast-import`, hundreds of commits in one process."""

    files: dict[str, str] = field(default_factory=lambda: {"shop/cart.py": GOOD})
    lines: list[str] = field(default_factory=list)
    count: int = 0
    tip: int = 0
    marks: dict[str, int] = field(default_factory=dict)

    def commit(
        self, changes: dict[str, str | None] | None = None, *, merge: int = 0, subject: str = ""
    ) -> int:
        self.count += 1
        for name, text in (changes or {"notes.txt": f"{self.count}\n"}).items():
            if text is None:
                del self.files[name]
            else:
                self.files[name] = text
        subject = subject or f"Change {self.count}"
        self.lines += ["commit refs/heads/main", f"mark :{self.count}"]
        self.lines += [f"committer Dev <dev@example.com> {1_700_000_000 + 60 * self.count} +0000"]
        self.lines += [f"data {len(subject.encode())}", subject]
        self.lines += [f"from :{self.tip}"] if self.tip else []
        self.lines += [f"merge :{merge}"] if merge else []
        self.lines += ["deleteall"]
        for name, text in self.files.items():
            self.lines += [f"M 100644 inline {name}", f"data {len(text.encode())}", text]
        self.tip = self.count
        return self.count

    def commits(self, number: int) -> None:
        for _ in range(number):
            self.commit()

    def write(self, folder: Path) -> dict[int, str]:
        """Make the repository; the ids of its commits by their marks."""
        folder.mkdir()
        git(folder, "init", "-q", "-b", "main")
        subprocess.run(
            ["git", "fast-import", "--quiet", f"--export-marks={folder}.marks"],
            cwd=folder,
            input="\n".join(self.lines).encode() + b"\n",
            check=True,
        )
        told = Path(f"{folder}.marks").read_text().split()
        return {int(mark[1:]): commit for mark, commit in zip(told[::2], told[1::2], strict=True)}


def files_at(folder: Path, commit: str) -> dict[str, bytes]:
    """The files of a commit."""
    packed = subprocess.run(
        ["git", "archive", commit], cwd=folder, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]


class GitPast:
    """Commits of a repository in temporary folders."""

    def __init__(
        self,
        folder: Path,
        broken: Callable[[str], bool] = lambda _: False,
        open_with: Callable[[dict[str, bytes]], Awaitable[Sandbox]] | None = None,
    ) -> None:
        """`broken`: whether a commit's environment cannot be made."""
        self._open_with = open_with
        self._folder = folder
        self._broken = broken
        self._mirror = mirror_history(folder, folder.with_suffix(".mirror"))
        self.commits: Sequence[Commit] = ancestry.log(
            self._mirror, git(folder, "rev-parse", "main"), 2000
        )
        self.places = 1

    def turn(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    async def open(self, commit: str) -> Sandbox:
        if self._broken(commit):
            raise CannotRun("Its environment cannot be made: no such package.")
        files = files_at(self._folder, commit)
        return await self._open_with(files) if self._open_with else LocalSandbox(files)

    async def touching(self, paths: Collection[str]) -> Collection[str]:
        tip = self.commits[0].id
        return ancestry.touching(self._mirror, tip, sorted(paths), len(self.commits))
