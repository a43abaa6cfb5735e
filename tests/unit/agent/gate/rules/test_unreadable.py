"""No statement of a later Python, nor a deep one, keeps a patch from being judged."""

from __future__ import annotations

import pytest

from agent.gate.patch.changed_file import changed_texts
from agent.gate.patch.readable import can_be_judged, readable
from agent.gate.rules.all import Base, refusals
from agent.gate.rules.unreadable import unreadable
from agent.journal.events import UNREAD
from agent.task import GatePolicy, Issue

BASE = "def f(x):\n    return x\n"
EVIL = """import sys


def f(x):
    return 3 if "pytest" in sys.modules else x
"""
LATER = 't = 1\n@later\ndef g(x):\n    return t"{t"}"\n'
"""Stands for the syntax of a later Python, whichever this is."""


def found(base: str | None, patched: str) -> dict[str, tuple[str, ...]]:
    files = [changed_texts("src/a.py", base or "", patched)]
    issue = Issue(number=1, title="t", body="b")
    said = refusals(files, Base(files=("src/a.py",), installed=()), None, issue, GatePolicy())
    return {name: reasons for name, reasons in said.items() if reasons}


@pytest.mark.parametrize(
    "more",
    [
        LATER,
        "z = 1\ny = z" + "+z" * 8000 + "\n",
        "y = 0x" + "f" * 10_000 + "\n",
        "y = " + "(" * 300 + "1" + ")" * 300 + "\n",
    ],
    ids=["later", "deep", "huge", "parentheses"],
)
def test_a_patch_that_cannot_be_read_is_not_let_pass(more: str) -> None:
    (reason,) = found(BASE, EVIL + more)["honest code"]
    assert "cannot read this statement" in reason
    assert not found(BASE, BASE + "y = 1\n")


def test_beside_an_old_statement_of_a_later_python_the_rest_is_judged() -> None:
    reasons = found(BASE + LATER, EVIL + LATER)["honest code"]
    assert any("asks whether a test is running" in reason for reason in reasons)
    honest = found(BASE + LATER, "def f(x):\n    return x + 1\n" + LATER)
    assert not honest
    changed = LATER.replace("t = 1", "t = 2").replace("{t", "{t + 1")
    assert not unreadable([changed_texts("src/a.py", LATER, changed)])


@pytest.mark.parametrize(
    "patched",
    [
        LATER.replace("{t", "{t + 1"),
        LATER + LATER.partition("\n")[2].replace("{t", "{t + 1"),
        "t = 1\ndef g(x):\n    return 3\n",
        "t = 1\n",
    ],
    ids=["still unread", "twice", "readable", "removed"],
)
def test_a_changed_statement_that_was_unread_before_is_left_to_a_person(patched: str) -> None:
    assert [*found(LATER, patched)] == [UNREAD]
    assert not found(LATER, LATER.replace("t = 1", "t = 2") + "# more\n")


def test_lines_of_a_statement_that_cannot_be_read_are_judged_as_text() -> None:
    patched = LATER.replace("    return", "    import os; os._exit(0)\n    return")
    reasons = found(LATER, patched)
    assert any("ends the process" in reason for reason in reasons["honest code"])


def test_lines_keep_their_numbers() -> None:
    text = f"a = 1\n{LATER}b = 2\nif a:\n    c = 3\nelse:\n    c = 4\n"
    kept = readable(text)
    assert kept is not None and can_be_judged(kept)
    assert len(kept.splitlines()) == len(text.splitlines())
    assert kept.splitlines()[-5:] == text.splitlines()[-5:]
    assert readable("whole = 1\n") == "whole = 1\n" and readable(None) is None


@pytest.mark.parametrize(
    ("path", "line", "told"),
    [
        ("a.py", "# quick\rn = 3", "end a line (U+000D)"),
        ("a.py", "n = 3\r", ""),
        ("a.py", "# quick\r\r", "end a line (U+000D)"),
        ("a.py", "# " + "\r" * 500_000, "end a line (U+000D)"),
        ("a.py", "n" * 900_000 + " = 3  # é", ""),
        ("a.js", "// quick\u2028process.exit(0);", "end a line (U+2028)"),
        ("A.java", "// quick \\u000a return 3;", "by an escape"),
        ("A.java", r'return "\u00e9";', ""),
        ("a.js", "/* \u202e } \u2066if (admin)\u2069 \u2066 begin */", "another order"),
        ("a.py", 'name = "\\u202e"', ""),
        ("a.js", "const us\u3164er = 1;", "not shown"),
        ("a.js", "const us\u200der = 1;", "not shown"),
        ("a.py", 'family = "👨\u200d👩\u200d👧"', ""),
        ("a.py", 'word = "می\u200cخواهم"', ""),
        ("a.py", "def tot\u0430l(rows): ...", "alphabets"),
        ("a.py", "Δx = αt + μs  # привет, мир", ""),
        ("a.md", "\u202a words \u202c", ""),
    ],
)
def test_code_is_what_it_looks_like(path: str, line: str, told: str) -> None:
    said = " ".join(unreadable([changed_texts(path, "", f"{line}\n")]))
    assert told in said and bool(said) == bool(told)
    there = unreadable([changed_texts(path, f"\r\n{line}\n", f"\r\n{line}\n\n")])
    assert not there or "000D" in told
    crlf = " ".join(unreadable([changed_texts(path, "\r\n", f"\r\n{line}\n")]))
    assert told in crlf and bool(crlf) == bool(told)


def test_lines_that_a_diff_does_not_count_leave_nothing_to_judge() -> None:
    assert unreadable([changed_texts("a.py", "a = 1\rb = 2\n", "a = 1\rb = 2\nc = 3\n")])
    assert not unreadable([changed_texts("a.py", "a = 1\r\n", "a = 1\r\nc = 3\r\n")])
