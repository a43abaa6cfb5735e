"""What may be added to an existing test file by a reproduction."""

from __future__ import annotations

import pytest

from agent.gate.rules.test_additions import addition_refusals

BASE = """import pytest
from shop import total


@pytest.mark.parametrize(("given", "sum_"), [([1], 1), ([1, 2], 3)])
def test_total(given, sum_):
    assert total(given) == sum_


class TestEmpty:
    def test_nothing(self, cart):
        assert total(cart) == 0
"""
LONGER = BASE.replace("([1, 2], 3)]", "([1, 2], 3), ([5], 5)]")
METHOD = "\n    def test_two(self):\n        assert total([2]) == 2\n"


@pytest.mark.parametrize(
    "text",
    [
        BASE + "\n\ndef test_more():\n    assert total([2]) == 2\n",
        BASE + METHOD,
        BASE.replace("import pytest\n", "import pytest\nfrom datetime import date\n"),
        BASE + "\n\nCASES = [1, 2]\n\n\n@pytest.mark.parametrize('n', CASES)\ndef test_n(n):\n"
        "    assert total([n]) == n\n",
        BASE + "\n\n@pytest.fixture\ndef basket():\n    return [1]\n",
        BASE
        + "\n\ndef test_p(monkeypatch):\n    monkeypatch.setattr('shop.x', 1)\n    total([])\n",
        LONGER,
    ],
)
def test_tests_and_what_only_they_use_may_be_added(text: str) -> None:
    assert addition_refusals("tests/test_a.py", BASE, text) == ()


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("\n\ndef test_total():\n    pass\n", "shadows `test_total`"),
        ("\n\ntotal = sum\n", "shadows `total`"),
        ("\n\nfrom other import total\n", "shadows `total`"),
        ("\n\nfrom other import *\n", "shadows `*`"),
        ("\n\ndef len(x):\n    return 0\n", "shadows `len`"),
        ("\n\n@pytest.fixture\ndef cart():\n    return []\n", "touches the tests beside it"),
        ("\n\n@pytest.fixture(autouse=True)\ndef f():\n    pass\n", "touches the tests beside"),
        ("\n\npytestmark = 1\n", "changes how the tests"),
        ("\n\ndef setup_module():\n    pass\n", "changes how the tests"),
        ("\n\nprint(1)\n", "when the file is imported"),
        ("\n\nX = patch_all()\n", "when the file is imported"),
        ("\n\ndel test_total\n", "when the file is imported"),
        ("\n\ndef test_x(a=patch_all()):\n    pass\n", "when the file is imported"),
        ("\n\n@pytest.mark.parametrize('n', go())\ndef test_x(n):\n    pass\n", "is imported"),
        ("\n\ndef test_x():\n    globals()['test_total'] = 1\n", "could reach the tests"),
        ("\n\ndef test_x():\n    global total\n    total = 1\n", "could reach the tests"),
        ("\n    def setup_method(self):\n        pass\n", "changes how the tests"),
        ("\n    def test_nothing(self):\n        pass\n", "shadows `test_nothing`"),
    ],
)
def test_what_reaches_the_neighbours_is_refused(added: str, said: str) -> None:
    reasons = addition_refusals("tests/test_a.py", BASE, BASE + added)
    assert said in " ".join(reasons)


def test_a_longer_table_may_not_run_anything() -> None:
    text = LONGER.replace("([5], 5)", "([5], go())")
    assert "is imported" in addition_refusals("tests/test_a.py", BASE, text)[0]


def test_other_languages_are_judged_by_their_added_lines() -> None:
    base = "it('adds', () => { expect(1).toBe(1) })\n"
    more = base + "it('subtracts', () => { expect(0).toBe(1) })\n"
    assert addition_refusals("a.test.js", base, more) == ()
    assert addition_refusals("a.test.js", base, more.replace("it('s", "it.only('s"))
