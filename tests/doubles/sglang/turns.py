"""What the stand-in's model says: turns as data, written in its model's raw tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.doubles.sglang import detectors as k2
from tests.doubles.sglang import k3_detectors as k3
from tests.doubles.sglang.prompts import TEMPLATES, Template

Request = Mapping[str, Any]
"""A chat-completions request, decoded."""


@dataclass(frozen=True)
class Call:
    """One tool call; `raw_id` is written in place of `functions.NAME:INDEX`."""

    name: str
    arguments: str = "{}"
    raw_id: str | None = None

    @staticmethod
    def of(name: str, **arguments: Any) -> Call:
        return Call(name, json.dumps(arguments, ensure_ascii=False))


@dataclass(frozen=True)
class Say:
    """One turn of the model; `raw` overrides everything with literal tokens."""

    reasoning: str = ""
    content: str = ""
    calls: tuple[Call, ...] = ()
    finish: str = "stop"
    raw: str | None = None
    fault: str = ""
    """A fault of the server or the model for the first time this turn is asked for."""

    def tokens(self, calls_before: int, template: Template = TEMPLATES["k2-thinking"]) -> str:
        """The raw text that the model writes, after a prompt of that template."""
        if self.raw is not None:
            return self.raw
        if template.markup == "kimi_k3":
            return self._k3_tokens()
        begin = "" if template.opens_thinking else k2.THINK_BEGIN
        text = f"{begin}{self.reasoning}{k2.THINK_END}{self.content}"
        if not self.calls:
            return text
        written = "".join(
            f"{k2.CALL_BEGIN}{_raw_id(call, calls_before + i)}{k2.ARGUMENT_BEGIN}"
            f"{call.arguments}{k2.CALL_END}"
            for i, call in enumerate(self.calls)
        )
        return f"{text}{k2.SECTION_BEGIN}{written}{k2.SECTION_END}"

    def _k3_tokens(self) -> str:
        text = f"{self.reasoning}{k3.THINK_CLOSE}"
        text += f"{k3.RESPONSE_OPEN}{self.content}{k3.RESPONSE_CLOSE}"
        if self.calls:
            text += k3.written([(call.name, call.arguments) for call in self.calls])
        return text + k3.MESSAGE_CLOSE


def _raw_id(call: Call, number: int) -> str:
    return call.raw_id if call.raw_id is not None else f"functions.{call.name}:{number}"


Policy = Callable[[Request], Say]
"""Decides a turn from the request alone, so that an attempt asked again gets the same."""


@dataclass(frozen=True)
class Script:
    """Turns in order; a conversation's next one is told by its number of assistant messages.

    `when`: only for conversations that hold this text; the first script that fits is taken.
    """

    turns: tuple[Say, ...]
    when: str = ""

    def turn(self, request: Request) -> Say:
        roles = [m.get("role") for m in request["messages"]]
        at = roles.count("assistant")
        return self.turns[min(at, len(self.turns) - 1)]


@dataclass(frozen=True)
class Scripts:
    """Several scripts as one policy."""

    scripts: tuple[Script, ...] = field(default=())

    def __call__(self, request: Request) -> Say:
        text = json.dumps(request["messages"], ensure_ascii=False)
        for script in self.scripts:
            if script.when in text:
                return script.turn(request)
        return Say(content="No script fits this conversation.")


def scripted(*turns: Say) -> Policy:
    """One script for every conversation."""
    return Scripts((Script(turns),))


def load(path: Path) -> Policy:
    """Scripts from a JSON or YAML file.

    Either a list of turns or `{"scripts": [{"when": TEXT, "turns": [...]}]}`. A turn is
    `{reasoning, content, calls: [{name, arguments, raw_id}], finish, raw, fault}`; arguments are
    an object, or a string that is written as it stands.
    """
    data = yaml.safe_load(path.read_text())
    scripts = data["scripts"] if isinstance(data, dict) else [{"turns": data}]
    return Scripts(
        tuple(
            Script(turns=tuple(_say(turn) for turn in script["turns"]), when=script.get("when", ""))
            for script in scripts
        )
    )


def _say(turn: Mapping[str, Any]) -> Say:
    fields = dict(turn)
    calls: Sequence[Mapping[str, Any]] = fields.pop("calls", [])
    return Say(**fields, calls=tuple(_call(call) for call in calls))


def _call(call: Mapping[str, Any]) -> Call:
    arguments = call.get("arguments", {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return Call(name=call["name"], arguments=text, raw_id=call.get("raw_id"))
