"""The stand-in's detectors against SGLang's own, on generated texts.

Needs the files of the `sglang` package (some 40 MB, without what it depends on) and a few small
packages; `PATCHWRIGHT_CHECK_DETECTORS=1` lets the test fetch them once.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.sglang import originals
from tests.doubles.sglang.answering import Parsing, Said, cut
from tests.doubles.sglang.detectors import CallPiece, parse_calls, parse_reasoning
from tests.doubles.sglang.optional import Unavailable, environment, unpacked

NEEDED = (
    "pydantic",
    "openai",
    "msgspec",
    "orjson",
    "partial-json-parser",
    "numpy",
    "psutil",
    "pybase64",
    "requests",
    "ipython",
    "tqdm",
    "regex",
)
SGLANG = "sglang==0.5.23"
CASES = 200
FUNCTIONS = [
    {
        "name": "bash",
        "description": "",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string"}, "timeout_s": {"type": "integer"}},
        },
    },
    {
        "name": "view",
        "description": "",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
    },
]
PARTS = (
    "<think>", "</think>", "I think. ", "A < b, a <| b |> c. ", "\n", "The result: ",
    "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>",
    "<|tool_call_end|>", "<|tool_call_argument_begin|>", "<|tool_call_", "<|tool_calls_section_",
    "functions.bash:0", "functions.view:1", "bash:2", "3", "call_abc", "functions.a.b-c:4", "<thi",
    '{"command": "ls"}', '{"path": "a.py"}', '{"command": "echo <|tool_call_end|>"}', '{"comm',
    "[]", " ", "", "{}", '{"x": 1}',
)  # fmt: skip


def call(raw_id: str, arguments: str) -> str:
    return f"<|tool_call_begin|>{raw_id}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"


def text_of(rng: random.Random) -> str:
    """A raw answer: nearly right in two of three cases, else any parts in any order."""
    if rng.random() < 0.33:
        return "".join(rng.choice(PARTS) for _ in range(rng.randint(1, 14)))
    ids = ["functions.bash:0", "view:1", "2", "", "call_x", "functions.x.y-z:7"]
    arguments = ['{"command": "ls -l"}', '{"path": "é.py"}', "{}", '{"command": "a\nb"', '{"z": 1}']
    calls = "".join(call(rng.choice(ids), rng.choice(arguments)) for _ in range(rng.randint(0, 3)))
    parts = [
        rng.choice(["<think>", "", "<think>"]),
        rng.choice(["Let me see. ", "", "x < y"]),
        rng.choice(["</think>", "</think>", ""]),
        rng.choice(["Now. ", "", "\n"]),
        rng.choice(["<|tool_calls_section_begin|>", "<|tool_calls_section_begin|>", ""]),
        calls,
        rng.choice(["<|tool_calls_section_end|>", "<|tool_calls_section_end|>", ""]),
        rng.choice(["", "", "After.", "</think>Late."]),
    ]
    text = "".join(parts)
    return text[: rng.randint(1, len(text))] if text and rng.random() < 0.2 else text


def case(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    text = text_of(rng)
    if rng.random() < 0.5:
        pieces = cut(text, 8, str(number))
    else:
        ends = sorted(rng.randint(0, len(text)) for _ in range(rng.randint(0, 12)))
        pieces = [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    functions = FUNCTIONS[: rng.choice([1, 2, 2])]
    return {"pieces": pieces, "inside": rng.random() < 0.5, "functions": functions}


def ours(given: dict[str, Any]) -> dict[str, Any]:
    parsing = Parsing(calls=True, reasoning=True, functions=given["functions"])
    assert parsing.thinking is not None
    parsing.thinking.inside = given["inside"]
    last = len(given["pieces"]) - 1
    steps = [
        _step(parsing.parse(piece, last=number == last))
        for number, piece in enumerate(given["pieces"])
    ]
    reasoning, rest = parse_reasoning("".join(given["pieces"]), given["inside"])
    content, calls = parse_calls(rest, given["functions"])
    return {"steps": steps, "whole": [reasoning, content, [_call(c) for c in calls]]}


def _step(said: Said) -> list[Any]:
    return [said.reasoning, said.content, [_call(c) for c in said.calls]]


def _call(piece: CallPiece) -> list[Any]:
    return [piece.index, piece.name, piece.arguments]


def test_the_stand_in_parses_as_sglang_does() -> None:
    if not os.environ.get("PATCHWRIGHT_CHECK_DETECTORS"):
        pytest.skip("fetches SGLang's files: set PATCHWRIGHT_CHECK_DETECTORS=1 to run it")
    try:
        python = environment("detectors-venv", NEEDED)
        files = unpacked("detectors-sglang", SGLANG, python)
    except Unavailable as error:
        pytest.skip(f"SGLang's own detectors cannot be had here: {error}")
    cases = [case(number) for number in range(CASES)]
    done = subprocess.run(
        [str(python), str(Path(originals.__file__)), str(files)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    differing = [
        (number, given["pieces"], theirs, mine)
        for number, (given, theirs) in enumerate(zip(cases, json.loads(done.stdout), strict=True))
        if theirs != (mine := ours(given))
    ]
    assert not differing, f"{len(differing)} of {CASES} differ; the first: {differing[0]}"
    calls = sum(len(step[2]) for given in cases for step in ours(given)["steps"])
    assert calls > 100
