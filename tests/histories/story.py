"""A repository's story told as data, and the git history that is made of it.

Modules are given as they are in the end. Each fix names the right words and the wrong ones that
stood there before: the module comes in with all wrong words, and every fix puts one right, with
tests. Between the fixes stand commits that are no fixes.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

START = 1_700_000_000
DAY = 86_400


@dataclass(frozen=True)
class Fix:
    """One merged fix: what was wrong, what was said, and the tests that came with it."""

    kind: str
    right: str
    wrong: str
    message: str
    tests: str


@dataclass(frozen=True)
class Module:
    """A module as it is in the end, with the tests it came with and the fixes it got."""

    path: str
    text: str
    tests_path: str
    tests: str
    fixes: tuple[Fix, ...]

    def text_before(self, done: int) -> str:
        """The module when only the first `done` fixes are made."""
        text = self.text
        for fix in reversed(self.fixes[done:]):
            if text.count(fix.right) != 1:
                raise ValueError(f"{self.path}: {fix.kind}: the right words must stand there once")
            text = text.replace(fix.right, fix.wrong)
        return text

    def tests_after(self, done: int) -> str:
        """The tests when the first `done` fixes are made."""
        return "\n\n".join(part.strip("\n") + "\n" for part in self._tests(done))

    def _tests(self, done: int) -> list[str]:
        return [self.tests, *(fix.tests for fix in self.fixes[:done])]


@dataclass(frozen=True)
class Story:
    """One repository."""

    name: str
    modules: tuple[Module, ...]
    files: dict[str, str] = field(default_factory=dict)
    """What else is in it from the beginning."""

    @property
    def fixes(self) -> int:
        """How many fixes its history holds."""
        return sum(len(m.fixes) for m in self.modules)


def build(story: Story, folder: Path) -> Path:
    """Make the repository `folder/NAME` with its whole history; the same bytes every time."""
    root = folder / story.name
    root.mkdir(parents=True)
    history = _History(root)
    history.commit("Empty project", {"README.md": f"# {story.name}\n", **story.files})
    for module in story.modules:
        files = {module.path: module.text_before(0), module.tests_path: module.tests_after(0)}
        history.commit(f"Add {Path(module.path).stem}", files)
    longest = max(len(m.fixes) for m in story.modules)
    for turn in range(longest):
        for module in story.modules:
            if turn < len(module.fixes):
                _fix(history, module, turn)
        history.commit(f"Notes on release 0.{turn + 1}", {"CHANGES.md": f"Release 0.{turn + 1}\n"})
    return root


def _fix(history: _History, module: Module, turn: int) -> None:
    files = {module.path: module.text_before(turn + 1)}
    tests = {module.tests_path: module.tests_after(turn + 1)}
    message = module.fixes[turn].message.strip() + "\n"
    if turn % 3 == 2:
        history.merge(message, {**files, **tests})
    else:
        history.commit(message, {**files, **tests})


class _History:
    """A git repository in the making, with fixed names and times."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._commits = 0
        self._git("init", "-q", "-b", "main")

    def commit(self, message: str, files: dict[str, str]) -> None:
        for path, text in files.items():
            target = self._root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, "utf-8")
        self._git("add", "-A")
        self._commits += 1
        self._git("commit", "-q", "-F", "-", stdin=message)

    def merge(self, message: str, files: dict[str, str]) -> None:
        """The same by a branch of two commits that is merged, as a pull request is."""
        branch = f"change-{self._commits}"
        self._git("checkout", "-q", "-b", branch)
        paths = list(files)
        self.commit("wip", {paths[0]: files[paths[0]]})
        self.commit("tests", {p: files[p] for p in paths[1:]})
        self._git("checkout", "-q", "main")
        self._commits += 1
        number = 100 + self._commits
        title = f"Merge pull request #{number} from team/{branch}\n\n{message}"
        self._git("merge", "-q", "--no-ff", "-m", title, branch)

    def _git(self, *arguments: str, stdin: str = "") -> None:
        when = f"{START + self._commits * DAY} +0000"
        people = {
            f"GIT_{role}_{part}": value
            for role in ("AUTHOR", "COMMITTER")
            for part, value in (
                ("NAME", "Team"),
                ("EMAIL", "team@example.org"),
                ("DATE", when),
            )
        }
        subprocess.run(
            ["git", "-C", str(self._root), *arguments],
            input=stdin.encode(),
            check=True,
            capture_output=True,
            env={
                "PATH": os.environ["PATH"],
                "GIT_CONFIG_GLOBAL": "/dev/null",
                "GIT_CONFIG_NOSYSTEM": "1",
                "HOME": "/nonexistent",
                **people,
            },
        )
