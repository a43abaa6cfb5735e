"""What each failure means, and how long is waited after it."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

import httpx
import pytest

from agent.errors import ContextTooLong, ModelAway, ModelError, ModelRefused
from agent.models.faults import Fault, FaultKind, fault_of_exception, fault_of_response
from agent.models.retry import Patience, TurnFaults
from agent.models.stream import EndlessRepetition, StreamBroken, StreamError
from tests.doubles.sglang import checks, wire

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def flat(message: str, status: int) -> bytes:
    return json.dumps(wire.error(message, status)).encode()


def router(message: str, status: int, kind: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "code": status}}).encode()


LLAMA = json.dumps(checks.llama_cpp_length_error(2462, 2048)).encode()
OLD_LLAMA = json.dumps(
    {"error": {"code": 500, "message": "the request exceeds the available context size. try "
     "increasing the context size or enable context shift", "type": "exceed_context_size_error"}}
).encode()  # fmt: skip
VLLM = (
    "The decoder prompt (length 322) is longer than the maximum model length of 256. Make sure "
    "that `max_model_len` is no smaller than the number of text tokens."
)
PYTHON_LLAMA = "Requested tokens (4348) exceed context window of 4096"
PAIRING = checks.conversation_error([{"role": "tool", "tool_call_id": "x"}]) or ""


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, flat(checks.length_error(9, 1, 5) or "", 400), "too_long", "longer than the model"),
        (400, flat(checks.length_error(4, 3, 5) or "", 400), "too_long", "Requested token count"),
        (400, flat(PAIRING, 400), "refused", "must follow an assistant message"),
        (400, b'{"error":{"message":"x","code":"context_length_exceeded"}}', "too_long", ""),
        (400, b"Your request exceeded model token limit: 262144", "too_long", "262144"),
        (413, b"", "too_long", "413"),
        (400, LLAMA, "too_long", "request (2462 tokens) exceeds"),
        (500, OLD_LLAMA, "too_long", "exceed_context_size_error"),
        (400, flat(VLLM, 400), "too_long", "length 322"),
        (400, flat(PYTHON_LLAMA, 400), "too_long", "4348"),
        (401, b'{"error":"Unauthorized"}', "refused", "API key"),
        (403, b'{"detail":"no"}', "refused", "no"),
        (404, b'{"error":{"message":"The model does not exist"}}', "refused", "does not exist"),
        (422, b'{"detail":[{"loc":["body"]}]}', "refused", "422"),
        (429, flat("Rate limit", 429), "away", "Rate limit"),
        (429, b'{"error":{"type":"exceeded_current_quota_error"}}', "refused", "quota"),
        (503, flat("The request queue is full.", 503), "away", "queue is full"),
        (502, b"<html>bad gateway</html>", "away", "bad gateway"),
        (500, flat("Internal server error", 500), "retry", "Internal server error"),
        (500, router("x", 500, "call_upstream_request_error"), "away", "call_upstream"),
        (503, router("x", 503, "no_available_workers"), "away", "no_available_workers"),
        (500, b"\xff\xfe", "retry", "500"),
        (301, b"", "refused", "301"),
    ],
)
def test_answers(status: int, body: bytes, kind: FaultKind, words: str) -> None:
    fault = fault_of_response(status, {}, body, NOW)
    assert fault.kind == kind
    assert words in fault.reason
    assert len(fault.reason) < 800


@pytest.mark.parametrize(
    ("text", "room"),
    [
        (checks.length_error(4, 3, 5), 1),
        ("maximum context length is 100 tokens and your request has 40 input tokens", 60),
        ("maximum context length is 100 tokens. However, you requested 120 tokens (90 in the "
         "messages, 30 in the completion)", 10),
        (checks.length_error(9, 1, 5), None),
    ],
)  # fmt: skip
def test_the_room_that_is_left(text: str, room: int | None) -> None:
    assert fault_of_response(400, {}, flat(text, 400), NOW).room == room


@pytest.mark.parametrize(
    ("prompt", "window", "room"), [(2462, 2048, 0), (2048, 2048, 0), ("many", 0, None)]
)
def test_llama_cpp_gives_window_and_prompt_as_numbers(
    prompt: object, window: int, room: int | None
) -> None:
    error = {"type": "exceed_context_size_error", "n_prompt_tokens": prompt, "n_ctx": window}
    streamed = fault_of_exception(StreamError(error))
    for fault in (fault_of_response(400, {}, json.dumps({"error": error}).encode()), streamed):
        assert fault is not None
        assert (fault.kind, fault.window, fault.room) == ("too_long", window or None, room)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        (VLLM, 256),
        (PYTHON_LLAMA, 4096),
        ("request (9 tokens) exceeds the available context size (8 tokens), try increasing it", 8),
        (checks.length_error(9, 1, 5), 5),
        (checks.length_error(4, 3, 5), 5),
        ("Your request exceeded model token limit: 262144", 262_144),
        ("This model's maximum context length is 131072 tokens.", 131_072),
        ("context_length_exceeded", None),
    ],
)
def test_the_window_that_the_server_names(text: str, window: int | None) -> None:
    assert fault_of_response(400, {}, flat(text, 400), NOW).window == window


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_when_to_come_back(value: str, seconds: float | None) -> None:
    assert fault_of_response(429, {"retry-after": value}, b"", NOW).retry_after_s == seconds


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("no"), "away"),
        (httpx.ConnectTimeout("no"), "away"),
        (httpx.ReadError("reset"), "retry"),
        (httpx.RemoteProtocolError("cut"), "retry"),
        (httpx.WriteError("cut"), "retry"),
        (httpx.UnsupportedProtocol("ftp"), "refused"),
        (TimeoutError(), "retry"),
        (StreamBroken("cut"), "retry"),
        (EndlessRepetition("again"), "bad_turn"),
        (StreamError(wire.error("The request queue is full.", 503)), "away"),
        (StreamError(wire.error("aborted", 500)), "retry"),
        (StreamError(wire.error(checks.length_error(9, 1, 5) or "", 400)), "too_long"),
        (StreamError({"message": "?", "code": "odd"}), "retry"),
    ],
)
def test_exceptions(error: Exception, kind: FaultKind) -> None:
    fault = fault_of_exception(error)
    assert fault is not None
    assert fault.kind == kind


def test_what_is_not_the_servers_is_not_a_fault() -> None:
    assert fault_of_exception(KeyError("x")) is None


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def waits(clock: Clock, **fields: float) -> TurnFaults:
    return TurnFaults(Patience.model_validate(fields), clock, random.Random(1))


AWAY = Fault(kind="away", reason="gone")


def test_a_server_that_is_away_is_waited_for_to_the_second() -> None:
    clock = Clock()
    waiting = waits(clock, away_s=600)
    slept: list[float] = []
    with pytest.raises(ModelAway, match="gone"):
        while True:
            slept.append(waiting.after(AWAY))
            clock.now += slept[-1]
    assert clock.now == pytest.approx(700.0)
    assert slept[0] <= 0.5
    assert max(slept) <= 30.0
    assert len(set(slept)) > len(slept) // 2


def test_any_data_restarts_the_timeout() -> None:
    clock = Clock()
    waiting = waits(clock, away_s=10)
    waiting.after(AWAY)
    clock.now += 9
    waiting.progressed()
    clock.now += 9
    assert waiting.after(AWAY) <= 0.5


def test_the_servers_wish_is_kept() -> None:
    clock = Clock()
    fault = AWAY.model_copy(update={"retry_after_s": 20.0})
    assert 20.0 <= waits(clock, away_s=600).after(fault) <= 20.5
    assert waits(clock, away_s=5).after(fault) == 5.0


def test_other_faults_have_a_number_of_attempts() -> None:
    waiting = waits(Clock(), retries=2, bad_turns=1)
    for _ in range(2):
        assert 0 < waiting.after(Fault(kind="retry", reason="reset")) <= 1.0
    with pytest.raises(ModelAway, match=r"reset \(3 attempts\)"):
        waiting.after(Fault(kind="retry", reason="reset"))
    assert waiting.may_ask_again
    assert waiting.after(Fault(kind="bad_turn", reason="endless")) == 0.0
    assert not waiting.may_ask_again
    with pytest.raises(ModelError, match="endless"):
        waiting.after(Fault(kind="bad_turn", reason="endless"))


def test_what_no_retry_fixes() -> None:
    with pytest.raises(ContextTooLong):
        waits(Clock()).after(Fault(kind="too_long", reason="x"))
    with pytest.raises(ModelRefused):
        waits(Clock()).after(Fault(kind="refused", reason="x"))
