"""A bound on what strangers make the App ask GitHub.

Whoever signs in has their role asked for in every repository that has runs. GitHub answers an
installation 5000 times an hour, and the runs need these answers too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable

from app.github.records import Permission

WINDOW_S = 3600.0
MOST_OF_ONE = 600
"""Answers an hour that say that an account may see nothing."""
MOST_OF_ALL = 2000
MOST_KNOWN = 10_000

_NONE = Permission("none", "none")


class QuestionBudget:
    """Passes questions about roles on until too many answers were no.

    Beyond that the answer is no, except where it was yes before: nobody loses by others what they
    have. Called with what `role_of` is called with, the account at the end.
    """

    def __init__(
        self,
        role_of: Callable[..., Awaitable[Permission]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._role_of = role_of
        self._clock = clock
        self._until = clock() + WINDOW_S
        self._refused: Counter[Hashable] = Counter()
        self._welcome: set[tuple[Hashable, ...]] = set()

    async def __call__(self, *asked: Hashable) -> Permission:
        """GitHub's answer, or no. Raises what `role_of` raises."""
        if self._clock() >= self._until:
            self._refused.clear()
            self._until = self._clock() + WINDOW_S
        account = asked[-1]
        is_spent = self._refused[account] >= MOST_OF_ONE or self._refused.total() >= MOST_OF_ALL
        if is_spent and asked not in self._welcome:
            return _NONE
        answer = await self._role_of(*asked)
        if answer.at_least("read"):
            if len(self._welcome) >= MOST_KNOWN:
                self._welcome.clear()
            self._welcome.add(asked)
        else:
            self._refused[account] += 1
            self._welcome.discard(asked)
        return answer
