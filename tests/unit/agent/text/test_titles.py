"""Names made of titles."""

from __future__ import annotations

import pytest

from agent.text.titles import class_of_name, name_of_title


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("A letter of exactly 500 g", "a_letter_of_exactly_500_g"),
        ("`parse_date` raises: ValueError!", "parse_date_raises_valueerror"),
        (
            "The configuration of the notification service disappears",
            "the_configuration_of_the_notification_service",
        ),
        ("Größe über café", "grosse_uber_cafe"),
        ("合計 total が wrong", "total_wrong"),
        ("__init__ fails", "init_fails"),
        ("合計", "reported_bug"),
        ("x" * 51, "reported_bug"),
        ("", "reported_bug"),
    ],
)
def test_whole_words_of_a_title_make_a_name(title: str, name: str) -> None:
    assert name_of_title(title) == name
    assert name.isidentifier() and len(name) <= 50


@pytest.mark.parametrize(
    ("name", "expected"), [("a_wrong_sum", "AWrongSumTest"), ("3_is_odd", "Case3IsOddTest")]
)
def test_a_class_is_named_after_a_title(name: str, expected: str) -> None:
    assert class_of_name(name) == expected
