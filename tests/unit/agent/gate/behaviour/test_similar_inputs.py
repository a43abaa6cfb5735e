"""The same failure nearby, over temporary folders instead of containers."""

from __future__ import annotations

import pytest

from agent.gate.behaviour.documented_examples import Example, Session, Shown
from agent.gate.behaviour.similar_inputs import (
    check_nearby,
    failures_nearby,
    variants_of_reproduction,
)
from agent.gate.patch.changed_file import ChangedFile
from agent.journal.events import Check, ReproductionDeclared
from tests.doubles.local_sandbox import LocalSandbox

BASE = '''def last_of(rows):
    """The last of the first three rows."""
    return rows[2]
'''
NARROW = BASE.replace("    return", "    if len(rows) == 2:\n        return rows[1]\n    return")
WHOLE = BASE.replace("return rows[2]", "return rows[:3][-1] if rows else None")
TEST = "from rows import last_of\n\n\ndef test_two():\n    assert last_of([4, 5]) == 5\n"
DECLARED = ReproductionDeclared(
    command="python3 -m pytest -q test_rows.py",
    files={"test_rows.py": TEST},
    expected_failure="IndexError",
    observed="IndexError: list index out of range",
    accepted=True,
)


async def checked(patched: str, base: str = BASE) -> Check | None:
    clean, after = LocalSandbox({"rows.py": base}), LocalSandbox({"rows.py": patched})
    file = ChangedFile(path="rows.py", base=base, patched=patched)

    async def patched_tree() -> LocalSandbox:
        return after

    try:
        return await check_nearby(clean, patched_tree, [file], DECLARED)
    finally:
        await clean.close()
        await after.close()


async def test_an_input_nearby_that_still_crashes_is_an_incomplete_fix() -> None:
    check = await checked(NARROW)
    assert check is not None and not check.ok
    assert "`last_of([4])` IndexError" in check.detail and "incomplete" in check.detail


async def test_a_whole_fix_has_nothing_nearby() -> None:
    assert await checked(WHOLE) is None


async def test_what_the_code_refuses_itself_is_no_failure() -> None:
    refusing = NARROW.replace(
        "    return rows[2]", "    if len(rows) < 2:\n        raise IndexError\n    return rows[2]"
    )
    assert await checked(refusing) is None


@pytest.mark.parametrize("words", ["Raises IndexError if there are too few.", "rows: non-empty"])
async def test_what_the_documentation_excludes_is_no_failure(words: str) -> None:
    told = BASE.replace("three rows.", f"three rows. {words}")
    wrong = told.replace("return rows[2]", "return rows[:3][-1]")
    check = await checked(wrong, told)
    assert check is None or "last_of([])" not in check.detail


def judged(raised: str, patched: str = "def f(n):\n    return [1][n]\n") -> list[bool]:
    """Whether each failure nearby may be meant, for one variant that fails on both sides."""
    own, near = (
        Session(path="r.py", examples=(Example(source=f"f({n})\n", want=""),)) for n in (1, -4)
    )
    failing = Shown(output="", raised=raised, place="m.py:2:f")
    before = {(0, 0): failing, (1, 0): failing}
    after = {(0, 0): Shown(output="1\n"), (1, 0): failing}
    return [f.meant for f in failures_nearby([own, near], before, after, {"m.py": patched})]


def test_an_exception_that_may_be_intended_is_only_reported() -> None:
    assert judged("IndexError: x\n") == [False]
    assert judged("ValueError: x\n") == [True]


def test_a_documented_bound_excludes_a_call() -> None:
    assert judged("IndexError: x\n", 'def f(n):\n    """n >= 0"""\n    return [1][n]\n') == []
    assert judged("IndexError: x\n", 'def f(n):\n    """n <= 0"""\n    return [1][n]\n') == [False]


def test_a_wrong_answer_is_no_crash() -> None:
    session = Session(path="r.py", examples=(Example(source="f(1)\n", want=""),))
    seen = {(0, 0): Shown(output="2\n"), (1, 0): Shown(output="", raised="IndexError\n")}
    assert failures_nearby([session, session], seen, seen, {}) == []


def test_the_reproductions_own_code_comes_first() -> None:
    own, *changed = variants_of_reproduction(DECLARED)
    assert [e.source.strip() for e in own.examples] == [
        "from rows import last_of",
        "last_of([4, 5])",
    ]
    codes = [s.examples[-1].source.strip() for s in changed]
    assert "last_of([4])" in codes and len(codes) == len(set(codes)) <= 20


def test_variants_keep_empty_lists_empty_and_ignore_docstrings() -> None:
    body = '    """Words of the issue."""\n    assert f([]) == 1\n'
    test = f"from rows import f\n\n\ndef test_f():\n{body}"
    declared = DECLARED.model_copy(update={"files": {"test_rows.py": test}})
    codes = [
        "; ".join(e.source.strip() for e in session.examples)
        for session in variants_of_reproduction(declared)
    ]
    assert codes[:1] == ["from rows import f; f([])"]
    assert all("f([])" in code and "Words" not in code for code in codes)


def test_elements_of_the_types_that_stand_there_are_tried() -> None:
    codes = [session.examples[-1].source.strip() for session in variants_of_reproduction(DECLARED)]
    assert "last_of([4])" in codes
    assert not any("'" in code for code in codes)


CLASS = """import unittest

from rows import Rows


class RowsTest(unittest.TestCase):
    def setUp(self):
        self.rows = Rows([4, 5])

    def test_last(self):
        self.assertEqual(self.rows.last(3), 5)
"""


def codes_of(test: str) -> list[str]:
    declared = DECLARED.model_copy(update={"files": {"test_rows.py": test}})
    return [
        "; ".join(e.source.strip() for e in session.examples if "import" not in e.source)
        for session in variants_of_reproduction(declared)
    ]


def test_methods_of_test_cases_are_varied_with_their_set_up() -> None:
    codes = codes_of(CLASS)
    given = "self = types.SimpleNamespace()"
    assert codes[0] == f"{given}; self.rows = Rows([4, 5]); self.rows.last(3)"
    assert f"{given}; self.rows = Rows([4, 5]); self.rows.last(2)" in codes
    assert f"{given}; self.rows = Rows([4]); self.rows.last(3)" in codes
    plain = "from rows import Rows\n\n\nclass TestRows:\n    def test_a(self):\n"
    codes = codes_of(plain + "        assert Rows([4]).last() == 4\n")
    assert codes[0] == f"{given}; Rows([4]).last()"
    # What the class itself gives is not there.
    assert codes_of(plain + "        assert self.helper(4) == 4\n") == []
    assert codes_of(CLASS.replace("test_last(self)", "test_last(self, tmp_path)")) == []


def test_the_bound_of_a_method_is_about_its_own_arguments() -> None:
    method = 'class F:\n    """n >= 0"""\n\n    def f(self, n):\n        return [1][n]\n'
    assert judged("IndexError: x\n", method) == []
    assert judged("IndexError: x\n", method.replace(">=", "<=")) == [False]
