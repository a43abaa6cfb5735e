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


def _detectors(root: str) -> tuple[Any, dict[str, tuple[Any, Any]]]:
    sys.path.insert(0, root)
    for name in PARTS:
        module = types.ModuleType(name)
        module.__path__ = [f"{root}/{name.replace('.', '/')}"]
        sys.modules[name] = module
    transformers = types.ModuleType("transformers")
    transformers.PreTrainedTokenizerBase = object  # type: ignore[attr-defined]
    sys.modules["transformers"] = transformers
    grammar = types.ModuleType("xgrammar")
    grammar.StructuralTag = object  # type: ignore[attr-defined]
    sys.modules["xgrammar"] = grammar
    tags = types.ModuleType("sglang.srt.function_call.kimik3_structural_tag")
    tags.get_kimik3_auto_tool_call_structural_tag = None  # type: ignore[attr-defined]
    tags.get_kimik3_structural_tag = None  # type: ignore[attr-defined]
    sys.modules[tags.__name__] = tags
    from sglang.srt.entrypoints.openai.protocol import Tool  # type: ignore[import-not-found]
    from sglang.srt.function_call.kimik2_detector import (  # type: ignore[import-not-found]
        KimiK2Detector,
    )
    from sglang.srt.function_call.kimik3_detector import (  # type: ignore[import-not-found]
        KimiK3Detector,
    )
    from sglang.srt.parser import reasoning_parser  # type: ignore[import-not-found]

    return Tool, {
        "kimi_k2": (KimiK2Detector, reasoning_parser.KimiK2Detector),
        "kimi_k3": (KimiK3Detector, reasoning_parser.KimiK3Detector),
    }


def main() -> None:
    """Answer all cases."""
    tool_type, detectors = _detectors(sys.argv[1])
    logging.disable(logging.CRITICAL)
    answers = []
    for case in json.load(sys.stdin):
        calls_type, reasoning_type = detectors[case["markup"]]
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
                text = (text or "") + held.reasoning_text
                rest = (rest or "") + held.normal_text
            said = calls.parse_streaming_increment(rest or "", tools)
            content = said.normal_text or ""
            if number == len(pieces) - 1 and case["markup"] == "kimi_k3":
                content += calls.finish(tools).normal_text
            steps.append([text or "", content, [_call(c) for c in said.calls]])
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
