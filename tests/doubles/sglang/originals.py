"""Runs SGLang's own detectors: cases as JSON on the input, what they said on the output.

Not imported: it is started with the Python of another environment and the folder of the package's
files. Empty modules stand for the parts of the package that would need a GPU.
"""

from __future__ import annotations

import json
import logging
import sys
import types
from typing import Any

PARTS = (
    "sglang",
    "sglang.srt",
    "sglang.srt.function_call",
    "sglang.srt.parser",
    "sglang.srt.entrypoints",
    "sglang.srt.entrypoints.openai",
    "sglang.srt.utils",
)


def _detectors(root: str) -> tuple[Any, Any, Any]:
    sys.path.insert(0, root)
    for name in PARTS:
        module = types.ModuleType(name)
        module.__path__ = [f"{root}/{name.replace('.', '/')}"]
        sys.modules[name] = module
    transformers = types.ModuleType("transformers")
    transformers.PreTrainedTokenizerBase = object  # type: ignore[attr-defined]
    sys.modules["transformers"] = transformers
    from sglang.srt.entrypoints.openai.protocol import Tool  # type: ignore[import-not-found]
    from sglang.srt.function_call.kimik2_detector import (  # type: ignore[import-not-found]
        KimiK2Detector,
    )
    from sglang.srt.parser.reasoning_parser import (  # type: ignore[import-not-found]
        KimiK2Detector as ReasoningDetector,
    )

    return Tool, KimiK2Detector, ReasoningDetector


def main() -> None:
    """Answer all cases."""
    tool_type, calls_type, reasoning_type = _detectors(sys.argv[1])
    logging.disable(logging.CRITICAL)
    answers = []
    for case in json.load(sys.stdin):
        tools = [tool_type(type="function", function=f) for f in case["functions"]]
        reasoning = reasoning_type(force_reasoning=case["inside"])
        calls = calls_type()
        steps = []
        pieces = case["pieces"]
        for number, piece in enumerate(pieces):
            thought = reasoning.parse_streaming_increment(piece)
            text, rest = thought.reasoning_text, thought.normal_text
            if number == len(pieces) - 1:
                held = reasoning.finish()
                text, rest = text + held.reasoning_text, rest + held.normal_text
            said = calls.parse_streaming_increment(rest, tools)
            steps.append([text, said.normal_text, [_call(c) for c in said.calls]])
        whole = reasoning_type(force_reasoning=case["inside"], stream_reasoning=False)
        thought = whole.detect_and_parse("".join(pieces))
        said = calls_type().detect_and_parse(thought.normal_text, tools)
        answers.append(
            {
                "steps": steps,
                "whole": [
                    thought.reasoning_text,
                    said.normal_text,
                    [_call(c) for c in said.calls],
                ],
            }
        )
    json.dump(answers, sys.stdout)


def _call(call: Any) -> list[Any]:
    return [call.tool_index, call.name, call.parameters]


if __name__ == "__main__":
    main()
