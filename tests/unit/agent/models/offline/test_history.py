"""Undoing the commit that broke it: what is read of it, how it is merged, which parts are tried."""

from __future__ import annotations

import time

import pytest

from agent.models.offline.history.culprit import (
    Culprit,
    FileChange,
    commits_before,
    is_left_alone,
    look_for_culprits,
    read_bisection,
    read_names,
)
from agent.models.offline.history.merging import merge, merge_words
from agent.models.offline.history.trial import least
from agent.models.offline.history.undoing import TRUST, candidates, raised
from agent.models.offline.mutations import Mutant, apply_changes
from agent.models.offline.protocol import Result
from agent.prompting import task_prompt
from agent.task import Issue, Task

BEFORE = (
    "def a(n):\n    if n < 0:\n        return 0\n    return n + 1\n\n\ndef b():\n    return 1\n"
)
AFTER = "def a(n):\n    return n + 1\n\n\ndef b():\n    return 2\n"


def undone(change: FileChange, now: dict[str, str] | None = None) -> dict[str, Mutant]:
    """The files that come out, by their text; changes of several files are left out."""
    culprit = Culprit("abc1234", True, (change,))
    texts = {change.path: change.now} | (now or {})
    made = candidates(culprit, texts)
    return {apply_changes(texts[m.path], m): m for m in made if not m.also}


def test_each_hunk_is_undone_alone_and_then_all() -> None:
    made = undone(FileChange("m.py", BEFORE, AFTER, AFTER))
    assert [m.operator.split(" of ")[0] for m in made.values()] == [
        "a hunk",
        "a hunk",
        "all 2 hunks",
    ]
    assert list(made)[2] == BEFORE
    assert next(iter(made)) == BEFORE.replace("return 1", "return 2")
    assert [m.score for m in made.values()] == [TRUST["hunk"], TRUST["hunk"], TRUST["file"]]
    assert {m.undoes for m in made.values()} == {"abc1234"}


def test_what_came_later_around_a_hunk_survives() -> None:
    now = '"""Numbers."""\n\n' + AFTER.replace("def b():", "def b():  # two")
    made = undone(FileChange("m.py", BEFORE, AFTER, now))
    assert '"""Numbers."""\n\n' + BEFORE.replace("def b():", "def b():  # two") in made


def test_a_line_that_was_edited_again_is_merged_word_by_word() -> None:
    before, after = (f"def a(n):\n    return n{strip}.lower()\n" for strip in (".strip()", ""))
    made = undone(
        FileChange("m.py", before, after, after.replace("n", "name").replace("returname", "return"))
    )
    (text,) = made
    assert "name.strip().lower()" in text


def test_a_hunk_that_no_longer_merges_is_left_out() -> None:
    assert undone(FileChange("m.py", BEFORE, AFTER, "def c():\n    return 3\n")) == {}


def test_a_function_that_was_moved_is_found_in_its_new_file() -> None:
    change = FileChange("m.py", BEFORE, AFTER, "from n import a\n\n\ndef b():\n    return 5\n")
    moved = "class Box:\n    x = 1\n\n\ndef a(n):\n    return n + 1\n"
    made = undone(change, {"n.py": moved})
    assert moved.replace("(n):\n", "(n):\n    if n < 0:\n        return 0\n") in made


def test_a_statement_that_a_refactoring_lost_is_put_back_alone() -> None:
    before = "def a(n):\n    if n < 0:\n        return 0\n    total = n\n    return total\n"
    after = "def a(n):\n    return n or None\n"
    made = undone(FileChange("m.py", before, after, after))
    text = "def a(n):\n    if n < 0:\n        return 0\n    return n or None\n"
    assert made[text].score == TRUST["part"]


def test_data_files_are_undone_as_text_and_python_must_parse() -> None:
    assert undone(FileChange("m.json", "[1]\n", "[2]\n", "[2]\n")).keys() == {"[1]\n"}
    assert undone(FileChange("m.py", "a = (\n", "a = 1\n", "a = 1\n")) == {}
    assert undone(FileChange("m.py", "a = 1 # x\n", "a = 1\n", "a = 1\n")) == {}


def test_files_are_brought_back_together() -> None:
    both = (
        FileChange("m.py", "x = 1\n", "x = 2\n", "x = 2\n"),
        FileChange("n.py", "y = 1\n", "y = 2\n", "y = 2\n"),
    )
    made = candidates(Culprit("abc1234", True, both), {})
    assert [(m.path, *(also.path for also in m.also)) for m in made] == [
        ("m.py",),
        ("n.py",),
        ("m.py", "n.py"),
    ]


def test_those_that_undo_the_least_are_taken() -> None:
    made = list(undone(FileChange("m.py", BEFORE, AFTER, AFTER)).values())
    assert least(made) == made[:2]
    assert least([]) == []


def test_lines_that_the_commit_changed_are_more_suspicious() -> None:
    now = f"# later\n{AFTER}"
    culprit = Culprit("abc1234", True, (FileChange("m.py", BEFORE, AFTER, now),))
    scores = raised(dict.fromkeys(range(1, 9), 0.5), "m.py", now, [culprit])
    assert scores == {1: 0.5, 2: 0.75, 3: 0.75, 4: 0.5, 5: 0.5, 6: 0.6, 7: 0.75, 8: 0.5}
    assert raised({1: 0.5}, "other.py", now, [culprit]) == {1: 0.5}


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        ("xbc", "abz", "xbz"),
        ("axc", "ayc", None),
        ("axc", "axc", "axc"),
        ("axbc", "aybc", None),
        ("ac", "abxc", "axc"),
        ("bc", "axbc", "xbc"),
    ],
)
def test_merge(ours: str, theirs: str, merged: str | None) -> None:
    made = merge("abc", ours, theirs)
    assert (made if made is None else "".join(made)) == merged


def test_lines_put_back_where_others_came_later_stand_before_them() -> None:
    assert merge("ad", "acd", "abd") is None
    assert "".join(merge("ad", "acd", "abd", union=True) or "") == "abcd"
    before = "class A:\n    x = 1\n\n    def a(self):\n        return 1\n"
    after = "class A:\n    x = 1\n"
    now = after + "\n    def b(self):\n        return 2\n"
    both = before + now.removeprefix(after)
    assert both in undone(FileChange("m.py", before, after, now))


def test_merge_words() -> None:
    assert merge_words("a = b(c)", "a = d(c)", "a = b(c, 1)") == "a = d(c, 1)"


def test_what_a_bisection_names() -> None:
    sure = Result("First bad commit: 0123456789ab x\nSee …", "c")
    assert read_bisection(sure) == (("0123456789ab",), True)
    several = (
        "The first bad commit is one of these; between them it cannot be run:\n{}\nTried:\n  bad: 1"
    )
    two = "\n".join(f"  {n}123456789ab First bad commit: ffffffffffff" for n in (1, 2))
    assert read_bisection(Result(several.format(two), "c")) == (
        ("1123456789ab", "2123456789ab"),
        False,
    )
    for none in (
        "refused: there is no history to search here",
        "error: x",
        "It fails already at the oldest commit here, 0123456789ab x.",
    ):
        assert read_bisection(Result(none, "c")) == ((), False)


def test_where_changed_files_are_now() -> None:
    lines = [
        "M\ta.py",
        "R090\told.py\tb.py",
        "A\tc.py",
        "D\td.py",
        'M\t"odd\\n.py"',
        "then",
        "R100\ta.py\tlib/a.py",
        "D\tc.py",
        "[exit 0]",
    ]
    assert read_names(lines, ["b.py"]) == [
        ("old.py", "b.py", "b.py"),
        ("", "c.py", ""),
        ("a.py", "a.py", "lib/a.py"),
        ("d.py", "", ""),
    ]


@pytest.mark.parametrize(
    "path",
    [
        "tests/test_a.py",
        "conftest.py",
        ".github/workflows/ci.yml",
        "a/.gitattributes",
        "README.md",
        "requirements-dev.txt",
        "pytest.ini",
        "sitecustomize.py",
        ".git/config",
    ],
)
def test_tests_and_guarded_files_are_never_undone(path: str) -> None:
    assert is_left_alone(path)
    assert read_names([f"M\t{path}", f"R100\ta.py\t{path}"]) == []


def test_how_many_commits_the_task_says_there_are() -> None:
    issue = Issue(title="x", body="History: 99 commits up to the base commit, in .git.")
    task = Task(run_id="r", repository="o/r", base_commit="0" * 40, issue=issue)
    assert commits_before(task_prompt(task, "pytest", "a.py")) == 0
    with_history = task.model_copy(update={"history_commits": 7})
    assert commits_before(task_prompt(with_history, "pytest", "a.py")) == 7


def culprits(answers: list[str], ran: tuple[str, ...] = ("m.py",)) -> tuple[list[str], object]:
    """What is asked when calls give these answers, and what comes of it."""
    steps = look_for_culprits(ran)
    asked = [next(steps)]
    try:
        for answer in answers:
            asked += [steps.send(Result(answer, "c"))]
    except StopIteration as done:
        return [f"{c.name} {c.arguments.get('command', '')}".strip() for c in asked], done.value
    raise AssertionError(asked[-1])


VIEWS = [
    f"x ({len(text.splitlines())} lines)\n     1\t{text}" for text in ("x = 1", "x = 2", "x = 2")
]


def test_the_culprit_is_read_before_after_and_now() -> None:
    sure = "First bad commit: 0123456789ab M\nSee …"
    asked, found = culprits([sure, "M\tm.py\nthen\n[exit 0]", "[exit 0]", *VIEWS])
    assert [call.split()[0] for call in asked] == ["bisect", "bash", "bash", "view", "view", "view"]
    assert "git show '0123456789ab^:m.py'" in asked[2]
    change = FileChange("m.py", "x = 1\n", "x = 2\n", "x = 2\n")
    assert found == (Culprit("0123456789ab", True, (change,)),)


def test_without_a_certain_answer_the_last_commits_of_the_files_are_looked_into() -> None:
    for unsure in ("refused: there is no history to search here", "error: no engine"):
        asked, found = culprits(
            [unsure, "0123456789ab\n[exit 0]", "M\tm.py\nthen", "[exit 0]", *VIEWS]
        )
        assert "git log" in asked[1] and "-- m.py" in asked[1]
        assert isinstance(found, tuple)
        assert [c.certain for c in found] == [False]
        assert "may have broken it" in found[0].words
    range_ = "The first bad commit is one of these; between them it cannot be run:\n  {} x\n  {} y"
    two = range_.format("0123456789ab", "1123456789ab")
    asked, _ = culprits([two, "2123456789ab\n1123456789ab\n[exit 0]", "[exit 128]"])
    assert "1123456789ab^" in asked[2] and len(asked) == 3


def test_what_never_worked_has_no_culprit() -> None:
    assert culprits(["It fails already at the oldest commit here, 0123456789ab x."]) == (
        ["bisect"],
        (),
    )


def test_names_of_files_are_no_part_of_a_command() -> None:
    odd = "a;touch x.py"
    asked, _ = culprits(
        ["First bad commit: 0123456789ab M", f"M\t{odd}\nthen", "[exit 0]", *VIEWS], (odd,)
    )
    assert "'0123456789ab^:a;touch x.py'" in asked[2]


@pytest.mark.parametrize(
    "lines",
    [
        [str(number * number % 7 % 2) for number in range(4000)],
        [f"{number % 3},{number % 2}" for number in range(4000)],
        [" ".join(["10"] * 900)] * 8,
    ],
)
def test_tables_are_merged_in_no_time(lines: list[str]) -> None:
    """Each of these took from twenty seconds to minutes, in a thread that nothing can stop."""
    ours, theirs = ["head", *lines[5:-3]], [*lines[2:], "foot"]
    begun = time.process_time()
    merge(lines, ours, theirs, union=True)
    merge_words("\n".join(lines), "\n".join(ours), "\n".join(theirs))
    assert time.process_time() - begun < 5
