"""TOML of others."""

from __future__ import annotations

import time

import pytest

from agent.text.toml import toml_table


@pytest.mark.parametrize(
    "text", ["a = [", "a." * 100_000 + "b = 1", "a = " + "9" * 5000, "a = " + "[" * 100_000]
)
def test_what_cannot_be_read_is_one_error_and_takes_no_time(text: str) -> None:
    begun = time.process_time()
    with pytest.raises(ValueError, match=""):
        toml_table(text)
    assert time.process_time() - begun < 1


def test_usual_keys_are_read() -> None:
    assert toml_table('[tool.a."b.c".d]\nurl = "https://a.b.c.example.com/x"')["tool"]["a"]
