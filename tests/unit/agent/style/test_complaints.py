"""What style programs say about a patch, compared with what they said before it."""

from __future__ import annotations

import json

import pytest

from agent.style.complaints import complaints, new_complaints
from agent.style.habits import habit_sentence, keeps, missed
from agent.style.suppressions import suppressions
from agent.task import Habit


@pytest.mark.parametrize(
    ("line", "at", "said"),
    [
        ("shop/a.py:12:5: F841 unused `x`", 12, "F841 unused `x`"),
        ("/workspace/shop/a.py:12: error: bad", 12, "error: bad"),
        ("Would reformat: shop/a.py", 0, "Would reformat"),
        (
            "\x1b[31mERROR: /workspace/shop/a.py Imports are incorrectly sorted\x1b[0m",
            0,
            "ERROR: Imports are incorrectly sorted",
        ),
        ("Diff in /workspace/shop/a.py:7:", 7, "Diff in"),
        ("./shop/a.py:3:1: C: [x] y", 3, "C: [x] y"),
        ("shop/a.py(4,2): warning TS1", 4, "warning TS1"),
        ("shop/a.py", 0, "complaint"),
    ],
)
def test_lines_about_a_file_are_complaints(line: str, at: int, said: str) -> None:
    (found,) = complaints(f"All good\n{line}\n1 file would be reformatted", ["shop/a.py"])
    assert (found.path, found.line, found.said) == ("shop/a.py", at, said)


def test_other_files_with_a_like_name_are_none() -> None:
    text = "other/shop/a.py:1: x\nshop/a.pyi:1: x\nmy-shop/a.py:1: x\n"
    assert complaints(text, ["shop/a.py"]) == []
    assert [c.path for c in complaints("src/b.js:3:1 bad", ["web/src/b.js"], "web")] == [
        "web/src/b.js"
    ]


def test_eslint_is_read_in_its_json_form() -> None:
    listed = [
        {
            "filePath": "/workspace/a.js",
            "messages": [{"ruleId": "semi", "line": 3, "message": "No\n;"}],
        },
        {"filePath": "/workspace/b.js", "messages": [{"ruleId": "x", "line": 1, "message": "y"}]},
    ]
    (found,) = complaints(json.dumps(listed), ["a.js"])
    assert found.shown == "a.js:3: No ; (semi)"
    for odd in ("[{", "[{}]", '[{"filePath": 1, "messages": 2}]', '[{"a":' + "[" * 99_999):
        assert complaints(odd, ["a.js"]) == []


def test_only_what_is_said_more_often_is_new_and_moved_lines_are_not() -> None:
    before = complaints("a.py:1:1: E1 x\na.py:2:1: E2 y\n", ["a.py"])
    after = complaints("a.py:5:1: E1 x\na.py:6:1: E2 y\na.py:9:1: E2 y\n", ["a.py"])
    assert [c.line for c in new_complaints(before, after, {"a.py": {9}})] == [9]
    assert new_complaints(after, before, {}) == []


def test_outputs_without_end_are_cut() -> None:
    assert len(complaints("a.py:1: x\n" * 300_000, ["a.py"])) == 20_000


def test_remarks_that_hide_code_from_a_program_are_seen() -> None:
    added = [
        (3, "x = 1  # noqa: F841"),
        (4, "/* eslint-disable */"),
        (5, "noqa = 1"),
        (6, "#[allow(clippy::all)]"),
    ]
    assert [number for number, _ in suppressions(added)] == [3, 4, 6]


def test_a_patch_keeps_a_habit_that_touches_the_same_place() -> None:
    log = Habit(kind="changelog", paths=("CHANGES.rst",), touched=18, of=20)
    entry = Habit(
        kind="changelog entry", paths=("news/",), touched=15, of=20, example="news/1.bugfix"
    )
    assert habit_sentence(log) == "18 of the last 20 fixes touched CHANGES.rst."
    assert "such as news/1.bugfix" in habit_sentence(entry)
    assert keeps(entry, ["news/7.bugfix"]) and not keeps(log, ["docs/CHANGES.rst"])
    assert missed((log, entry), ["a.py", "CHANGES.rst"]) == [entry]
