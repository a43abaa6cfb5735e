"""Whether two texts tell of the same failure."""

from __future__ import annotations

import time

from agent.text.fingerprints import Fingerprint, fingerprint

TRACE = """\
Traceback (most recent call last):
  File "/srv/app/shop/api.py", line 12, in checkout
    return total(cart)
  File "/srv/app/shop/cart.py", line {line}, in total
    raise ValueError({text!r})
ValueError: {text}
"""


def test_the_same_trace_is_known_from_other_lines_folders_and_words() -> None:
    here = fingerprint("It broke:\n" + TRACE.format(line=3, text="for 1 item"))
    there = fingerprint(
        TRACE.format(line=99, text="for 2").replace("/srv/app/", "/home/ann/work/") + "\nmore"
    )
    assert here.shared_with(there) == "the same stack trace"


def test_another_error_or_function_is_another_failure() -> None:
    text = TRACE.format(line=3, text="x")
    for other in (text.replace("ValueError", "KeyError"), text.replace("in total", "in taxes")):
        assert fingerprint(text).shared_with(fingerprint(other)) == ""


def test_tests_are_known_by_their_names() -> None:
    one = fingerprint("FAILED tests/test_cart.py::test_total[2-1] - assert 1 == 0")
    other = fingerprint("`pytest tests/test_cart.py::test_total[2-1]` fails.")
    assert one.shared_with(other) == "the failing test tests/test_cart.py::test_total[2-1]"
    assert fingerprint("--- FAIL: TestTotal/empty (0.00s)").tests == ("TestTotal/empty",)
    assert Fingerprint().shared_with(one) == ""


def test_a_lone_frame_says_too_little() -> None:
    assert fingerprint('  File "main.py", line 1, in <module>\n').traces == ()


def test_hostile_texts_take_time_in_proportion_to_their_length() -> None:
    begun = time.monotonic()
    for part in (
        "a.py::",
        "w.",
        "E ",
        "E\n",
        "Traceback (most recent call last)",
        "_" * 999 + "\n",
    ):
        fingerprint(part * (200_000 // len(part)))
    assert time.monotonic() - begun < 10
