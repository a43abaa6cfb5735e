"""Faults of the stand-in: of the server, of the connection and of the model."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tests.doubles.sglang import detectors as k2
from tests.doubles.sglang import k3_detectors as k3
from tests.doubles.sglang.prompts import TEMPLATES, Template
from tests.doubles.sglang.turns import Call, Say

SERVER_FAULTS = ("429", "503", "500", "stream_error")
CONNECTION_FAULTS = ("reset", "reset_early", "stall")
MODEL_FAULTS = (
    "truncated_arguments",
    "bad_schema",
    "unknown_tool",
    "call_in_reasoning",
    "leaked_tokens",
    "bare_counter",
    "foreign_ids",
    "duplicate_ids",
    "empty",
    "length",
    "several_calls",
    "repetition",
    "near_repetition",
    "written_call",
    "tagged_call",
)
KINDS = (*SERVER_FAULTS, *CONNECTION_FAULTS, *MODEL_FAULTS)
PASSING = (
    *("429", "503", "500", "stream_error", "reset", "reset_early"),
    *("empty", "repetition", "near_repetition"),
)
"""Faults after which asking again gives the turn that was meant."""


@dataclass
class Chaos:
    """Chooses faults for a share of the requests, the same for the same seed."""

    seed: int = 0
    share: float = 0.0
    kinds: Sequence[str] = PASSING
    done: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def next(self) -> str:
        """The fault of the next request; empty for none."""
        if self._rng.random() >= self.share:
            return ""
        kind = self._rng.choice(list(self.kinds))
        self.done[kind] = self.done.get(kind, 0) + 1
        return kind


def altered(
    say: Say, fault: str, calls_before: int, template: Template = TEMPLATES["k2-thinking"]
) -> Say:
    """The turn as a model with that fault writes it."""
    if fault == "call_in_reasoning":
        return _call_in_reasoning(say, calls_before, template)
    if fault == "length":
        return _length(say, calls_before, template)
    change = _ALTERATIONS.get(fault)
    return change(say, calls_before) if change else say


def _truncated_arguments(say: Say, _: int) -> Say:
    calls = tuple(replace(c, arguments=c.arguments[: len(c.arguments) // 2 + 1]) for c in say.calls)
    return replace(say, calls=calls)


def _bad_schema(say: Say, _: int) -> Say:
    return replace(say, calls=tuple(replace(c, arguments='{"no_such_key":1}') for c in say.calls))


def _unknown_tool(say: Say, _: int) -> Say:
    return replace(say, calls=tuple(replace(c, name="no_such_tool") for c in say.calls))


def _call_in_reasoning(say: Say, before: int, template: Template) -> Say:
    bare = replace(say, reasoning="", content="")
    if template.markup == "kimi_k3":
        section = k3.written([(call.name, call.arguments) for call in say.calls])
        end = replace(say, reasoning="", calls=()).tokens(before, template)
        return replace(say, raw=f"{say.reasoning}{section}{end}")
    head = "" if template.opens_thinking else k2.THINK_BEGIN
    section = bare.tokens(before, template).removeprefix(head + k2.THINK_END)
    return replace(say, raw=f"{head}{say.reasoning}{section}{k2.THINK_END}{say.content}")


def _bare_counter(say: Say, before: int) -> Say:
    calls = tuple(replace(c, raw_id=str(before + i)) for i, c in enumerate(say.calls))
    return replace(say, calls=calls)


def _length(say: Say, before: int, template: Template) -> Say:
    text = say.tokens(before, template)
    # Within the arguments of the last call, if there is one.
    begin = k2.ARGUMENT_BEGIN if template.markup == "kimi_k2" else f"{k3.OPEN}argument"
    end = text.rfind(begin) + len(begin) + 5
    return replace(say, raw=text[: end if say.calls else len(text) // 2], finish="length")


def _several_calls(say: Say, _: int) -> Say:
    return replace(say, calls=(*say.calls, *say.calls[:1]))


def _repetition(say: Say, _: int) -> Say:
    return Say(reasoning=say.reasoning + " I should check this again." * 2_000)


def _near_repetition(say: Say, _: int) -> Say:
    rng = random.Random(3)
    parts = (
        ("Wait,", "Hmm,", "Actually,", "But then,"),
        ("the parser", "this function", "the tokenizer", "the loop"),
        ("handles", "skips", "reads", "drops"),
        ("nested quotes", "the quoted part", "escaped quotes"),
        ("so I check it again.", "so I look once more.", "which may be the problem."),
    )
    said = (" ".join(rng.choice(part) for part in parts) for _ in range(1_000))
    return Say(reasoning=f"{say.reasoning} {' '.join(said)}")


def _written_call(say: Say, _: int) -> Say:
    blocks = "\n".join(f"```json\n{_as_json(c)}\n```" for c in say.calls)
    return replace(say, content=f"{say.content}\n{blocks}\nDone.", calls=())


def _tagged_call(say: Say, _: int) -> Say:
    blocks = "\n".join(f"<tool_call>\n{_as_json(c)}\n</tool_call>" for c in say.calls)
    return replace(say, content=f"{say.content}{blocks}", calls=())


def _as_json(call: Call) -> str:
    return f'{{"name": "{call.name}", "arguments": {call.arguments}}}'


_ALTERATIONS: dict[str, Callable[[Say, int], Say]] = {
    "truncated_arguments": _truncated_arguments,
    "bad_schema": _bad_schema,
    "unknown_tool": _unknown_tool,
    "bare_counter": _bare_counter,
    "empty": lambda say, _: Say(reasoning=say.reasoning),
    "several_calls": _several_calls,
    "repetition": _repetition,
    "near_repetition": _near_repetition,
    "written_call": _written_call,
    "tagged_call": _tagged_call,
}
