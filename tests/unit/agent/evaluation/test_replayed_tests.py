"""How a merged fix's test files are declared as a reproduction."""

from __future__ import annotations

import ast

from agent.evaluation.replayed_tests import declared_tests

BASE = """import pytest
from shop import gone, total

LIMIT = 1


@pytest.mark.slow
def test_old():
    assert total(1) == gone


class TestCart:
    def test_price(self):
        assert total(2) == 2

    def test_removed(self):
        assert total(3)


def helper():
    return 1
"""
PATH = "tests/test_a.py"
ADDED = BASE + "\n\ndef test_new():\n    assert total(0) == 0\n"


def test_what_only_adds_is_declared_as_it_was_merged() -> None:
    declared = declared_tests(PATH, BASE, ADDED, [f"{PATH}::test_new"])
    assert (declared.text, declared.contested, declared.beside) == (ADDED, (), ())


def test_an_edited_test_that_shows_the_bug_is_contested_or_stands_beside_its_former_self() -> None:
    fixed = ADDED.replace("total(2) == 2", "total(2) == 4")
    declared = declared_tests(PATH, BASE, fixed, [f"{PATH}::TestCart::test_price"])
    assert declared.text == fixed
    assert declared.contested == (f"{PATH}::TestCart::test_price",)
    (beside,) = declared.beside
    both = fixed.replace(beside.merged, beside.both, 1)
    assert "total(2) == 2" in both and "def test_price_as_merged(self):" in both
    assert beside.name == f"{PATH}::TestCart::test_price_as_merged"
    ast.parse(both)


def test_a_test_that_the_fix_renames_is_contested_by_its_former_name() -> None:
    former = "def test_price(self):\n        assert total(2) == 2"
    merged = "def test_price_doubles(self):\n        assert total(2) == 4"
    # The next one is the most similar, but does not stand in its place.
    similar = f"{merged}\n\n    {former.replace('price', 'other')}"
    for fixed in (BASE.replace(former, merged), BASE.replace(former, similar)):
        declared = declared_tests(PATH, BASE, fixed, [f"{PATH}::TestCart::test_price_doubles"])
        assert declared.text == fixed
        assert declared.contested == (f"{PATH}::TestCart::test_price",)
        (beside,) = declared.beside
        assert beside.name == f"{PATH}::TestCart::test_price_doubles"
        both = fixed.replace(beside.merged, beside.both, 1)
        assert former in both and merged in both
    unneeded = declared_tests(PATH, BASE, fixed, [f"{PATH}::test_new"])
    assert former in unneeded.text and unneeded.contested == ()


def test_whatever_else_the_fix_did_to_existing_tests_is_left_out() -> None:
    fixed = (
        ADDED.replace("import gone, total", "import total")
        .replace("LIMIT = 1", "LIMIT = 2")
        .replace("@pytest.mark.slow\n", "")
        .replace("total(1) == gone", "total(1)")
        .replace("\n    def test_removed(self):\n        assert total(3)\n", "")
        .replace("return 1", "return 2")
    )
    declared = declared_tests(PATH, BASE, fixed, [f"{PATH}::test_new"])
    kept = {ast.dump(node) for node in ast.parse(declared.text).body}
    for node in ast.parse(BASE).body:
        assert ast.dump(node) in kept or isinstance(node, ast.ImportFrom)
    assert "def test_new" in declared.text and "import gone, total" in declared.text
    assert declared.contested == ()


def test_a_test_that_was_rewritten_altogether_stands_beside_its_former_self_at_once() -> None:
    fixed = BASE.replace("    def test_price(self):", "    def test_price(self, cart):")
    declared = declared_tests(PATH, BASE, fixed, [f"{PATH}::TestCart::test_price"])
    assert declared.contested == () and declared.renamed == (
        (f"{PATH}::TestCart::test_price", f"{PATH}::TestCart::test_price_as_merged"),
    )
    assert "def test_price(self):" in declared.text
    assert "def test_price_as_merged(self, cart):" in declared.text


def test_other_languages_and_data_are_declared_as_they_were_merged() -> None:
    declared = declared_tests("tests/data.txt", "1\n2\n", "1\n3\n", [f"{PATH}::test_new"])
    assert (declared.text, declared.contested) == ("1\n3\n", ("tests/data.txt",))
