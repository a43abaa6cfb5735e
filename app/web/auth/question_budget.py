"""Bounds on what strangers make the App ask GitHub.

Whoever signs in has their role asked for in every repository that has runs. GitHub answers an
installation 5000 times an hour, and the runs need these answers too. And anybody can come back
from a sign-in that never was, with a code that GitHub has to be asked about.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from app.github.records import Permission

WINDOW_S = 3600.0
MOST_OF_ONE = 600
"""Answers an hour that say that an account may see nothing."""
MOST_OF_ALL = 2000
MOST_KNOWN = 10_000

EXCHANGES_AT_ONCE = 8
EXCHANGES_A_MINUTE = 60
"""Codes of sign-ins that GitHub is asked about, whoever brings them."""

_NONE = Permission("none", "none")


class ExchangeBudget:
    """Lets so many codes of sign-ins through at once and in a minute.

    Nothing tells a stranger's code from a person's before GitHub is asked, so this bounds all
    together. Who is signed in already, and the operator's token, need none.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = float(EXCHANGES_A_MINUTE)
        self._at = clock()
        self._running = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """The exchange of one code. Raises `HTTPException` 429 when it has to wait."""
        now = self._clock()
        passed = (now - self._at) * EXCHANGES_A_MINUTE / 60
        self._left, self._at = min(self._left + passed, float(EXCHANGES_A_MINUTE)), now
        if self._left < 1 or self._running >= EXCHANGES_AT_ONCE:
            raise HTTPException(
                429, "Too many people are signing in. Try again in a minute.", {"Retry-After": "60"}
            )
        self._left -= 1
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


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
