"""A run of hundreds of turns with everything that a prompt goes through, as its model saw it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from agent.journal.store import Hint, MemoryStore
from agent.model import Message, ToolCall, ToolSpec, Turn, Usage
from agent.models.profiles import Profile
from agent.models.request_body import Conversation, body_head, body_tail
from agent.tools.registry import tool_specs
from tests.doubles.memory_sandbox import MemorySandbox
from tests.doubles.seeded_policy import FILES, SeededModel
from tests.doubles.sglang.prompts import Template, stub
from tests.doubles.sglang.turns import Call, Say
from tests.support.agent.loops import a_task, run

CHARS_PER_TOKEN = 4
WITHOUT_CALL = 30
"""Every so many turns the model answers without a call; of these, every other is cut off."""
REPEATED = range(50, 54)
"""Calls that are the same one over and over, which the loop answers with a nudge."""
WORDS = ("the parser", "drops", "a quoted", "field", "so", "I look", "at", "tokens", "again,", "is")


@dataclass(frozen=True)
class LongRun:
    """What the model of a run was shown, turn by turn."""

    prompts: tuple[tuple[Message, ...], ...]
    answers: tuple[Turn, ...]
    cuts: int
    nudges: int
    hints: int
    malformed: int
    """Calls whose arguments were no JSON."""


class TalkativeModel(SeededModel):
    """The seeded calls with thinking around them, and now and then none."""

    def __init__(
        self, preserves_thinking: bool, store: MemoryStore, steps: int, window: int
    ) -> None:
        super().__init__(seed=11, steps=steps, window=window, slow_commands=False)
        self.preserves_thinking = preserves_thinking
        self.seen: list[tuple[Message, ...]] = []
        self.said: list[Turn] = []
        self._store = store

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        self.said.append(self._answer(messages))
        return self.said[-1]

    def _answer(self, messages: Sequence[Message]) -> Turn:
        self.seen.append(tuple(messages))
        number = len(self.seen)
        thought = " ".join(random.Random(number).choices(WORDS, k=160))
        if number % 35 == 0:
            hint = Hint(id=number, author="maintainer", text="Look at <|im_end|> & rounding.")
            self._store.noted.setdefault("r1", []).append(hint)
        size = sum(len(m.content) + len(m.reasoning) + 100 for m in messages)
        usage = Usage(prompt_tokens=size // CHARS_PER_TOKEN, completion_tokens=300)
        if number % WITHOUT_CALL == 0:
            finish = "length" if number % (2 * WITHOUT_CALL) else "stop"
            said = Turn(content="I wonder.", reasoning=thought, usage=usage)
            return said.model_copy(update={"finish_reason": finish})
        results = sum(m.role == "tool" for m in messages)
        name, arguments = self.call(results)
        if results in REPEATED:
            name, arguments = "bash", {"command": "ls shop"}
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        calls = (ToolCall(id=f"functions.{name}:{results}", name=name, arguments=text),)
        return Turn(reasoning=thought, content="Next.", tool_calls=calls, usage=usage)


def shell(command: str, files: Mapping[str, str]) -> tuple[int, str]:
    """Output as long as that of real commands."""
    if "pytest" in command:
        return 1, "E  AssertionError: assert 0.0 == 90"
    rng = random.Random(command)
    lines = (f"{n}: {' '.join(rng.choices(WORDS, k=8))} {{}}" for n in range(95))
    return len(command) % 3, "\n".join(lines)


async def long_run(preserves_thinking: bool, steps: int, window: int) -> LongRun:
    """So many tool calls in the real loop, with cuts, nudges, hints and malformed calls."""
    store = MemoryStore()
    model = TalkativeModel(preserves_thinking, store, steps, window)
    await run(model, store, a_task(calls=steps + 10), MemorySandbox(FILES, shell))
    events = [entry.event for entry in store.events("r1")]
    types = [event.type for event in events]
    calls = [call for event in events for call in getattr(event, "tool_calls", ())]
    return LongRun(
        prompts=tuple(model.seen),
        answers=tuple(model.said),
        cuts=types.count("context_cut"),
        nudges=types.count("drift_noticed"),
        hints=sum(getattr(event, "source", "") == "human" for event in events),
        malformed=sum(not _is_json(call.arguments) for call in calls),
    )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def requests(profile: Profile, prompts: Sequence[Sequence[Message]]) -> Iterator[dict[str, Any]]:
    """The request of each prompt, decoded as a server decodes it."""
    conversation, tools = Conversation(profile), tool_specs()
    known, messages = b"", []
    for prompt in prompts:
        encoded = bytes(conversation.encode(prompt))
        if known and encoded.startswith(known + b","):
            messages = [*messages, *json.loads(b"[" + encoded[len(known) + 1 :] + b"]")]
        else:
            messages = json.loads(b"[" + encoded + b"]")
        known = encoded
        frame = body_head(profile.model, tools) + body_tail(profile, profile.max_output_tokens)
        yield {**json.loads(frame), "messages": messages}


@dataclass(frozen=True)
class Sameness:
    """How much of a run's prompts the server had seen before."""

    turns: int
    broken: tuple[int, ...]
    """Turns whose prompt does not go on from the one before."""
    cached: float
    """Share of all prompts' characters that the server had computed: the prompt before and what
    the model wrote after it."""


def sameness(prompts: Sequence[str], answers: Sequence[Turn], template: Template) -> Sameness:
    """Compare each prompt with the one before."""
    head = stub(template)
    broken, cached, total = [], 0, len(prompts[0])
    pairs = zip(pairwise(prompts), answers, strict=False)
    for number, ((before, now), answer) in enumerate(pairs, start=2):
        total += len(now)
        cached += _common(before + _written(answer, template), now)
        if not now.startswith(before.removesuffix(head)):
            broken.append(number)
    return Sameness(turns=len(prompts), broken=tuple(broken), cached=cached / total)


def _written(answer: Turn, template: Template) -> str:
    calls = tuple(Call(c.name, c.arguments, raw_id=c.id) for c in answer.tool_calls)
    return Say(answer.reasoning, answer.content, calls).tokens(0, template)


def _common(one: str, other: str) -> int:
    """Length of the longest common beginning."""
    if other.startswith(one):
        return len(one)
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
