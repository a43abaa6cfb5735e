import pytest

from rawhttp.errors import BadHeader, BadMessage
from rawhttp.headers import content_type, parse_headers, parse_line
from rawhttp.message import parse_request


def test_line():
    assert parse_line("Accept:  text/html ") == ("accept", "text/html")
    assert parse_line("X-Empty:") == ("x-empty", "")


@pytest.mark.parametrize("line", ["nothing", ": value", "Name : value"])
def test_bad_lines(line):
    with pytest.raises(BadHeader):
        parse_line(line)


def test_joined():
    assert parse_headers(["A: 1", "a: 2"]) == {"a": "1, 2"}


def test_content_type():
    headers = {"content-type": 'Text/HTML; Charset="utf-8"'}
    assert content_type(headers) == ("text/html", {"charset": "utf-8"})
    assert content_type({}) == ("", {})


def test_request():
    request = parse_request("get /a HTTP/1.1\r\nHost: x\r\n\r\nbody")
    assert request.method == "GET"
    assert request.headers == {"host": "x"}
    assert request.body == "body"
    with pytest.raises(BadMessage):
        parse_request("hello")
