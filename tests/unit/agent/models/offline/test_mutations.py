"""Mutation operators: the change that fixes a known slip is among those made, and all are sound."""

from __future__ import annotations

import ast
import textwrap

import pytest

from agent.models.offline.mutations import Mutant, apply_changes, is_sound, mutate
from agent.models.offline.mutations.source import Source
from agent.models.offline.screening import as_edit, trust

# ruff: noqa: E501 - pairs of small programs, one a line
SLIPS = [
    ("def f(a, b):\n    return a < b\n", "def f(a, b):\n    return a <= b\n"),
    ("def f(a, b):\n    return a / b\n", "def f(a, b):\n    return a // b\n"),
    ("def f(a, b):\n    return a - b\n", "def f(a, b):\n    return b - a\n"),
    ("def f(a, b):\n    return a or b\n", "def f(a, b):\n    return a and b\n"),
    ("def f(x):\n    return x[1:]\n", "def f(x):\n    return x[1 + 1:]\n"),
    ("def f(n):\n    return list(range(n))\n", "def f(n):\n    return list(range(1, n + 1))\n"),
    ("def f(a, b):\n    return g(a, b)\n", "def f(a, b):\n    return g(b, a)\n"),
    ("def f(a, b):\n    return a + g(b)\n", "def f(a, b):\n    return g(b) + a\n"),
    ("def f(a, b):\n    a ^= b\n    return a\n", "def f(a, b):\n    a &= b\n    return a\n"),
    ("def f(a, b):\n    return a + a\n", "def f(a, b):\n    return a + b\n"),
    ("def f(x):\n    if not x:\n        return 1\n    return 2\n", "def f(x):\n    if x is None:\n        return 1\n    return 2\n"),
    ("def f(d, k):\n    return d[k]\n", "def f(d, k):\n    return d.get(k, 0)\n"),
    ("def f(x):\n    return max(x)\n", "def f(x):\n    return max(x, default=0)\n"),
    ("def f(x):\n    return max(g(p) for p in x)\n", "def f(x):\n    return max((g(p) for p in x), default=0)\n"),
    ("def f(d, k):\n    for v in d[k]:\n        g(v)\n", "def f(d, k):\n    for v in d.get(k, ()):\n        g(v)\n"),
    ("def f(m):\n    return m // 3\n", "def f(m):\n    return (m - 1) // 3\n"),
    ("def f(x):\n    x.append([1])\n", "def f(x):\n    x.extend([1])\n"),
    ("def f(x=[]):\n    return x\n", "def f(x=None):\n    if x is None:\n        x = []\n    return x\n"),
    (
        "def f(xs):\n    for x in xs:\n        if x:\n            return 1\n        return 2\n",
        "def f(xs):\n    for x in xs:\n        if x:\n            return 1\n    return 2\n",
    ),
    ("def f(x):\n    y = x\n    return y / x\n", "def f(x):\n    y = x\n    if x == 0:\n        return 0\n    return y / x\n"),
    ("def f(x):\n    return sorted(x)\n", "def f(x):\n    return sorted(x, reverse=True)\n"),
    ("def f(x):\n    return sorted(x, key=lambda t: t.a)\n", "def f(x):\n    return sorted(x, key=lambda t: -t.a)\n"),
    ("def f(s):\n    return s.split(':')\n", "def f(s):\n    return s.split(':', 1)\n"),
    ("def f(x):\n    x = x.strip\n    f(x)\n    return x\n", "def f(x):\n    x = x.strip\n    return f(x)\n    return x\n"),
    (
        "def f(p):\n    c = p.take()\n    r = c.run()\n    p.release(c)\n    return r\n",
        "def f(p):\n    c = p.take()\n    try:\n        r = c.run()\n    finally:\n        p.release(c)\n    return r\n",
    ),
    ("def f():\n    try:\n        g()\n    except KeyError:\n        pass\n", "def f():\n    try:\n        g()\n    except (KeyError, ValueError):\n        pass\n"),
    ("def f(d, k):\n    d[k] += 1\n", "def f(d, k):\n    d[k] = d.get(k, 0) + 1\n"),
    ("def f(d, k):\n    d[k].append(1)\n", "def f(d, k):\n    d.setdefault(k, []).append(1)\n"),
    ("def f(d):\n    return d.strftime('%Y-%M')\n", "def f(d):\n    return d.strftime('%Y-%m')\n"),
]  # fmt: skip


def everything(text: str) -> tuple[Source, list[Mutant]]:
    source = Source("m.py", text)
    return source, mutate(source, dict.fromkeys(range(1, text.count("\n") + 1), 1.0))


@pytest.mark.parametrize(("wrong", "right"), SLIPS)
def test_the_change_that_fixes_it_is_made(wrong: str, right: str) -> None:
    _, mutants = everything(wrong)
    meant = ast.dump(ast.parse(right))
    made = []
    for mutant in mutants:
        try:
            made.append(ast.dump(ast.parse(apply_changes(wrong, mutant))))
        except SyntaxError:
            continue
    assert meant in made


LONGER = textwrap.dedent(
    '''
    """A module with an accented é, so that bytes and characters differ."""

    LIMIT = 3


    class Box:
        items = []

        def add(self, item, count=1):
            """Doc."""
            for _ in range(count):
                self.items.append(item)
            if len(self.items) > LIMIT and item != "é":
                raise ValueError(f"{len(self.items):02d}")
            return self.items[-1]

        def clear(self):
            self.items = [
                i
                for i in self.items
                if i
            ]
    '''
).lstrip("\n")


def test_every_sound_mutant_parses_and_its_edit_does_what_it_says() -> None:
    source, mutants = everything(LONGER)
    assert len(mutants) > 100
    for mutant in mutants[::3]:
        if not is_sound(source, mutant):
            continue
        changed = apply_changes(LONGER, mutant)
        ast.parse(changed)
        assert changed != LONGER
        old, new = as_edit(LONGER, mutant)
        assert LONGER.count(old) == 1
        assert LONGER.replace(old, new) == changed


def test_only_suspected_lines_are_changed_and_the_most_suspected_come_first() -> None:
    source = Source("m.py", "def f(a, b):\n    c = a + b\n    return c > a\n")
    mutants = mutate(source, {2: 0.2, 3: 1.0})
    assert {m.line for m in mutants} == {2, 3}
    assert mutants[0].line == 3
    assert [m.score for m in mutants] == sorted((m.score for m in mutants), reverse=True)


def test_a_change_that_names_the_example_is_trusted_less() -> None:
    plain = Mutant("m.py", 1, 1, "if a < b:", "if a <= b:", "comparison", 1, 0.5)
    special = Mutant("m.py", 1, 1, "if a < b:", "if a < b or a == 'acme':", "widened", 1, 0.5)
    assert trust(special, ["'acme'"]) < 0.6 * trust(plain, ["'acme'"])


def test_no_jump_is_put_into_finally() -> None:
    _, mutants = everything("def f(d):\n    a = g(d)\n    b = h(a)\n    return b\n")
    assert not [m for m in mutants if m.new and "finally" in m.new and "return" in m.new]


def test_what_a_method_in_place_returns_is_not_kept() -> None:
    _, made = everything("def f(x, y):\n    x.append(y)\n    return x\n")
    assert not [m for m in made if "x = x.append" in (m.new or "")]


def test_a_returned_truth_value_that_is_flipped_is_distrusted() -> None:
    _, made = everything("def f(n):\n    if n < 3:\n        return False\n    return True\n")
    flipped = next(m for m in made if m.operator == "False → True")
    moved = next(m for m in made if m.operator == "comparison < → <=")
    assert trust(flipped, []) < trust(moved, []) / 2


@pytest.mark.parametrize("asked", ["value is None", "value is not None"])
def test_a_lookup_whose_result_is_checked_for_none_may_miss(asked: str) -> None:
    text = "def f(d, k):\n    value = d[k]\n    if {}:\n        return 1\n    return 2\n"
    for shown, best in ((asked, "value = d.get(k)"), ("other is None", "value = d.get(k, 0)")):
        _, mutants = everything(text.format(shown))
        scores = {m.new.strip(): m.score for m in mutants if m.new and ".get(" in m.new}
        assert scores["value = d.get(k)"] >= scores[best]
        assert (scores["value = d.get(k)"] > scores["value = d.get(k, 0)"]) == (shown == asked)


@pytest.mark.parametrize(
    ("asked", "sensible"),
    [("find(x)", True), ("x.found", True), ("any(x)", False), ("x.startswith('a')", False)],
)
def test_what_is_never_none_is_not_asked_whether_it_is(asked: str, sensible: bool) -> None:
    text = f"def f(x):\n    if {asked}:\n        return 1\n    return 2\n"
    made = [m.new or "" for m in mutate(Source("m.py", text), {2: 1.0})]
    assert any(f"{asked} is not None" in new for new in made) is sensible


def test_a_copy_is_dropped_less_readily_than_a_conversion() -> None:
    scores = {}
    for code in ("dict(x.d)", "x.copy()", "str(x)", "list(g(x))"):
        _, made = everything(f"def f(x):\n    y = {code}\n    return y\n")
        scores[code] = max(
            m.score for m in made if m.operator in ("copy dropped", "conversion dropped")
        )
    assert max(scores["dict(x.d)"], scores["x.copy()"]) < 0.5 * scores["str(x)"]
    assert scores["list(g(x))"] == scores["str(x)"]
