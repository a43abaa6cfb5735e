"""The bounded capture of a command's output."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sandbox.shell.capture import Capture, Captured

NONCE = b"f" * 31 + b"0"


def _feed(pieces: list[bytes], limit: int) -> Captured | None:
    capture = Capture(NONCE, limit)
    result = None
    for piece in pieces:
        assert result is None, "ended before its marker"
        result = capture.feed(piece)
    return result


@given(st.binary(max_size=500), st.integers(0, 255), st.integers(1, 50), st.integers(0, 600))
def test_any_cut_of_the_stream_gives_the_same_result(
    output: bytes, status: int, step: int, limit: int
) -> None:
    stream = output + NONCE + b" %d\n" % status
    result = _feed([stream[i : i + step] for i in range(0, len(stream), step)], limit)
    assert result is not None
    assert result.status == status
    assert len(result.output) + result.dropped_bytes == len(output)
    if len(output) <= limit:
        assert result.output == output
    else:
        half = limit // 2
        tail = output[len(output) - (limit - half) :]
        assert result.output == output[:half] + tail


def test_a_flood_is_held_in_bounded_memory_and_keeps_its_ends() -> None:
    limit = 100_000
    capture = Capture(NONCE, limit)
    block = bytes(range(256)) * 256
    assert capture.feed(b"begin") is None
    for _ in range(400):
        assert capture.feed(block) is None
        assert len(capture._rest) + len(capture._head or b"") < 4 * limit + len(block)
    result = capture.feed(b"end" + NONCE + b" 0\n")
    assert result is not None
    assert result.output.startswith(b"begin" + block[:100])
    assert result.output.endswith(block[-100:] + b"end")
    assert len(result.output) == limit
    assert result.dropped_bytes == 400 * len(block) + 8 - limit


def test_a_marker_without_its_newline_is_waited_for() -> None:
    capture = Capture(NONCE, 100)
    assert capture.feed(b"x" + NONCE) is None
    assert capture.feed(b" 1") is None
    assert capture.feed(b"7\n") == Captured(b"x", 0, 17)


def test_what_came_before_the_end_can_be_had() -> None:
    capture = Capture(NONCE, 4)
    capture.feed(b"abcdef")
    assert capture.partial() == Captured(b"abef", 2, 0)
