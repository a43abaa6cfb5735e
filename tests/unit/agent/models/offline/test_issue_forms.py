"""Tables, tests, sentences and sessions of other kinds, as people put them into issues."""

from __future__ import annotations

import pytest

from agent.models.offline.issue_examples import Example, read_issue
from agent.models.offline.issue_forms import in_english
from agent.models.offline.issue_match import judge


def found(text: str, expr: str) -> Example:
    return next(e for e in read_issue(text).examples if e.expr == expr)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`f(1)` liefert `3` statt `4`.", "4"),
        ("`f(1)` gibt `3`, sollte aber `4` sein: es sollte `4` sein.", "4"),
        ("Erwartet wird `4`, `f(1)` ergibt `3`.", "4"),
        ("`f(1)` renvoie `3` au lieu de `4`.", "4"),
        ("`f(1)` donne `3` mais devrait renvoyer `4`.", "4"),
        ("`f(1)` devuelve `3` en lugar de `4`.", "4"),
        ("`f(1)` devuelve `3` pero debería ser `4`.", "4"),
        ("`f(1)` retorna `3` em vez de `4`.", "4"),
        ("`f(1)` retorna `3`, mas deveria retornar `4`.", "4"),
    ],
)
def test_other_languages_say_what_was_expected(text: str, expected: str) -> None:
    assert found(text, "f(1)").expected[0] == expected


def test_values_and_code_are_not_translated() -> None:
    assert in_english("`statt` 'mais' \"pero\" statt") == "`statt` 'mais' \"pero\" instead of"


def test_several_statements_on_a_line_of_a_session_with_a_traceback_below() -> None:
    text = (
        ">>> from shop import total; basket = []\n>>> basket.append(1); total(basket)\n"
        'Traceback (most recent call last):\n  File "<stdin>", line 1, in <module>\n'
        "ValueError: too many values to unpack (expected 2)\n"
    )
    example = found(text, "total(basket)")
    assert example.setup == ("from shop import total", "basket = []", "basket.append(1)")
    assert example.crashed == "ValueError"
    assert example.expected == ()


def test_a_sentence_with_answers_for_two_inputs() -> None:
    text = "`span` returns 1 for '-1s' and 120 for '-2m' instead of -1 and -120."
    assert found(text, "span('-1s')").expected == ("-1",)
    assert found(text, "span('-2m')").expected == ("-120",)


def test_a_sentence_with_an_input_and_an_exception() -> None:
    text = "Calling `phrase` with 'case of nappies' raises a TypeError."
    assert found(text, "phrase('case of nappies')").raises == ()
    assert "TypeError" in read_issue(text).words


def test_a_table_of_inputs_and_outputs() -> None:
    text = (
        "I tried `bump`:\n\n| Input | Output | Expected |\n|:--|---|--:|\n"
        "| '1.0-dev' | '1.1' | '1.0' |\n| `'2.0'` | '2.1' | '2.1' |\n"
    )
    assert found(text, "bump('1.0-dev')").expected == ("'1.0'",)
    assert found(text, "bump('2.0')").expected == ("'2.1'",)


def test_a_table_of_calls() -> None:
    text = "| call | now | right |\n|---|---|---|\n| `f(-1)` | `2` | `3` |\n"
    assert found(text, "f(-1)").expected == ("3",)


def test_an_ipython_session() -> None:
    text = "In [1]: from a import f\nIn [2]: f(3)\nOut[2]: 6\n\nExpected `7`.\n"
    example = found(text, "f(3)")
    assert (example.setup, example.expected[0]) == (("from a import f",), "7")


def test_a_session_without_prompts() -> None:
    text = "from a import f\nx = 3\nf(x)\n6\n\nIt must be `7`.\n"
    example = found(text, "f(x)")
    assert (example.setup, example.expected[0]) == (("from a import f", "x = 3"), "7")


def test_blocks_of_what_is_printed_and_what_should_be() -> None:
    text = "```python\nprint(f(3))\n```\nprints:\n```\n::80\n```\nbut must be:\n```\n[::]:80\n```\n"
    assert found(text, "f(3)").expected[0] == "'[::]:80'"


def test_a_calls_result_is_not_another_example() -> None:
    text = "```python\nf(range(4))\n[[0, 1], []]\n```\nExpected `[[0, 1]]`.\n"
    assert [e.expr for e in read_issue(text).examples] == ["f(range(4))"]


@pytest.mark.parametrize(
    "text",
    [
        "`year('')` quietly gives `2016`. A ValueError is expected here.",
        "`year('')` gives `2016`, expected a ValueError.",
    ],
)
def test_an_exception_that_is_expected_without_a_traceback(text: str) -> None:
    assert found(text, "year('')").raises == ("ValueError",)


def test_a_pasted_unittest() -> None:
    text = (
        "```python\nimport unittest\nfrom a import f\n\nclass TestF(unittest.TestCase):\n"
        "    def test_it(self):\n        x = 3\n        self.assertEqual(7, f(x))\n"
        "        with self.assertRaises(ValueError):\n            f(0)\n```\n"
    )
    example = found(text, "f(x)")
    assert example.setup[-1] == "x = 3"
    assert example.expected == ("7",)
    assert found(text, "f(0)").raises == ("ValueError",)


def test_a_pasted_test_with_a_table_of_cases() -> None:
    text = (
        "```python\nimport pytest\nfrom a import f\n\n"
        "@pytest.mark.parametrize(('given', 'value'), [(1, 2), (3, 4)])\n"
        "def test_f(given, value):\n    assert f(given) == value\n```\n"
    )
    setups = [e.setup[-1] for e in read_issue(text).examples]
    assert setups == ["given, value = (1, 2)", "given, value = (3, 4)"]


def test_text_in_code_marks_may_be_what_a_string_holds() -> None:
    text = "`origin('x')` gives `a::b` but I would expect to see `[a::b]` instead of `a::b`."
    assert found(text, "origin('x')").expected[0] == "'[a::b]'"


def test_what_an_exception_says_it_expected_is_no_expected_value() -> None:
    text = "----> 1 f('x')\n\nValueError: too many values to unpack (expected 2)\n"
    assert all("2" not in e.expected for e in read_issue(text).examples)


@pytest.mark.parametrize(
    "text",
    [
        "`short` gives `bo` for `Big Oak` but `BO` is right.",
        "`short('Big Oak')` returns `bo` and should return `BO`.",
        "With `short`:\n\n| name | now | should be |\n|--|--|--|\n| Big Oak | bo | BO |\n",
    ],
)
def test_words_without_quotes_are_text_if_what_comes_out_is(text: str) -> None:
    example = found(text, "short('Big Oak')")
    assert example.expected[0] == "'BO'" and example.unquoted
    equal = [wanted == "'bo'" for wanted in example.expected]
    wrong = judge(example, {"value": "'bo'", "equal": equal}, read_issue(text))
    assert wrong is not None and wrong.wanted == "'BO'"
    for other in ("17", "'never told'"):
        unlike = {"value": other, "equal": [False for _ in example.expected]}
        assert judge(example, unlike, read_issue(text)) is None


def test_each_item_of_a_list_has_its_own_values() -> None:
    text = "- `f(1)` → `1`, fine\n- `f(2)` → `3` (expected `2`)\n"
    assert found(text, "f(1)").expected == ()
    assert found(text, "f(2)").expected == ("2",)


def test_what_is_said_below_a_traceback_is_about_the_last_call_of_the_session() -> None:
    text = (
        ">>> from days import name\n>>> name(1)\n'Tue'\n>>> name(15)\n"
        "Traceback (most recent call last):\nIndexError: list index out of range\n\n"
        "Should be 'Wed'.\n"
    )
    assert found(text, "name(1)").expected == ("'Tue'",)
    assert found(text, "name(15)").expected == ("'Wed'",)


def test_a_pasted_unittest_with_set_up() -> None:
    text = (
        "```python\nimport unittest\nfrom tags import split\n\n\nclass Tags(unittest.TestCase):\n"
        "    def setUp(self):\n        self.text = 'a,'\n\n    def test_end(self):\n"
        "        self.assertEqual(split(self.text), ['a'])\n```\n"
    )
    example = found(text, "split(self.text)")
    assert example.expected == ("['a']",)
    names: dict[str, object] = {}
    exec("\n".join(s for s in example.setup if "tags" not in s), names)
    assert eval("self.text", names) == "a,"


@pytest.mark.parametrize(
    ("text", "call", "wanted"),
    [
        ("`f(1)` is 2, I was hoping for 3.", "f(1)", "3"),
        ("f(1) → 2, should → 3", "f(1)", "3"),
        ("`f(1)` yields 2. It must yield 3.", "f(1)", "3"),
        ("Given a = [1] and b = [2], f(a, b) returns [2] instead of [1].", "f(a, b)", "[1]"),
        (
            "Actual:\n```\n>>> f(1)\n2\n```\nExpected:\n```\n3\n```\n",
            "f(1)",
            "3",
        ),
    ],
)
def test_further_ways_to_say_what_was_expected(text: str, call: str, wanted: str) -> None:
    example = found(text, call)
    assert example.expected[0] == wanted
    assert "a" not in call or example.setup == ("a = [1]", "b = [2]")


def test_an_expected_exception_after_a_colon() -> None:
    assert found("f('x') returns 0. Expected: ValueError.", "f('x')").raises == ("ValueError",)


def test_a_later_check_of_a_pasted_test_is_about_what_the_earlier_one_did() -> None:
    checks = "    a = [2, 1]\n    assert f(a) == [1, 2]\n    assert a == [2, 1]\n"
    text = f"```\ndef test_f():\n{checks}```\n"
    assert "f(a) == [1, 2]" in found(text, "a").setup
