import pytest
from rawhttp.errors import BadHeader
from rawhttp.headers import parse_line
from rawhttp.message import parse_request


def test_values_with_colons():
    assert parse_line("Host: a:1:2") == ("host", "a:1:2")
    assert parse_line("Date: 10:20:30 ") == ("date", "10:20:30")
    assert parse_line("A::") == ("a", ":")
    assert parse_request("GET / HTTP/1.1\r\nHost: x:80\r\n\r\n").headers == {"host": "x:80"}
    with pytest.raises(BadHeader):
        parse_line("Name : a:b")
