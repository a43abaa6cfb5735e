import pytest
from lettermerge.render import UnknownFilter, missing, render, render_all
from lettermerge.template import TemplateError, field_names, parse


def test_render():
    assert render("Hello {name}!", {"name": "Ada"}) == "Hello Ada!"


def test_filters():
    assert render("{name|upper}", {"name": "Ada"}) == "ADA"
    with pytest.raises(UnknownFilter):
        render("{name|nope}", {"name": "Ada"})


def test_none_shows_default():
    assert render("{a}/{b}", {"a": None, "b": 2}, default="-") == "-/2"


def test_braces():
    assert render("{{x}}", {}) == "{x}"


def test_rows():
    assert render_all("{n}", [{"n": 1}, {"n": 2}]) == ["1", "2"]


def test_missing():
    assert missing("{a} {b}", {"a": 1}) == ["b"]


def test_errors():
    for bad in ("{", "}", "{}"):
        with pytest.raises(TemplateError):
            parse(bad)


def test_names():
    assert field_names("{b} {a|upper} {b}") == ["a", "b"]
