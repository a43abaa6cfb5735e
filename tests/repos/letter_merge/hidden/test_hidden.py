import pytest
from lettermerge.render import UnknownFilter, render, render_all


def test_missing_shows_default():
    assert render("Dear {title} {name},", {"name": "Okafor"}) == "Dear  Okafor,"
    assert render("Dear {title}", {}, default="colleague") == "Dear colleague"
    assert render("{a|upper}", {}, default="x") == "x"


def test_falsy_values_are_values():
    assert render("{n}", {"n": 0}, default="-") == "0"
    assert render("{n}", {"n": ""}, default="-") == ""


def test_rows():
    assert render_all("{a}{b}", [{"a": 1}, {"b": 2}], default="?") == ["1?", "?2"]


def test_filter_errors_stay():
    with pytest.raises(UnknownFilter):
        render("{name|nope}", {"name": "Ada"})
