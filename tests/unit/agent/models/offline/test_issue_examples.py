"""What is read out of issue texts, in the forms that people use."""

from __future__ import annotations

import pytest

from agent.models.offline.issue_examples import Example, read_issue
from agent.models.offline.issue_match import judge
from agent.models.offline.policy import issue_of
from agent.models.offline.repository_view import Tree


def first(text: str) -> Example:
    return read_issue(text).examples[0]


@pytest.mark.parametrize(
    ("text", "expr", "expected"),
    [
        ("`f(1, 2)` gives `3` but I expect `4`.", "f(1, 2)", "4"),
        ("`f(3)` returns 5, expected 6", "f(3)", "6"),
        ("f(3) returns 5 instead of 6.", "f(3)", "6"),
        ("`clean('a ')` should be `'a'`, not `'a '`.", "clean('a ')", "'a'"),
        ("`tail([])` raises IndexError. It should return an empty list.", "tail([])", "[]"),
        (">>> f(3)\nexpected: 7\ngot: 6\n", "f(3)", "7"),
        ("    >>> f(3)\n    6\n\nExpected `7` here.", "f(3)", "7"),
        ("```\n>>> f(3)  # should be 7\n6\n```", "f(3)", "7"),
        ("```python\nf(3)  # prints 3, should print 4\n```", "f(3)", "4"),
        ("```python\nassert f(3) == 7\n```", "f(3)", "7"),
        ("```python\nf(3)\n```\n\ngives `[1]`, but it should be `[1, 2]`.", "f(3)", "[1, 2]"),
    ],
)
def test_example_and_what_was_expected(text: str, expr: str, expected: str) -> None:
    found = [e for e in read_issue(text).examples if e.expr == expr]
    assert found
    assert found[0].expected[0] == expected


def test_statements_before_the_example_are_its_set_up() -> None:
    text = (
        "```python\nfrom shop import Cart\ncart = Cart()\ncart.add(1)\n"
        "cart.total()  # 0, expected 1\n```"
    )
    example = read_issue(text).examples[-1]
    assert example.setup == ("from shop import Cart", "cart = Cart()", "cart.add(1)")
    assert example.expected[0] == "1"


def test_continued_doctest_lines_and_earlier_imports() -> None:
    text = ">>> from a import g\n>>> g([1,\n...     2])\n5\n\nShould be `6`.\n"
    example = first(text)
    assert example.expr == "g([1, 2])"
    assert example.setup == ("from a import g",)
    assert example.expected[0] == "6"


def test_an_exception_that_should_have_been_raised() -> None:
    example = first("`parse('x')` returns `None` but it should raise `ValueError`.")
    assert example.raises == ("ValueError",)


def test_the_code_in_a_plain_traceback_is_no_example() -> None:
    text = (
        "Crash at night\n\nTraceback (most recent call last):\n"
        '  File "night.py", line 3, in <module>\n    print(label([]))\n'
        '  File "/srv/depot/bins.py", line 38, in label\n    return fullest(bins).name\n'
        "AttributeError: 'NoneType' object has no attribute 'name'\n"
    )
    report = read_issue(text)
    assert report.examples == ()
    assert report.traces[0].exception == "AttributeError"
    assert [code for *_, code in report.traces[0].frames] == [
        "print(label([]))",
        "return fullest(bins).name",
    ]


def test_traceback_frames_and_message() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "/srv/run.py", line 3, in <module>\n'
        "    main(1)\n"
        '  File "/srv/a.py", line 9, in main\n'
        "    return {}[key]\n"
        "KeyError: 'x'\n"
    )
    (trace,) = read_issue(text).traces
    assert trace.exception == "KeyError"
    assert trace.frames == (
        ("/srv/run.py", 3, "<module>", "main(1)"),
        ("/srv/a.py", 9, "main", "return {}[key]"),
    )


@pytest.mark.parametrize(
    "text", ["", "It is slow.", "```\n>>> (\n```", "```python\ndef (:\n```", "`a` `b`"]
)
def test_an_issue_without_examples_is_no_error(text: str) -> None:
    assert read_issue(text).examples == ()


def test_the_issue_is_taken_out_of_the_task() -> None:
    task = "Repository: r\n<issue>\n<title>Wrong sum</title>\nbody `f(1)`\n</issue>\n"
    title, body = issue_of(task)
    assert title == "Wrong sum"
    assert body.strip() == "body `f(1)`"
    assert issue_of("# Title\nbody") == ("Title", "body")


def test_an_expected_equation_names_the_value_and_not_the_call_again() -> None:
    shown = ">>> from shop import total\n>>> total([60, 40])\n100\n"
    text = f"{shown}\nExpected: `total([60, 40]) == 90`.\n"
    example = read_issue(text).examples[0]
    assert example.expr == "total([60, 40])"
    assert example.expected[0] == "90"


def test_another_exception_than_the_reported_one_is_not_the_bug() -> None:
    report = read_issue("`f(0)` fails: 'NoneType' object has no attribute 'name'. AttributeError!")
    example = Example("f(0)")
    frames = [["a.py", 1]]
    seen = {"type": "TypeError", "message": "", "frames": frames, "kinds": ["TypeError", "object"]}
    assert judge(example, seen, report) is None
    same = seen | {"type": "AttributeError", "kinds": ["AttributeError", "object"]}
    found = judge(example, same, report)
    assert found is not None and found.words == "AttributeError"


def test_a_folder_named_lib_or_src_may_be_a_package() -> None:
    apart = Tree(("src/shop/__init__.py", "src/shop/prices.py"), "python3", True)
    assert apart.module_of("src/shop/prices.py") == "shop.prices"
    inside = Tree(("lib/__init__.py", "lib/clock.py"), "python3", True)
    assert inside.module_of("lib/clock.py") == "lib.clock"
    assert inside.module_of("lib/__init__.py") == "lib"
