"""What others wrote does nothing to a terminal, however it is printed."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import RenderableType
from rich.markdown import Markdown
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from agent.journal.events import Submitted
from agent.journal.state import AttemptState
from app.cli import fix, main, operations
from app.evaluation import command
from app.sanitize.terminal import SafeConsole, visible

EVIL = "a\x1b]52;c;Y3VybA==\x07b\x1b]0;owned\x07c\x1b[2Jd\x9b2Je\u202ef\u2066g\x00h\x08i\u200bj"
OWN = re.compile(r"\x1b\[[\d;]*m|\x1b\]8;[^\x1b\x07]*\x1b\\")
"""Colours, and links that rich itself writes."""
UNSEEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066\u200b]")


def printed(thing: RenderableType, **options: bool) -> str:
    out = io.StringIO()
    SafeConsole(file=out, force_terminal=True, width=200).print(thing, **options)  # type: ignore[arg-type]
    return out.getvalue()


def table() -> Table:
    made = Table("a", title=EVIL)
    made.add_row(EVIL)
    return made


@pytest.mark.parametrize(
    "thing", [EVIL, Text(EVIL), Markdown(f"# x\n{EVIL}\n"), Syntax(EVIL, "diff"), table()]
)
def test_nothing_but_what_can_be_seen_is_written(thing: RenderableType) -> None:
    assert not re.search(
        r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066\u200b]", OWN.sub("", printed(thing))
    )


def test_colours_and_all_that_can_be_read_stay() -> None:
    assert printed("[bold]x[/] ä 日本 \U0001f469\u200d\U0001f4bb\n\ty").startswith(
        "\x1b[1mx\x1b[0m ä 日本 "
    )
    assert visible("tab\tline\n") == "tab\tline\n"
    assert visible("\x1b") == "<U+001B>"


def test_the_commands_print_so() -> None:
    consoles = (main.out, main.err, operations.out, command.out, command.err)
    assert all(isinstance(console, SafeConsole) for console in consoles)


def test_a_root_cause_is_no_command_to_the_terminal() -> None:
    out = io.StringIO()
    state = AttemptState(
        outcome="proven", submitted=Submitted(root_cause=EVIL, summary="s", patch=f"+# {EVIL}\n")
    )
    fix._print_result(state, SafeConsole(file=out, force_terminal=True))
    assert not re.search(r"\x1b\]|\x1b\[2J|\x07", out.getvalue())


def test_an_address_does_not_end_the_sequence_it_stands_in() -> None:
    written = printed(Text("x", style="link https://e.example/\x1b\\\x1b[2J"))
    assert "<U+001B>" in written and "\x1b[2J" not in written


def test_a_bug_of_ours_prints_nothing_but_what_can_be_seen(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        raise ValueError(EVIL)
    except ValueError as error:
        main._print_traceback(type(error), error, error.__traceback__)
    said = capsys.readouterr().err
    assert "Traceback" in said and not UNSEEN.search(said)


WRITES = re.compile(r"(?<![\w.])print\(|typer\.echo|(?<!Safe)\bConsole\(|sys\.std(?:out|err)\.")


def test_nothing_else_writes_to_the_terminal() -> None:
    """A file that is new here must print by a `SafeConsole`, or what is its own alone.

    Log lines are made harmless before they are written (`test_logs.py`).
    """
    root = Path(main.__file__).parents[1]
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for line in path.read_text().splitlines()
        if WRITES.search(line) and "isatty" not in line
    }
    # The decoder of images writes to the process that asked it.
    assert found == {"cli/main.py", "telemetry/logs.py", "attachments/reencode.py"}
