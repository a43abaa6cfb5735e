"""A forge that checks before every visible action that this worker still has the run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

from agent.errors import LostLease
from app.github.forge import Forge

READS = frozenset(
    {
        "bot_login", "check_log", "close", "commit_author", "failed_checks", "file",
        "is_by_a_person", "is_collaborator", "is_on_branch", "issue", "last_word", "name",
        "open_issues", "open_pulls", "permission", "pull", "pulls", "review_comments", "repository",
    }
)  # fmt: skip
"""Calls that change nothing outside. All others are actions, even a git token: it is for a push."""


def fenced(forge: Forge, run_id: str, holds: Callable[[], bool]) -> Forge:
    """A forge whose actions raise `LostLease` once `holds` returns False."""
    return cast(Forge, _Fenced(forge, run_id, holds))


class _Fenced:
    def __init__(self, forge: Forge, run_id: str, holds: Callable[[], bool]) -> None:
        self._forge = forge
        self._run_id = run_id
        self._holds = holds

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._forge, name)
        if name in READS or not callable(found):
            return found
        return self._guard(found)

    def _guard(self, act: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def guarded(*arguments: Any, **keywords: Any) -> Any:
            if not self._holds():
                raise LostLease(f"run {self._run_id} belongs to another worker now")
            return await act(*arguments, **keywords)

        return guarded
