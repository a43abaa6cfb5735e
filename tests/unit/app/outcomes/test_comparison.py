"""Whether what was merged is what was proven, and whether a later commit takes it back."""

from __future__ import annotations

import pytest

from app.outcomes.comparison import NotReadable, changes, edited_lines, undoes

HEAD = "diff --git a/{0} b/{0}\n--- a/{0}\n+++ b/{0}\n"
PROVEN = HEAD.format("a.py") + "@@ -1,3 +1,3 @@\n x\n-old\n+new\n y\n"
MOVED = HEAD.format("a.py") + "@@ -40,3 +41,3 @@ def f\n z\n-old\n+new\n w\n"
BACK = HEAD.format("a.py") + "@@ -1,3 +1,3 @@\n x\n-new\n+old\n y\n"


def added(*lines: str, name: str = "a.py") -> str:
    body = "".join(f"+{line}\n" for line in lines)
    return HEAD.format(name) + f"@@ -1,1 +1,{1 + len(lines)} @@\n x\n{body}"


def test_where_the_lines_stand_does_not_matter() -> None:
    assert edited_lines(changes(PROVEN), changes(MOVED)) == 0


def test_lines_of_people_are_counted() -> None:
    one = changes(added("a", "b"))
    assert edited_lines(one, changes(added("a", "b", "c"))) == 1
    assert edited_lines(one, changes(added("a", "c"))) == 2
    assert edited_lines(one, changes(added("b", "a"))) == 1
    assert edited_lines(one, changes(added("a", "b", name="b.py"))) == 4
    assert edited_lines(one, changes(added("a", "b ") + added("d", name="t.py"))) == 3


def test_half_of_a_change_taken_back_is_a_revert_and_less_is_not() -> None:
    merged = changes(PROVEN)
    assert undoes(changes(BACK), merged)
    assert not undoes(changes(PROVEN), merged)
    many = changes(added(*"abcdef"))

    gone = HEAD.format("moved.py") + "@@ -1,4 +1,1 @@\n x\n" + "".join(f"-{c}\n" for c in "abc")
    less = HEAD.format("moved.py") + "@@ -1,3 +1,1 @@\n x\n" + "".join(f"-{c}\n" for c in "ab")
    assert undoes(changes(gone), many)
    assert not undoes(changes(less), many)
    assert not undoes(changes(gone), changes(""))


def test_a_patch_that_cannot_be_read_is_said_so() -> None:
    with pytest.raises(NotReadable):
        changes("--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n short\n")
