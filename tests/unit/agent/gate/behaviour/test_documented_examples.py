"""Documented examples as evidence, over temporary folders instead of containers."""

from __future__ import annotations

import pytest

from agent.gate.behaviour.documented_examples import (
    Example,
    Shown,
    check_examples,
    example_holds,
    judged_examples,
    read_seen,
    sessions_of,
    touched_names,
)
from agent.gate.patch.changed_file import ChangedFile
from agent.gate.patch.parse import parse_patch
from agent.journal.events import Check, ReproductionDeclared
from agent.task import Issue
from tests.doubles.gate_case import patch
from tests.doubles.local_sandbox import LocalSandbox

ROWS = '''"""Rows.

>>> double(0)
0
"""


def first(rows, fallback):
    """The first row.

    >>> first([3, 4], 0)
    3
    >>> first([], 9)
    9
    """
    return rows[0]


def double(number):
    """Twice.

    >>> double(4)
    8
    """
    return number * 2
'''
FIXED = ROWS.replace("return rows[0]", "return rows[0] if rows else fallback")
PATH = "src/kit/rows.py"
ISSUE = Issue(title="first crashes", body="`first([], 1)` raises IndexError")
DECLARED = ReproductionDeclared(
    command="python3 /tmp/r.py",
    files={"/tmp/r.py": "from kit.rows import first\n"},
    expected_failure="IndexError",
    observed="IndexError: list index out of range",
    accepted=True,
)


async def checked(patched: str, base: str = ROWS, page: str = "", issue: Issue = ISSUE) -> Check:
    tree = {PATH: base, "src/kit/__init__.py": "", "README.md": page}
    change = patch({PATH: patched}, tree)
    (parts,) = parse_patch(change)
    file = ChangedFile(
        path=PATH, base=base, patched=patched, added=parts.added, removed=parts.removed
    )
    clean, after = LocalSandbox(tree), LocalSandbox(tree)

    async def patched_tree() -> LocalSandbox:
        return after

    try:
        await after.apply(change)
        check, _ = await check_examples(clean, patched_tree, [file], tuple(tree), issue, DECLARED)
    finally:
        await clean.close()
        await after.close()
    assert check is not None
    return check


async def test_an_example_that_fails_before_and_holds_after_is_further_proof() -> None:
    check = await checked(FIXED)
    assert check.ok
    assert "Fails without the patch and holds with it: `first([], 9)`" in check.detail
    assert "3 documented examples held before and after" in check.detail
    assert "IndexError" in check.before and "9" in check.after


async def test_an_example_that_held_and_no_longer_does_refutes() -> None:
    check = await checked(FIXED.replace("number * 2", "number + number + 1"))
    assert not check.ok
    assert "`double(4)`" in check.detail and "shows '9'" in check.detail


async def test_a_wrong_value_in_place_of_a_crash_is_refuted_by_the_functions_own_example() -> None:
    check = await checked(ROWS.replace("return rows[0]", "return rows[0] if rows else 0"))
    assert not check.ok
    assert "`first([], 9)`" in check.detail and "still not hold" in check.detail


async def test_an_example_edited_along_with_the_patch_counts_as_the_base_has_it() -> None:
    wrong = ROWS.replace("return rows[0]", "return rows[0] if rows else 0")
    check = await checked(wrong.replace("    9\n", "    0\n"))
    assert not check.ok
    assert "The patch changes or removes this example" in check.detail


async def test_an_example_that_is_removed_is_run_all_the_same() -> None:
    wrong = ROWS.replace("return rows[0]", "return rows[0] if rows else 0")
    check = await checked(wrong.replace("    >>> first([], 9)\n    9\n", ""))
    assert not check.ok
    assert "`first([], 9)`" in check.detail


async def test_what_a_patch_does_to_doctest_changes_no_judgement() -> None:
    trick = (
        "import doctest\ndoctest.OutputChecker.check_output = lambda *a, **k: True\n"
        'import json\njson.dumps = lambda *a, **k: \'[0, "9\\\\n", null, ""]\'\n'
    )
    wrong = ROWS.replace("return rows[0]", "return rows[0] if rows else 0")
    shown = wrong.replace(
        '"""Twice.\n', '"""Twice.\n\n    >>> import doctest; doctest.DocTestRunner = None\n'
    )
    for text in (wrong.replace("\n\n\ndef first", f"\n\n{trick}\n\ndef first"), shown):
        check = await checked(text)
        assert not check.ok, check.detail


async def test_a_page_that_names_the_function_is_run_too() -> None:
    page = "# Kit\n\n```pycon\n>>> from kit.rows import first\n>>> first([], 5)\n5\n```\n"
    check = await checked(FIXED, page=page)
    assert check.ok and "`first([], 5)` (README.md:5)" in check.detail
    check = await checked(ROWS.replace("rows[0]", "rows[0] if rows else 0"), page=page)
    assert not check.ok and "README.md:5" in check.detail


async def test_a_page_that_was_outdated_before_says_nothing_of_the_patch() -> None:
    page = "# Kit\n\n```pycon\n>>> from kit.rows import first\n>>> first([7], 5)\n'7'\n```\n"
    check = await checked(FIXED, page=page)
    assert check.ok and "README.md" not in check.detail
    # It does where the patch gives one more answer that is not the documented one.
    check = await checked(FIXED.replace("rows[0]", "rows[0] + 1", 1), page=page)
    assert not check.ok and "README.md:5" in check.detail


async def test_examples_that_fail_for_reasons_of_their_own_are_left_out() -> None:
    base = ROWS.replace(
        "    8\n", "    8\n    >>> import not_there\n    >>> undefined + 1\n    2\n"
    )
    fixed = base.replace("return rows[0]", "return rows[0] if rows else fallback")
    check = await checked(fixed, base)
    assert check.ok
    assert "not_there" not in check.detail and "undefined" not in check.detail


async def test_an_example_that_prints_a_changed_functions_text_says_nothing_either_way() -> None:
    page = """```pycon
>>> import inspect
>>> from kit.rows import double, first
>>> print(inspect.getsource(double))
def double(number):
    return number * 2
>>> double(5)
10
```
"""
    base = ROWS.replace('    """Twice.\n\n    >>> double(4)\n    8\n    """\n', "")
    fixed = base.replace("def double(number)", "def double(number, *rest)")
    check = await checked(fixed, base, page)
    assert check.ok and "5 documented examples held" in check.detail
    # What the function gives is judged as ever, and a text that is not the patched one's as well.
    check = await checked(fixed.replace("number * 2", "number * 3"), base, page)
    assert not check.ok and "`double(5)`" in check.detail and "getsource" not in check.detail
    other = f"{fixed}\n\ndouble = type(first)(first.__code__, globals())\n"
    check = await checked(other, base, page)
    assert not check.ok and "getsource(double)" in check.detail


async def test_where_the_issue_asks_for_another_answer_a_person_decides() -> None:
    other = Issue(title="double(4) should be 9", body="The text says 8.")
    check = await checked(FIXED.replace("number * 2", "number * 2 + 1"), issue=other)
    assert not check.ok and "The issue speaks of this very call" in check.detail


@pytest.mark.parametrize(
    ("want", "raises", "shown", "well"),
    [
        ("[1, 2]\n", None, Shown(output="[1,  2]\n"), True),
        ("{1: 'a', 2: 'b'}\n", None, Shown(output="{2: 'b', 1: 'a'}\n"), True),
        ("0.3\n", None, Shown(output="0.30000000000000004\n"), True),
        ("7\n", None, Shown(output="7.0\n"), True),
        ("3\n", None, Shown(output="4\n"), False),
        ("True\n", None, Shown(output="1\n"), False),
        ("", "ValueError: bad\n", Shown(output="", raised="ValueError: worse\n"), True),
        ("", "ValueError: bad\n", Shown(output="", raised="KeyError: 1\n"), False),
        ("3\n", None, Shown(output="", raised="KeyError: 1\n"), False),
        ("3\n", None, None, False),
    ],
)
def test_what_an_example_promises(
    want: str, raises: str | None, shown: Shown | None, well: bool
) -> None:
    assert example_holds(Example(source="f()\n", want=want, raises=raises), shown) is well


def test_what_differs_between_two_runs_is_left_out() -> None:
    (_, session, _) = sessions_of(PATH, ROWS)
    runs = [{(0, 1): Shown(output=f"{n}\n")} for n in (1, 2)]
    file = ChangedFile(path=PATH, base=ROWS, patched=FIXED, removed=((16, ""),))
    found = judged_examples([session], {}, runs, touched_names([file]), "", {PATH: FIXED})
    assert [j.kind for j in found] == ["left out", "left out"]


def test_lines_without_the_mark_are_not_read() -> None:
    text = 'mark [0, 0, "8\\n", null, ""]\nother [0, 1, "9\\n", null, ""]\n[0, 2, "9", null, ""]'
    assert read_seen(text, "mark") == {(0, 0): Shown(output="8\n")}
