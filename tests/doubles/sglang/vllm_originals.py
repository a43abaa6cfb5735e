"""Runs vLLM's own Kimi K2 parser: cases as JSON on the input, what it said on the output.

Not imported: it is started with the Python of another environment and the folder of the wheel's
files. Empty modules and plain records stand for what would need a GPU's packages.
"""

from __future__ import annotations

import json
import logging
import sys
import types
from typing import Any

PACKAGES = (
    "vllm",
    "vllm.parser",
    "vllm.parser.engine",
    "vllm.tool_parsers",
    "vllm.renderers",
    "vllm.entrypoints",
    "vllm.entrypoints.generate",
    "vllm.entrypoints.generate.base",
)
TOKENS = (
    "<think>",
    "</think>",
    "<|tool_calls_section_begin|>",
    "<|tool_calls_section_end|>",
    "<|tool_call_begin|>",
    "<|tool_call_end|>",
    "<|tool_call_argument_begin|>",
)
TEXT = 1_000
"""Token of a piece of plain text."""


class _Record:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __getattr__(self, name: str) -> Any:
        return None


class _Parser:
    def _initialize_history_tool_call_cnt(self, request: Any) -> None:
        """Ids are not compared."""


class _State:
    history_tool_call_cnt = 0
    tool_call_id_type = "kimi_k2"

    def __init__(self, **_: Any) -> None:
        """Nothing of it is needed."""


class _Tokenizer:
    all_special_ids: tuple[int, ...] = ()

    def get_vocab(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(TOKENS)}

    def encode(self, text: str, **_: Any) -> list[int]:
        return _ids(text)

    def decode(self, ids: list[int], **_: Any) -> str:
        return "".join(TOKENS[i] for i in ids if i < TEXT)


def _module(name: str, **members: Any) -> None:
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module


def _parser_type(root: str) -> Any:
    for name in PACKAGES:
        _module(name, __path__=[f"{root}/{name.replace('.', '/')}"])
    records = (
        *("DeltaFunctionCall", "DeltaMessage", "DeltaToolCall", "FunctionCall", "ToolCall"),
        "ExtractedToolCallInformation",
    )
    protocol = {name: type(name, (_Record,), {}) for name in records}
    _module("vllm.entrypoints.generate.base.protocol", **protocol)
    _module("vllm.logger", init_logger=logging.getLogger)
    _module("vllm.parser.abstract_parser", Parser=_Parser, StreamState=_State)
    _module(
        "vllm.renderers.chat_utils",
        get_tool_call_id_type=lambda *_: "kimi_k2",
        make_tool_call_id=lambda **_: "made",
    )
    _module(
        "vllm.tool_parsers.utils",
        coerce_to_schema_type=lambda value, *_: value,
        extract_types_from_schema=lambda *_: [],
        find_tool_name=lambda *_: None,
        find_tool_properties=lambda *_: {},
    )
    from vllm.parser.kimi_k2 import KimiK2Parser  # type: ignore[import-not-found]

    return KimiK2Parser


def _ids(text: str) -> list[int]:
    """Tokens of a piece: special ones, and one for each stretch of text between them."""
    found: list[int] = []
    while text:
        places = [(at, n) for n, token in enumerate(TOKENS) if (at := text.find(token)) != -1]
        at, number = min(places, default=(len(text), -1))
        found += [TEXT] * bool(at)
        if number == -1:
            break
        found.append(number)
        text = text[at + len(TOKENS[number]) :]
    return found


def main() -> None:
    """Answer all cases: the stream put together, and the whole answer at once."""
    parser_type = _parser_type(sys.argv[1])
    logging.disable(logging.CRITICAL)
    request = _Record(include_reasoning=True, tools=[_Record()], tool_choice="auto")
    answers = []
    for case in json.load(sys.stdin):
        parser = parser_type(_Tokenizer(), [])
        pieces = case["pieces"]
        reasoning, content, calls = "", "", {}
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            delta = parser.parse_delta(piece, _ids(piece), request, finished=last)
            if delta is None:
                continue
            reasoning += delta.reasoning or ""
            content += delta.content or ""
            for call in delta.tool_calls or ():
                known = calls.setdefault(call.index, ["", ""])
                function = call.function
                known[0] = known[0] or (function.name if function else "") or ""
                known[1] += (function.arguments if function else "") or ""
        answers.append([reasoning, content, [calls[i] for i in sorted(calls)]])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
