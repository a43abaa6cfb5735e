"""The stand-in server's own parts."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.doubles.sglang.answering import Parsing, cut
from tests.doubles.sglang.chaos import PASSING, Chaos, altered
from tests.doubles.sglang.checks import conversation_error, length_error
from tests.doubles.sglang.latency import HARDWARE, Latency
from tests.doubles.sglang.prompts import CHARS_PER_TOKEN, PAGE, PrefixCache, render, tokens
from tests.doubles.sglang.turns import Call, Say, load
from tests.doubles.virtual_cluster.servers import ConversationCache, Sizes

FUNCTIONS = [{"name": "bash", "parameters": {"properties": {"command": {}}}}]


def asking(arguments: str) -> dict[str, object]:
    call = {"id": "a", "function": {"arguments": arguments}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


ASK = asking("{}")
ANSWER = {"role": "tool", "tool_call_id": "a", "content": "ok"}
USER = {"role": "user", "content": "x"}


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([USER, ASK, ANSWER], None),
        ([USER, ASK], None),
        ([], "cannot be empty"),
        ([USER, ANSWER], "must follow an assistant"),
        ([USER, ASK, USER], "have no tool message"),
        ([USER, ASK, ANSWER, ANSWER], "does not match an unanswered"),
        ([USER, asking("{"), ANSWER], "must be valid JSON"),
        ([USER, asking("[1]"), ANSWER], "must be a JSON object"),
    ],
)  # fmt: skip
def test_conversations(messages: list[dict[str, object]], words: str | None) -> None:
    said = conversation_error(messages)
    assert (said is None) if words is None else words in (said or "")


def test_lengths() -> None:
    assert length_error(10, 5, 15) is None
    assert "Requested token count" in (length_error(10, 6, 15) or "")
    assert "longer than" in (length_error(15, 1, 15) or "")


def test_whole_conversations_are_kept_and_lost_as_pages_are() -> None:
    """The simulation's cache against the stand-in's: 2,000 turns of eight conversations."""
    rng, page = random.Random(5), PAGE // CHARS_PER_TOKEN
    pages = PrefixCache(40 * page)
    conversations = ConversationCache(Sizes(40 * page))
    length = dict.fromkeys(range(8), 0)
    rewritten = dict.fromkeys(range(8), 0)
    served = 0
    for _ in range(2_000):
        key = rng.choice(range(8))
        same, grown = length[key], length[key] + rng.randint(1, 3)
        if grown > 12:
            same, grown = 1, 2
            rewritten[key] += 1
        text = f"{key:02}" * (PAGE // 2) + f"{rewritten[key]:04}" * ((grown - 1) * PAGE // 4)
        found = conversations.begin(key, same * page, grown * page)
        assert found is not None
        conversations.end(key, last=False)
        known = min(pages.cached(text), same * page)
        assert found.on_gpu == known
        pages.add(text)
        length[key] = grown
        served += known > 0
    assert 500 < served < 2_000


def test_the_cache_counts_the_common_beginning() -> None:
    cache = PrefixCache()
    text = "".join(chr(97 + i % 26) for i in range(PAGE * 4))
    assert cache.cached(text) == 0
    cache.add(text)
    assert cache.cached(text + "more") == PAGE
    assert cache.cached(text[: PAGE * 2] + "other" * PAGE) == PAGE * 2 // 4
    assert cache.cached("x" + text) == 0


def test_a_message_without_calls_drops_earlier_reasoning() -> None:
    thought = {**ASK, "reasoning_content": "DEEP"}
    assert "DEEP" in render([USER, thought, ANSWER], [])
    assert "DEEP" not in render([USER, thought, ANSWER, {"role": "assistant", "content": "y"}], [])


def test_what_was_written_is_cached_when_it_comes_back() -> None:
    say = Say("think", "", (Call.of("bash", command="ls"),))
    prompt = render([USER], [])
    call = {"id": "functions.bash:0", "function": {"arguments": '{"command": "ls"}'}}
    back = {"role": "assistant", "content": "", "reasoning_content": "think", "tool_calls": [call]}
    assert render([USER, back, ANSWER], []).startswith(prompt + say.tokens(0))


def test_the_parsers_can_be_switched_off() -> None:
    raw = Say("hm", "c", (Call("bash"),)).tokens(0)
    both = Parsing("kimi_k2", "kimi_k2", FUNCTIONS).feed(raw, last=True)
    assert (both.reasoning, both.content, both.calls[0].name) == ("hm", "c", "bash")
    neither = Parsing("", "", FUNCTIONS).feed(raw, last=True)
    assert (neither.reasoning, neither.content, neither.calls) == ("", raw, ())
    assert "".join(cut(raw, 3, "seed")) == raw


def test_chaos_is_the_same_for_the_same_seed() -> None:
    first, second = Chaos(7, 0.3), Chaos(7, 0.3)
    kinds = [first.next() for _ in range(300)]
    assert kinds == [second.next() for _ in range(300)]
    assert 50 < sum(bool(k) for k in kinds) < 130
    assert set(kinds) - {""} == set(PASSING)


@pytest.mark.parametrize("fault", ["truncated_arguments", "length"])
def test_cut_calls_are_cut(fault: str) -> None:
    say = altered(Say("r", "", (Call.of("bash", command="ls -la"),)), fault, 0)
    calls = Parsing("kimi_k2", "kimi_k2", FUNCTIONS).feed(say.tokens(0), last=True).calls
    with pytest.raises(ValueError):
        json.loads("".join(c.arguments for c in calls))


def test_scripts_from_files(tmp_path: Path) -> None:
    turns = [{"reasoning": "r", "calls": [{"name": "bash", "arguments": {"command": "ls"}}]}]
    plain = tmp_path / "turns.json"
    plain.write_text(json.dumps([*turns, {"content": "end"}]))
    policy = load(plain)
    assert policy({"messages": [USER]}).calls[0].arguments == '{"command": "ls"}'
    assert policy({"messages": [USER, ASK, ANSWER]}).content == "end"
    assert policy({"messages": [USER, ASK, ANSWER, ASK]}).content == "end"
    several = tmp_path / "scripts.yaml"
    several.write_text(
        "scripts:\n"
        "- {when: apple, turns: [{content: A}]}\n"
        "- {turns: [{content: B, finish: length}]}\n"
    )
    policy = load(several)
    assert policy({"messages": [{"role": "user", "content": "an apple"}]}).content == "A"
    assert policy({"messages": [USER]}).finish == "length"


def test_latency_is_of_the_hardware() -> None:
    latency = Latency(HARDWARE["8xH200-int4"])
    assert latency.writing_s(375) == pytest.approx(10.0)
    assert latency.first_token_s(16_000) == pytest.approx(2.0)
    assert tokens("x" * 9) == 3
