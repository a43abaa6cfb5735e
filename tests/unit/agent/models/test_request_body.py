"""The request body: encoded once, growing, with pairs whole."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.model import Message, Picture, ToolCall, ToolSpec
from agent.models import request_body
from agent.models.profiles import PROFILES
from agent.models.request_body import MALFORMED, Conversation, as_object, body_head, body_tail
from tests.doubles.sglang.checks import conversation_error, parts_error

K2 = PROFILES["k2-thinking"]


def decoded(conversation: Conversation, messages: Sequence[Message]) -> list[dict[str, Any]]:
    return list(json.loads(b"[" + conversation.encode(messages) + b"]"))


def asks(*ids: str, reasoning: str = "", arguments: str = "{}") -> Message:
    calls = tuple(ToolCall(id=i, name="bash", arguments=arguments) for i in ids)
    return Message(role="assistant", reasoning=reasoning, tool_calls=calls)


def result(call_id: str, content: str = "ok") -> Message:
    return Message(role="tool", tool_call_id=call_id, content=content)


USER = Message(role="user", content="Fix it.")


def test_each_message_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[object] = []
    original = request_body.compact_json

    def counted(value: object) -> bytes:
        encoded.append(value)
        return original(value)

    monkeypatch.setattr(request_body, "compact_json", counted)
    conversation, messages = Conversation(K2), [USER]
    for number in range(20):
        conversation.encode(messages)
        messages += [asks(f"functions.bash:{number}"), result(f"functions.bash:{number}")]
    conversation.encode(messages)
    conversation.encode([m.model_copy() for m in messages])
    assert len(encoded) == len(messages)


PNG = b"\x89PNG\r\n\x1a\n" + bytes(3000)
PICTURE = Picture(id="attached:image-1", name="x", width=560, height=280, size=len(PNG))
SEEING = K2.model_copy(update={"sees_images": True})


def kept(image_id: str) -> bytes | None:
    return PNG if image_id == PICTURE.id else None


def test_an_image_follows_its_words_and_is_encoded_once() -> None:
    gone = PICTURE.model_copy(update={"id": "attached:image-2"})
    images = Message(role="user", content="See:", pictures=(PICTURE, gone))
    conversation = Conversation(SEEING, kept)
    [_, message] = decoded(conversation, [USER, images])
    first, image, missing = message["content"]
    assert first == {"type": "text", "text": "See:"}
    head, _, data = image["image_url"]["url"].partition(";base64,")
    assert (head, base64.b64decode(data)) == ("data:image/png", PNG)
    assert missing["type"] == "text"
    assert parts_error([message]) is None
    assert conversation.picture_tokens == PICTURE.tokens == 20 * 10 + 8
    before = bytes(conversation.encode([USER, images]))
    assert conversation.picture_bytes < len(before)
    call = "functions.bash:0"
    after = bytes(conversation.encode([USER, images, asks(call), result(call)]))
    assert after.startswith(before)
    conversation.encode([USER])
    assert (conversation.picture_tokens, conversation.picture_bytes) == (0, 0)


def test_a_model_that_cannot_see_gets_only_the_words() -> None:
    images = Message(role="user", content="See:", pictures=(PICTURE,))
    assert decoded(Conversation(K2, kept), [images]) == [{"role": "user", "content": "See:"}]


def test_the_bytes_only_grow() -> None:
    conversation, messages = Conversation(K2), [USER]
    before = bytes(conversation.encode(messages))
    for number in range(5):
        messages += [asks(f"functions.bash:{number}"), result(f"functions.bash:{number}")]
        now = bytes(conversation.encode(messages))
        assert now.startswith(before)
        before = now


def test_cutting_keeps_the_text_before_it() -> None:
    messages = [USER, asks("functions.bash:0"), result("functions.bash:0", "long " * 50)]
    messages += [asks("x"), result("x")]
    conversation = Conversation(K2)
    conversation.encode(messages)
    stubbed = [*messages]
    stubbed[2] = result("functions.bash:0", "[cut]")
    fresh = Conversation(K2)
    assert bytes(conversation.encode(stubbed)) == bytes(fresh.encode(stubbed))
    assert (conversation.calls, conversation.taken) == (fresh.calls, fresh.taken)
    shorter = messages[:2]
    assert bytes(conversation.encode(shorter)) == bytes(Conversation(K2).encode(shorter))
    assert conversation.calls == 1
    assert bytes(conversation.encode(messages)) == bytes(Conversation(K2).encode(messages))


@pytest.mark.parametrize(
    ("profile", "fields"),
    [("k2-thinking", {"reasoning_content"}), ("vllm", {"reasoning", "reasoning_content"})],
)
def test_reasoning_goes_back_with_every_call(profile: str, fields: set[str]) -> None:
    messages = [
        USER,
        asks("functions.bash:0"),
        result("functions.bash:0"),
        asks("y", reasoning="r"),
    ]
    sent = decoded(Conversation(PROFILES[profile]), messages)
    assert {f: sent[1][f] for f in fields} == dict.fromkeys(fields, "")
    assert {f: sent[3][f] for f in fields} == dict.fromkeys(fields, "r")
    assert not fields & set(sent[0])


def plain(reasoning: str) -> Message:
    return Message(role="assistant", content="So it is.", reasoning=reasoning)


HISTORY = (
    USER,
    asks("bash:0", reasoning="first"),
    result("bash:0"),
    plain("second"),
    USER,
    asks("bash:1", reasoning="third"),
    result("bash:1"),
    plain(""),
)


@pytest.mark.parametrize(
    ("history", "before", "after"),
    [
        ("since_last_answer", ["", None, "third"], ["", None, "", None]),
        ("all", ["first", "second", "third"], ["first", "second", "third", ""]),
        ("none", [None] * 3, [None] * 4),
    ],
)
def test_what_the_template_renders_of_thinking_is_what_is_sent(
    history: str, before: list[str | None], after: list[str | None]
) -> None:
    profile = K2.model_copy(update={"reasoning_history": history})

    def thinking(messages: Sequence[Message], conversation: Conversation) -> list[str | None]:
        sent = decoded(conversation, messages)
        return [m.get("reasoning_content") for m in sent if m["role"] == "assistant"]

    grown = Conversation(profile)
    assert thinking(HISTORY[:7], grown) == before
    assert thinking(HISTORY, grown) == after
    assert thinking(HISTORY[:7], grown) == before
    assert thinking(HISTORY, Conversation(profile)) == after


def test_thinking_switches_and_effort_are_in_the_request() -> None:
    def fields(name: str, **update: object) -> dict[str, object]:
        profile = PROFILES[name].model_copy(update=update)
        return dict(json.loads(b'{"messages":[' + body_tail(profile, 5)))

    assert fields("k2.6")["chat_template_kwargs"] == {"preserve_thinking": True}
    assert fields("k2.6-moonshot")["thinking"] == {"type": "enabled", "keep": "all"}
    assert "temperature" not in fields("k3-moonshot")
    assert "reasoning_effort" not in fields("k3")
    assert fields("k3", reasoning_effort="low")["reasoning_effort"] == "low"


def test_foreign_and_double_ids_are_renamed_with_their_results() -> None:
    messages = [
        USER,
        asks("call_a", "call_a", "functions.bash:2"),
        result("call_a", "first"),
        result("call_a", "second"),
        result("functions.bash:2"),
        asks("functions.bash:2"),
        result("functions.bash:2"),
    ]
    sent = decoded(Conversation(K2), messages)
    assert conversation_error(sent) is None
    assert [c["id"] for m in sent for c in m.get("tool_calls", [])] == [
        "functions.bash:0",
        "functions.bash:1",
        "functions.bash:2",
        "functions.bash:3",
    ]
    assert [(m["tool_call_id"], m["content"]) for m in sent[2:4]] == [
        ("functions.bash:0", "first"),
        ("functions.bash:1", "second"),
    ]
    assert (
        decoded(Conversation(PROFILES["generic"]), messages)[1]["tool_calls"][0]["id"] == "call_a"
    )


def test_ids_of_the_servers_own_stay_unchanged() -> None:
    messages = [
        USER,
        asks("functions.bash:0"),
        result("functions.bash:0"),
        asks("functions.bash:1"),
    ]
    sent = decoded(Conversation(K2), messages)
    assert [m["tool_calls"][0]["id"] for m in sent if "tool_calls" in m] == [
        "functions.bash:0",
        "functions.bash:1",
    ]


@pytest.mark.parametrize(
    "arguments", ["", "{", "[1]", "null", "NaN", '{"a": NaN}', '{"a": "\\ud800"}']
)
def test_arguments_that_servers_refuse_are_wrapped(arguments: str) -> None:
    assert json.loads(as_object(arguments)) == {MALFORMED: arguments}
    sent = decoded(Conversation(K2), [USER, asks("functions.bash:0", arguments=arguments)])
    assert conversation_error([*sent, {"role": "tool", "tool_call_id": "functions.bash:0"}]) is None


def test_good_arguments_stay_to_the_letter() -> None:
    arguments = '{ "command" : "ls",\n"n":1.0}'
    assert as_object(arguments) == arguments


def test_lone_surrogates_do_not_stop_a_turn() -> None:
    assert decoded(Conversation(K2), [Message(role="user", content="a\ud800b")]) == [
        {"role": "user", "content": "a?b"}
    ]


def test_control_tokens_are_broken_for_kimi_alone() -> None:
    messages = [Message(role="user", content="x <|im_end|>")]
    assert decoded(Conversation(K2), messages)[0]["content"] == "x <¦|im_end|>"
    assert decoded(Conversation(PROFILES["generic"]), messages)[0]["content"] == "x <|im_end|>"


def test_head_and_tail_make_one_request() -> None:
    tool = ToolSpec(name="bash", description="d", parameters={"type": "object"})
    for tools in ((tool,), ()):
        body = json.loads(
            body_head("m", tools) + Conversation(K2).encode([USER]) + body_tail(K2, 100, seed=7)
        )
        assert body["model"] == "m"
        assert ("tools" in body) == bool(tools)
        assert body["messages"] == [{"role": "user", "content": "Fix it."}]
        assert (body["max_tokens"], body["temperature"], body["top_p"], body["seed"]) == (
            100,
            1,
            1,
            7,
        )
        assert body["stream_options"] == {"include_usage": True}
    plain = json.loads(b'{"messages":[' + body_tail(PROFILES["generic"], 5))
    assert "temperature" not in plain


def test_a_long_conversation_costs_its_new_part() -> None:
    conversation, messages = Conversation(K2), [USER]
    for number in range(300):
        messages.append(asks(f"functions.bash:{number}", reasoning="I think. " * 200))
        messages.append(result(f"functions.bash:{number}", "line of output\n" * 200))
    begin = time.perf_counter()
    conversation.encode(messages)
    whole = time.perf_counter() - begin
    more = [*messages, asks("functions.bash:300"), result("functions.bash:300")]
    begin = time.perf_counter()
    conversation.encode(more)
    assert time.perf_counter() - begin < whole / 5


IDS = st.sampled_from(["functions.bash:0", "functions.bash:1", "call_a", "", "3"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(IDS, min_size=1, max_size=3), max_size=6), st.integers(0, 20))
def test_any_ids_stay_paired_and_unique_however_it_grows(
    turns: list[list[str]], first: int
) -> None:
    messages = [USER]
    for ids in turns:
        messages += [asks(*ids), *(result(i) for i in ids)]
    conversation = Conversation(K2)
    conversation.encode(messages[: max(1, first % (len(messages) + 1))])
    sent = decoded(conversation, messages)
    assert conversation_error(sent) is None
    given_ids = [c["id"] for m in sent for c in m.get("tool_calls", [])]
    assert len(set(given_ids)) == len(given_ids)
