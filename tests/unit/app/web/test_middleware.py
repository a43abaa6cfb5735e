"""What of a request's headers reaches the pages."""

from __future__ import annotations

import pytest

from app.web.middleware import LONGEST_COOKIE, own_cookies

OWN = b"patchwright_session=ann|1|ab|7|cd"


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (OWN, OWN),
        (b"theirs=1; " + OWN + b";patchwright_setup=a-b_c", OWN + b"; patchwright_setup=a-b_c"),
        (b"patchwright_session=old; " + OWN, OWN),
        (b"patchwright_sessions=1; patchwright_=2; =3; ;", b""),
        # Python unquotes these in the square of their length.
        (b'a="' + b"\\" * 30_000 + b'"', b""),
        (b'patchwright_session="' + b"\\" * 1000 + b'"', b""),
        (b"patchwright_session=" + b"x" * (LONGEST_COOKIE + 1), b""),
    ],
)
def test_only_cookies_that_could_be_ours_are_read(header: bytes, kept: bytes) -> None:
    assert own_cookies(header) == kept
