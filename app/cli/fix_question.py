"""What `patchwright fix` does when the model asks: the person at the terminal answers, if any."""

from __future__ import annotations

import asyncio
import sys

from rich.console import Console

from agent.journal.events import QuestionAsked
from agent.journal.store import Answer
from agent.task import Asking
from app.github.commands import answer_in
from app.journal_view.terminal import printable

AT_ONCE_S = 1e-6
"""Where nobody can be asked the default is taken, with no wait that anybody would notice."""
A_DAY_S = 24 * 3600.0
AT_THE_TERMINAL = "the person at the terminal"


def asking(console: Console, attempts: int) -> Asking:
    """Whether an attempt may ask: one of several must not hold up the others."""
    if attempts > 1:
        return Asking()
    interactive = console.is_terminal and sys.stdin.isatty()
    return Asking(wait_s=A_DAY_S if interactive else AT_ONCE_S)


async def ask_person(console: Console, asked: QuestionAsked) -> Answer:
    """Ask until an option is chosen; an empty line, or the end of the input, is the default."""
    _say(console, f"The model asks: {asked.question}")
    for number, option in enumerate(asked.options, 1):
        default = " (default)" if number == asked.default else ""
        _say(console, f"  {number}. {option}{default}")
    while True:
        _say(console, f"Your answer, 1 to {len(asked.options)}, and a word about it if you like:")
        line = (await _read_line()).strip()
        if not line:
            return Answer(option=asked.default)
        chosen, text = answer_in(line, asked.options)
        if chosen:
            return Answer(option=chosen, author=AT_THE_TERMINAL, text=text)


async def _read_line() -> str:
    """A line of the standard input; waiting for it can be cancelled, unlike a thread."""
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        loop.remove_reader(sys.stdin)
        line.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, read)
    try:
        return await line
    finally:
        loop.remove_reader(sys.stdin)


def _say(console: Console, line: str) -> None:
    console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
