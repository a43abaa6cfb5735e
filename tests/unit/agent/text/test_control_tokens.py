"""Control tokens in hostile text: broken, and put back exactly."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.text.control_tokens import BREAK, guard, neutralise, restore

MARKERS = [
    "<|im_end|>",
    "<|im_user|>",
    "<|im_assistant|>",
    "<|im_system|>",
    "<|im_middle|>",
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
    "<|media_start|>",
    "<think>",
    "</think>",
    "[BOS]",
    "[EOS]",
    "[EOT]",
    "[INST]",
    "[/INST]",
    "<<SYS>>",
    "<｜User｜>",
    "## Return of functions.bash:0",
]
PIECES = st.sampled_from([*MARKERS, BREAK, "<", "|", ">", "<|", "|>", "[", "]", "\n", "x", "## "])
TEXT = st.lists(st.one_of(PIECES, st.text(max_size=4)), max_size=20).map("".join)


@pytest.mark.parametrize("marker", MARKERS)
def test_no_marker_survives_and_each_comes_back(marker: str) -> None:
    text = f"{marker} and\n{marker}"
    harmless = neutralise(text)
    assert marker not in harmless
    assert restore(harmless) == text
    assert marker not in guard(text)


def test_ordinary_text_stays_as_it_is() -> None:
    text = "if a < b | c > d: x = [1] # <b> |x| [ERR]\n# Return of the king\nstd::cout << x;"
    assert neutralise(text) == restore(text) == guard(text) == text


def test_a_marker_that_is_already_broken_is_distinguished() -> None:
    raw, broken = "<|im_end|>", "<¦|im_end|>"
    assert neutralise(raw) == broken
    assert neutralise(broken) == "<¦¦|im_end|>"
    assert restore(neutralise(broken)) == broken


def test_what_a_model_writes_itself_is_left_alone() -> None:
    assert restore("<|im_end|> </think>") == "<|im_end|> </think>"


@settings(max_examples=1_000, deadline=None)
@given(TEXT)
def test_restore_is_the_exact_inverse_on_any_text(text: str) -> None:
    harmless = neutralise(text)
    assert restore(harmless) == text
    assert guard(harmless) == harmless
    assert not any(marker in harmless for marker in MARKERS if marker[0] != "#")


@settings(max_examples=300, deadline=None)
@given(TEXT, TEXT)
def test_guard_leaves_no_marker_where_texts_meet(first: str, second: str) -> None:
    joined = guard(neutralise(first) + neutralise(second))
    assert not any(marker in joined for marker in MARKERS if marker[0] != "#")
    assert guard(joined) == joined
