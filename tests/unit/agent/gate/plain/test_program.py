"""What a program says of its tests counts only with its word, and cannot be taken back."""

from __future__ import annotations

import pytest

from agent.gate.plain.program import read_said
from agent.gate.plain.records import ENDED

WORD = "w0rd"
START = f"{WORD} start\ta::t\n"
PASSED = f"{WORD} outcome\ta::t\tpassed\t\t0\n"
FAILED = f"{WORD} outcome\ta::t\tfailed\tError\t5\n"
END = f"{WORD} end\n"


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        (START + PASSED + END + f"{WORD} status 0", {"a::t": ("passed", "")}),
        (START + FAILED + END + f"{WORD} status 0", {"a::t": ("failed", "Error")}),
        # What was said first stays, and nothing is heard of tests that did not begin.
        (START + FAILED + PASSED + END + f"{WORD} status 0", {"a::t": ("failed", "Error")}),
        (PASSED + END + f"{WORD} status 0", {}),
        ("other" + START[4:] + "other" + PASSED[4:] + f"{WORD} status 0", {}),
        # An unfinished line on the same pipe hides nothing.
        ("x" + START + "y" + FAILED + END + f"{WORD} status 0", {"a::t": ("failed", "Error")}),
        # It ended, with success or not, before its test did.
        (START + f"{WORD} status 0", {"a::t": ("failed", ENDED)}),
        (START + f"{WORD} status 3", {"a::t": ("failed", ENDED)}),
        # It was stopped, or never started: that says nothing.
        (START + f"{WORD} status 137", {}),
        (START, {}),
    ],
)
def test_what_a_program_says(said: str, seen: dict[str, tuple[str, str]]) -> None:
    found = read_said(said, WORD, {"a": "a"})
    assert {name: (one.outcome, one.raised) for name, one in found.items()} == seen
