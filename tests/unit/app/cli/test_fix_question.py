"""A question at the terminal."""

from __future__ import annotations

import asyncio
import io
import os
import sys
from datetime import timedelta

import pytest
from rich.console import Console

from agent.journal.events import QuestionAsked, now
from agent.journal.store import Answer
from agent.task import Asking
from app.cli.fix_question import AT_ONCE_S, AT_THE_TERMINAL, ask_person, asking

ASKED = QuestionAsked(
    number=1,
    call_id="c1",
    question="Which of \x1b[2Jthem?",
    options=("this one", "that one"),
    default=2,
    due=now() + timedelta(days=1),
)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("1\n", Answer(option=1, author=AT_THE_TERMINAL)),
        ("that one\n", Answer(option=2, author=AT_THE_TERMINAL)),
        (
            "perhaps\n3\n1 as documented\n",
            Answer(option=1, author=AT_THE_TERMINAL, text="as documented"),
        ),
        ("\n", Answer(option=2)),
        ("", Answer(option=2)),
    ],
)
async def test_the_person_chooses(
    typed: str, answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, writing = os.pipe()
    os.write(writing, typed.encode())
    os.close(writing)
    shown = io.StringIO()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        async with asyncio.timeout(10):
            assert await ask_person(Console(file=shown), ASKED) == answer
    assert "2. that one (default)" in shown.getvalue()
    assert "\x1b" not in shown.getvalue()


def test_without_a_terminal_nobody_waits_and_attempts_side_by_side_do_not_ask() -> None:
    pipe = Console(file=io.StringIO())
    assert asking(pipe, attempts=1) == Asking(wait_s=AT_ONCE_S)
    assert asking(pipe, attempts=2) == Asking()
