"""An issue's type and fields, as GitHub's JSON has them."""

from __future__ import annotations

from typing import Any

import pytest

from app.github.convert import LONGEST_FIELD, MOST_FIELDS, issue_fields


def value(data_type: str, given: Any, **more: Any) -> dict[str, Any]:
    known = {"issue_field_id": 1, "issue_field_name": "F", "node_id": "x"}
    return {**known, "data_type": data_type, "value": given, **more}


HIGH = {"id": 1, "name": "High", "color": "red"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (value("text", "by hand"), ("F: by hand",)),
        (value("number", 0), ("F: 0",)),
        (value("date", "2026-11-01"), ("F: 2026-11-01",)),
        (value("single_select", 1, single_select_option=HIGH), ("F: High",)),
        (value("single_select", 1, single_select_option=None), ()),
        (value("multi_select", "1,1", multi_select_options=[HIGH, HIGH]), ("F: High, High",)),
        (value("multi_select", None, multi_select_options=None), ()),
        (value("text", None), ()),
        (value("rating", {"stars": 5}), ()),
        (value("text", "by hand", issue_field_name=None), ("Field: by hand",)),
        ({}, ()),
        ({"data_type": "multi_select", "multi_select_options": ["High", {}]}, ()),
        ({"data_type": "single_select", "single_select_option": "High"}, ()),
    ],
)
def test_each_kind_of_value(given: dict[str, Any], told: tuple[str, ...]) -> None:
    assert issue_fields({"issue_field_values": [given]}) == told


def test_older_servers_and_users_repositories_have_none() -> None:
    assert issue_fields({"title": "t"}) == ()
    assert issue_fields({"type": None, "issue_field_values": None}) == ()
    assert issue_fields({"type": "Bug", "issue_field_values": {"a": 1}}) == ()
    assert issue_fields({"type": {}, "issue_field_values": ["a", None]}) == ()


def test_no_more_is_read_than_bounds_allow() -> None:
    raw = {"type": {"name": "Bug"}, "issue_field_values": [value("text", "x" * 5000)] * 50}
    found = issue_fields(raw)
    assert len(found) == MOST_FIELDS and found[0] == "Type: Bug"
    assert max(map(len, found)) == LONGEST_FIELD
