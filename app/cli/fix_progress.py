"""What `patchwright fix` shows while nothing new is in the journal: a slow model, a server away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.status import Status
from rich.text import Text

from agent.decisions.budget import span
from agent.journal.events import ModelTurned, QuestionAsked, Recorded, ToolFinished, ToolStarted
from agent.models.openai_compat import OnProgress, OnWaiting

LINE_EVERY_S = 30.0
"""Where the output is no terminal: seconds between two lines about one turn."""
STATUS_EVERY_S = 1.0


@dataclass(slots=True)
class _Doing:
    """What one attempt does at the moment."""

    what: str = ""
    """Empty: nothing that takes long."""
    since: float = 0.0
    address: str = ""
    written: int = 0
    tokens: int = 0
    """Of all turns that have ended, as the server counted them."""


class TurnWatch:
    """Follows the attempts of one run, and says what goes on when that takes long."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._doing: dict[int, _Doing] = {}
        self._status: Status | None = None

    def waiting(self, attempt: int) -> OnWaiting:
        """For a model's `on_waiting`: each attempt to reach the server is a line."""

        async def on_waiting(reason: str, seconds: float) -> None:
            doing = self._at(attempt)
            if doing.what != "waiting":
                doing.what, doing.since = "waiting", self._clock()
            away = span(max(1.0, round(self._clock() - doing.since)))
            where = f" at {doing.address}" if doing.address else ""
            self._say(
                f"waiting for the model{where} for {away}: {reason}; again in {seconds:.0f} s"
            )

        return on_waiting

    def progress(self, attempt: int) -> OnProgress:
        """For a model's `on_progress`."""

        def on_progress(address: str, written: int) -> None:
            doing = self._at(attempt)
            if doing.what != "turn" and not (doing.what == "waiting" and not written):
                doing.what, doing.since = "turn", self._clock()
            doing.address, doing.written = address, written

        return on_progress

    def observe(self, entry: Recorded) -> None:
        """Take in an event of the journal."""
        doing = self._at(entry.event.attempt)
        match entry.event:
            case ModelTurned(usage=usage):
                doing.tokens += usage.prompt_tokens + usage.completion_tokens
                doing.what = ""
            case ToolStarted(name=name):
                doing.what, doing.since = name, self._clock()
            case ToolFinished() | QuestionAsked():
                doing.what = ""

    def ended(self, attempt: int) -> None:
        """The attempt is over."""
        self._doing.pop(attempt, None)

    def lines(self, at_least_s: float = 0.0) -> list[str]:
        """What has gone on for so long, a line for each attempt."""
        return [
            self._line(number, doing)
            for number, doing in sorted(self._doing.items())
            if doing.what and self._clock() - doing.since >= at_least_s
        ]

    @contextlib.asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Keep showing it: a status at the bottom of a terminal, elsewhere a line now and then."""
        showing = asyncio.create_task(
            self._show_status() if self._console.is_terminal else self._print_lines()
        )
        try:
            yield
        finally:
            showing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await showing

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Show no status during the block: somebody types there."""
        if self._status is not None:
            self._status.stop()
        try:
            yield
        finally:
            if self._status is not None:
                self._status.start()

    async def _show_status(self) -> None:
        with self._console.status("") as status:
            self._status = status
            while True:
                status.update(Text("; ".join(self.lines()) or "…"))
                await asyncio.sleep(STATUS_EVERY_S)

    async def _print_lines(self) -> None:
        while True:
            await asyncio.sleep(LINE_EVERY_S)
            for line in self.lines(at_least_s=LINE_EVERY_S):
                self._say(line)

    def _line(self, number: int, doing: _Doing) -> str:
        took = span(max(1.0, round(self._clock() - doing.since)))
        so_far = f"{doing.tokens:,} tokens before this turn"
        many = f"attempt {number}: " if len(self._doing) > 1 else ""
        if doing.what == "waiting":
            return f"{many}waiting for the model at {doing.address} for {took}; {so_far}"
        if doing.what != "turn":
            return f"{many}{doing.what} has been running for {took}"
        written = f"about {doing.written:,} tokens written" if doing.written else "nothing yet"
        return f"{many}the model at {doing.address} works for {took}: {written}; {so_far}"

    def _at(self, attempt: int) -> _Doing:
        return self._doing.setdefault(attempt, _Doing())

    def _say(self, line: str) -> None:
        self._console.print(f"… {line}", markup=False, highlight=False, soft_wrap=True)
