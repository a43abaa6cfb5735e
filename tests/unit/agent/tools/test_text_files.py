"""Text files: exact replacement, encodings and line ends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.tools.text_files import decode, replace_once


def test_crlf_file_comes_back_with_crlf_everywhere():
    file = decode(b"a = 1\r\nb = 2\r\nc = 3\r\n")
    assert file is not None
    done = replace_once(file.text, "b = 2\n", "b = 20\nbb = 21\n")
    assert file.encode(done.text) == b"a = 1\r\nb = 20\r\nbb = 21\r\nc = 3\r\n"
    assert done.line == 2


def test_mixed_line_ends_outside_the_change_stay_as_they_were():
    data = b"one\r\ntwo\nthree\r\n"
    file = decode(data)
    assert file is not None
    done = replace_once(file.text, "two", "TWO")
    assert file.encode(done.text) == b"one\r\nTWO\nthree\r\n"


def test_latin1_and_bom_survive():
    for data in (b"caf\xe9 = 1\n", "\ufeffx = 1\n".encode(), "x = 'ü'\n".encode("utf-16")):
        file = decode(data)
        assert file is not None
        assert decode(file.encode(file.text)) == file


def test_byte_order_and_marks_stay():
    for data in (
        b"\xfe\xff" + "x = 'ü'\n".encode("utf-16-be"),
        b"\xff\xfe" + "x = 'ü'\n".encode("utf-16-le"),
        b"\xef\xbb\xbfx = 1\n",
    ):
        file = decode(data)
        assert file is not None and file.text.startswith("x")
        assert file.encode(file.text) == data


def test_a_character_that_the_encoding_lacks_is_an_error_and_no_other_encoding():
    file = decode(b"caf\xe9 = 1\n")
    assert file is not None
    with pytest.raises(UnicodeEncodeError):
        file.encode(file.text + "# €\n")


def test_binary_is_none():
    assert decode(b"\x7fELF\0\0\1") is None


def test_refusals_help():
    text = "def area(w, h):\n    return w + h\n\ndef perimeter(w, h):\n    return 2 * (w + h)\n"
    twice = replace_once(text, "w + h", "w * h")
    assert "occurs 2 times" in twice.refusal
    assert "2, 5" in twice.refusal
    near = replace_once(text, "    return w  + h", "x")
    assert "     2\t    return w + h" in near.refusal
    assert "same" in replace_once(text, "w", "w").refusal
    assert replace_once(text, "", "w").refusal


@given(st.binary(max_size=300))
def test_what_decodes_encodes_back_to_the_same_bytes(data: bytes):
    file = decode(data)
    if file is not None:
        assert file.encode(file.text) == data
