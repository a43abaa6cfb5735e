"""The regression test that is written from an example: in the project's style, and runnable."""

from __future__ import annotations

import ast
from dataclasses import replace

import pytest

from agent.models.offline.issue_examples import Example
from agent.models.offline.render import LATE, ShownExample, render_test

SETUP = ("from shop.cart import Cart, Line", "import json", "cart = Cart()", "cart.add(1)")


def finding(kind: str, wanted: str, *, printed: bool = False) -> ShownExample:
    example = Example("cart.total()", SETUP, printed=printed)
    return ShownExample(example, kind, wanted, "what", "words", 4)  # type: ignore[arg-type]


def test_plain_functions_with_only_the_imports_that_are_used() -> None:
    text = render_test('Wrong "total".', [finding("equals", "7")], "pytest")
    ast.parse(text)
    assert text.splitlines()[2] == "from shop.cart import Cart"
    assert "json" not in text
    assert "    cart.add(1)\n    assert cart.total() == 7\n" in text


def test_unittest_style() -> None:
    text = render_test("t", [finding("equals", "7"), finding("raises", "KeyError")], "unittest")
    ast.parse(text)
    assert text.count("import unittest") == 1
    assert "self.assertEqual(cart.total(), 7)" in text
    assert "with self.assertRaises(KeyError):" in text
    assert "def test_reported_example_2(self):" in text


def test_other_kinds_of_expectation() -> None:
    assert "assert cart.total() is None" in render_test("t", [finding("equals", "None")], "pytest")
    assert "pytest.approx(1.5)" in render_test("t", [finding("equals", "1.5")], "pytest")
    assert "import pytest" in render_test("t", [finding("raises", "KeyError")], "pytest")
    shown = render_test("t", [finding("equals", "'a'", printed=True)], "pytest")
    assert "assert str(cart.total()) == 'a'" in shown
    assert render_test("t", [finding("ends", "")], "pytest").rstrip().endswith("    cart.total()")


def test_a_call_that_does_not_end_fails_within_seconds() -> None:
    late = replace(finding("equals", "7"), words=LATE)
    text = render_test("It never returns", [late], "pytest")
    assert "\n\n\ndef _late(*_):\n" in text and "\n\n\ndef test_reported_example():\n" in text
    names: dict[str, object] = {}
    hanging = text.replace("from shop.cart import Cart\n", "class Cart:\n    pass\n")
    body = hanging.partition("    try:\n")[0]
    exec(f"{body}    while True:\n        pass\n".replace("alarm(2)", "alarm(1)"), names)
    with pytest.raises(TimeoutError, match="still running"):
        names["test_reported_example"]()  # type: ignore[operator]
