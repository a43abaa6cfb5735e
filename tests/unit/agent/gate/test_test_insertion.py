"""A new test joins an existing test file in that file's style. Pure functions."""

from __future__ import annotations

import re

import libcst as cst
import pytest

from agent.gate.test_insertion import (
    behaviour_name,
    insert_test,
    shared_names,
    with_behaviour_names,
)

NEW = """import pytest
from shop.prices import discount


def test_bug():
    assert discount(0) == 1
"""

FUNCTIONS = '''"""Prices."""

import pytest
from shop.prices import total


def test_total():
    assert total([1, 2]) == 3
'''

METHODS = """import unittest

from shop.prices import discount, total


class TotalTest(unittest.TestCase):
    def test_total(self):
        self.assertEqual(total([1, 2]), 3)


class DiscountTest(unittest.TestCase):
    def test_discount(self):
        self.assertEqual(discount(5), 4)
"""

TABLE = """import pytest
from shop.prices import discount


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (5, 4),
        (-3, 0),  # never less
    ],
)
def test_discount(amount, expected):
    assert discount(amount) == expected
"""


def inserted(new: str, existing: str, *, unittest: bool = False) -> tuple[str, tuple[str, ...]]:
    found = insert_test(new, existing, unittest=unittest, fallback_name="as_reported")
    assert found is not None
    compile(found.text, "test_prices.py", "exec")
    return found.text, found.tests


def test_a_function_stands_at_the_end_and_its_imports_join_those_of_the_file() -> None:
    text, tests = inserted(NEW, FUNCTIONS)
    assert tests == ("test_discount_of_0_is_1",)
    assert text == FUNCTIONS.replace("import total", "import discount, total") + (
        "\n\ndef test_discount_of_0_is_1():\n    assert discount(0) == 1\n"
    )


def test_where_tests_are_methods_it_is_one_of_the_class_that_it_belongs_to() -> None:
    text, tests = inserted(NEW.replace("import pytest\n", ""), METHODS, unittest=True)
    assert tests == ("DiscountTest::test_discount_of_0_is_1",)
    assert text == METHODS + (
        "\n    def test_discount_of_0_is_1(self):\n        self.assertEqual(discount(0), 1)\n"
    )


def test_a_class_of_tests_joins_the_class_that_is_there() -> None:
    new = """import unittest
from shop.prices import discount

class ReportedExample(unittest.TestCase):
    def test_reported_example(self):
        self.assertEqual(discount(0), 1)

    def test_reported_example_2(self):
        with self.assertRaises(ValueError):
            discount(-1)
"""
    text, tests = inserted(new, METHODS, unittest=True)
    assert tests == (
        "DiscountTest::test_discount_of_0_is_1",
        "DiscountTest::test_discount_of_minus_1_raises_value_error",
    )
    assert text.startswith(METHODS) and "ReportedExample" not in text
    # One that has parts of its own stays a class.
    own = new.replace(
        "    def test_reported_example(self)",
        "    def setUp(self):\n        pass\n\n    def test_x(self)",
    )
    assert "class ReportedExample" in inserted(own, METHODS, unittest=True)[0]


def test_a_table_of_cases_gets_a_row_where_that_is_all_it_takes() -> None:
    text, tests = inserted(NEW, TABLE)
    assert tests == ("test_discount",)
    assert "(-3, 0),  # never less\n        (0, 1),\n    ],\n" in text
    assert text.count("def ") == 1
    two = NEW.replace("(0) == 1", "(0) == 1\n    assert discount(1) == 1")
    for other in (two, NEW.replace("== 1", "== limit()"), NEW.replace("discount(0)", "(0)")):
        assert "def test_bug" not in (found := inserted(other, TABLE)[0])
        assert found.startswith(TABLE)


@pytest.mark.parametrize(
    ("new", "existing"),
    [
        # The same name means something else in the file.
        (NEW.replace("shop.prices", "shop.other"), TABLE),
        (NEW, FUNCTIONS + "\n\ndiscount = None\n"),
        (NEW.replace("test_bug", "test_total_of_all"), FUNCTIONS + "\n\ntest_total_of_all = 1\n"),
        (NEW.replace("pytest", "shop.a") + "    assert shop\n", "import shop.b\n" + FUNCTIONS),
        # More than a test and what it needs.
        (NEW + "\nprint(1)\n", FUNCTIONS),
        (NEW.replace("import pytest", "from pytest import *"), FUNCTIONS.replace("pytest", "os")),
        ("x = (", FUNCTIONS),
        (NEW, "x = ("),
        (NEW.replace("test_bug", "check_bug"), FUNCTIONS),
    ],
)
def test_what_does_not_fit_is_left_in_a_file_of_its_own(new: str, existing: str) -> None:
    assert insert_test(new, existing, unittest=False, fallback_name="x") is None


def test_a_test_with_fixtures_becomes_no_method() -> None:
    new = NEW.replace("import pytest\n", "").replace("test_bug()", "test_bug(tmp_path)")
    assert insert_test(new, METHODS, unittest=True, fallback_name="x") is None
    assert inserted(new, METHODS)[0].startswith(METHODS)


def test_only_a_file_about_the_same_names_is_its_like() -> None:
    assert shared_names(NEW, TABLE) > 0
    assert shared_names(NEW, METHODS) > 0
    assert shared_names(NEW.replace("import pytest\n", ""), FUNCTIONS) == 0
    assert shared_names("x = (", TABLE) == 0


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ("assert parse('') == []", "test_parse_of_empty_string_is_empty_list"),
        ("assert shop.roundUp(-1, 2) is None", "test_round_up_of_minus_1_2_is_none"),
        ("with pytest.raises(ValueError):\n        parse(1)", "test_parse_of_1_raises_value_error"),
        ("assert parse(1) > 2", "test_fallback"),
        ("parse(1)", "test_fallback"),
        (
            "assert parse('a sentence of very many words that nobody reads') == 'and an answer'",
            "test_parse_of_a_sentence_of_very_is_and_an_answer",
        ),
    ],
)
def test_a_name_says_what_is_asserted(body: str, name: str) -> None:
    module = cst.parse_module(f"def test_issue_7():\n    {body}\n")
    function = module.body[0]
    assert isinstance(function, cst.FunctionDef)
    assert behaviour_name(function, "fallback") == name
    kept = function.with_changes(name=cst.Name("test_empty_text_has_no_parts"))
    assert behaviour_name(kept, "fallback") == "test_empty_text_has_no_parts"


def test_a_file_of_its_own_gets_names_that_say_what_is_asserted() -> None:
    new = """import pytest
from shop.prices import discount


def test_reported_example():
    assert discount(10) == pytest.approx(0.9)


def test_reported_example_2():
    assert discount(0) == 1


def test_bug():
    discount(3)


class TestIssue:
    def test_1(self):
        assert discount(0) == 1
"""
    named = with_behaviour_names(new, "discount_is_wrong")
    assert named is not None
    assert re.findall(r"def (\w+)", named) == [
        "test_discount_of_10_is_0_9",
        "test_discount_of_0_is_1",
        "test_discount_is_wrong",
        "test_discount_of_0_is_1",
    ]
    assert with_behaviour_names(named, "discount_is_wrong") is None
    # The code itself calls the test, or another function has the name already.
    assert with_behaviour_names(f"{new}\n\ntest_bug()\n", "x") is None
    assert with_behaviour_names(f"def test_x(a=1):\n    pass\n\n\n{new}", "x") is not None
