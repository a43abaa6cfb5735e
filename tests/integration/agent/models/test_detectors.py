"""The stand-in's detectors against SGLang's and vLLM's own, on generated texts.

Needs the files of the `sglang` package (some 40 MB, without what it depends on) and a few small
packages; `PATCHWRIGHT_CHECK_DETECTORS=1` lets the test fetch them once. vLLM's wheel is large:
`make check-detectors VLLM=folder` names one that is unpacked.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.sglang import detectors as k2
from tests.doubles.sglang import k3_detectors as k3
from tests.doubles.sglang import originals, vllm_originals
from tests.doubles.sglang.answering import Markup, Parsing, Said, cut
from tests.doubles.sglang.detectors import CallPiece
from tests.doubles.sglang.optional import Unavailable, environment, unpacked
from tests.doubles.sglang.vllm_parsing import VllmParsing

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


K3_PARTS = (
    "<|open|>think<|sep|>", "<|close|>think<|sep|>", "<|open|>response<|sep|>", "I think. ", "<",
    "<|close|>response<|sep|>", "<|open|>tools<|sep|>", "<|close|>tools<|sep|>", "a <| b. ", "\n",
    "<|close|>message<|sep|>", "<|open|>", "<|close|>", "<|close|>resp", "<|open|>tools", "<|sep|>",
    '<|open|>call tool="bash" index="1"<|sep|>', "<|close|>call<|sep|>", "<|close|>argument<|sep|>",
    '<|open|>argument key="command" type="string"<|sep|>', "ls -l", "<|end_of_msg|>", "",
    '<|open|>argument key="n" type="number"<|sep|>', "3", "<|open|>argument", "<|open|>call ",
)  # fmt: skip


def k3_text_of(rng: random.Random) -> str:
    """A raw answer of K3: nearly right in two of three cases, else any parts in any order."""
    if rng.random() < 0.33:
        return "".join(rng.choice(K3_PARTS) for _ in range(rng.randint(1, 14)))
    arguments = ['{"command": "ls & \\"x\\""}', '{"n": 1.5, "b": true, "z": null}', "{}", "[1]"]
    names = ["bash", 'a"b&c', "x.y-z"]
    calls = [(rng.choice(names), rng.choice(arguments)) for _ in range(rng.randint(0, 3))]
    parts = [
        rng.choice(["", "", "<|open|>think<|sep|>"]),
        rng.choice(["Let me see. ", "", "x < y"]),
        rng.choice(["<|close|>think<|sep|>", "<|close|>think<|sep|>", ""]),
        rng.choice(["<|open|>response<|sep|>Now. <|close|>response<|sep|>", "", "Plain. "]),
        k3.written(calls) if calls else "",
        rng.choice(["<|close|>message<|sep|>", "", "After."]),
    ]
    text = "".join(parts)
    return text[: rng.randint(1, len(text))] if text and rng.random() < 0.25 else text


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


def case(number: int, markup: Markup) -> dict[str, Any]:
    rng = random.Random(number)
    text = text_of(rng) if markup == "kimi_k2" else k3_text_of(rng)
    if rng.random() < 0.5:
        pieces = cut(text, 8, str(number))
    else:
        ends = sorted(rng.randint(0, len(text)) for _ in range(rng.randint(0, 12)))
        pieces = [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]
    functions = FUNCTIONS[: rng.choice([1, 2, 2])]
    inside = rng.random() < 0.5
    return {"pieces": pieces, "inside": inside, "functions": functions, "markup": markup}


def ours(given: dict[str, Any]) -> dict[str, Any]:
    parsing = Parsing(given["markup"], given["markup"], given["functions"])
    assert parsing.thinking is not None
    parsing.thinking.inside = given["inside"]
    last = len(given["pieces"]) - 1
    # What K2's server adds to the last call's arguments is no detector's doing.
    step = parsing.parse if given["markup"] == "kimi_k2" else parsing.feed
    steps = [
        _step(step(piece, last=number == last)) for number, piece in enumerate(given["pieces"])
    ]
    whole = "".join(given["pieces"])
    if given["markup"] == "kimi_k2":
        reasoning, rest = k2.parse_reasoning(whole, given["inside"])
        content, calls = k2.parse_calls(rest, given["functions"])
    else:
        reasoning, rest = k3.parse_reasoning(whole, given["inside"])
        content, calls = k3.parse_calls(rest)
    return {"steps": steps, "whole": [reasoning, content, [_call(c) for c in calls]]}


def _step(said: Said) -> list[Any]:
    return [said.reasoning, said.content, [_call(c) for c in said.calls]]


def _call(piece: CallPiece) -> list[Any]:
    return [piece.index, piece.name, piece.arguments]


@pytest.mark.parametrize("markup", ["kimi_k2", "kimi_k3"])
def test_the_stand_in_parses_as_sglang_does(markup: Markup) -> None:
    if not os.environ.get("PATCHWRIGHT_CHECK_DETECTORS"):
        pytest.skip("fetches SGLang's files: set PATCHWRIGHT_CHECK_DETECTORS=1 to run it")
    try:
        python = environment("detectors-venv", NEEDED)
        files = unpacked("detectors-sglang", SGLANG, python)
    except Unavailable as error:
        pytest.skip(f"SGLang's own detectors cannot be had here: {error}")
    cases = [case(number, markup) for number in range(CASES)]
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


def test_the_stand_in_parses_as_vllm_does() -> None:
    folder = os.environ.get("PATCHWRIGHT_CHECK_VLLM")
    if not folder:
        pytest.skip("needs vLLM's files: make check-detectors VLLM=folder")
    try:
        python = environment("detectors-venv", NEEDED)
    except Unavailable as error:
        pytest.skip(f"what vLLM's parser imports cannot be had here: {error}")
    texts = ["".join(case(number, "kimi_k2")["pieces"]) for number in range(CASES)]
    # A tokenizer never cuts a special token, and vLLM's parser counts on that.
    cases = [{"pieces": cut(text, 8, str(number))} for number, text in enumerate(texts)]
    done = subprocess.run(
        [str(python), str(Path(vllm_originals.__file__)), folder],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    mine = [as_vllm(given["pieces"]) for given in cases]
    differing = [
        (given["pieces"], theirs, ours)
        for given, theirs, ours in zip(cases, json.loads(done.stdout), mine, strict=True)
        if theirs != ours
    ]
    assert not differing, f"{len(differing)} of {CASES} differ; the first: {differing[0]}"
    assert sum(len(calls) for _, _, calls in mine) > 50


def as_vllm(pieces: list[str]) -> list[Any]:
    """Reasoning, content and calls of the whole stream."""
    parsing = VllmParsing()
    reasoning, content = "", ""
    calls: dict[int, list[str]] = {}
    for number, piece in enumerate(pieces):
        said = parsing.feed(piece, last=number == len(pieces) - 1)
        reasoning, content = reasoning + said.reasoning, content + said.content
        for found in said.calls:
            known = calls.setdefault(found.index, ["", ""])
            known[0] = known[0] or found.name or ""
            known[1] += found.arguments
    return [reasoning, content, [calls[index] for index in sorted(calls)]]
