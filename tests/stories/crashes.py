"""Lets a worker die right after an outward act: the act is done, and nobody hears of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

OUTWARD = (
    "add_labels",
    "close_pull",
    "commit_on_branch",
    "delete_branch",
    "drop_ref",
    "edit_issue",
    "edit_pull",
    "keep_ref",
    "make_branch",
    "open_issue",
    "open_pull",
    "put_check",
    "put_comment",
    "react",
    "reopen_pull",
    "reply",
    "request_reviewers",
    "rerun_jobs",
)


class WorkerDied(BaseException):
    """The process is gone: nothing of the program may catch it."""


@dataclass
class Crashes:
    """Counts the outward acts of a story, and strikes after one of them."""

    at: int = 0
    """The number of the act to die after, from 1; 0: after none."""
    acts: list[str] = field(default_factory=list)

    def did(self, act: str) -> None:
        """An outward act is done. Raises `WorkerDied` if it is the one."""
        self.acts.append(act)
        if len(self.acts) == self.at:
            raise WorkerDied(act)

    def forge(self, real: Any) -> Any:
        """The same forge, whose outward acts are counted."""
        return _WatchedForge(real, self)

    def mirror(self, real: Any, pushed: Callable[[str], object]) -> Any:
        """The same mirror, whose pushes are counted; `pushed` hears of the branch of each."""
        return _WatchedMirror(real, self, pushed)


class _WatchedForge:
    def __init__(self, real: Any, crashes: Crashes) -> None:
        self._real, self._crashes = real, crashes

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in OUTWARD:
            return real

        async def act(*arguments: Any, **named: Any) -> Any:
            done = await real(*arguments, **named)
            self._crashes.did(name)
            return done

        return act


class _WatchedMirror:
    def __init__(self, real: Any, crashes: Crashes, pushed: Callable[[str], object]) -> None:
        self._real, self._crashes, self._pushed = real, crashes, pushed

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name != "push":
            return real

        def push(*arguments: Any, **named: Any) -> None:
            real(*arguments, **named)
            self._pushed(arguments[0])
            self._crashes.did("push")

        return push
