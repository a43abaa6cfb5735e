"""Prefixes of 300 turns as the models' real chat templates render them.

`make check-templates TEMPLATES=folder`: the folder has the templates as Moonshot publishes them,
each named for its profile (`k2.6.jinja`). They are not part of this project.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox
import pytest

from agent.models.profiles import PROFILES
from tests.doubles.sglang.prompts import TEMPLATES, render, stub
from tests.support.agent.long_conversation import LongRun, long_run, requests, sameness

STEPS = 300
WINDOW = 262_144
FOLDER = os.environ.get("PATCHWRIGHT_CHECK_TEMPLATES", "")
pytestmark = pytest.mark.skipif(not FOLDER, reason="make check-templates TEMPLATES=folder")


@pytest.fixture(scope="module")
def runs() -> dict[bool, LongRun]:
    return {kept: asyncio.run(long_run(kept, STEPS, WINDOW)) for kept in (False, True)}


def compiled(name: str) -> jinja2.Template | None:
    """The template, in the environment that transformers gives it; None if it is not there."""
    file = Path(FOLDER) / f"{name}.jinja"
    if not file.exists():
        return None
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols]
    )

    def tojson(value: Any, ensure_ascii: bool = False, **more: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **more)

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(file.read_text())


def as_served(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as SGLang and vLLM hand it to the template: arguments are objects."""
    calls = [
        {**c, "function": {**c["function"], "arguments": json.loads(c["function"]["arguments"])}}
        for c in message.get("tool_calls") or []
    ]
    return {**message, "tool_calls": calls} if calls else dict(message)


def rendered(template: jinja2.Template, body: Mapping[str, Any], messages: list[Any]) -> str:
    switches = dict(body.get("chat_template_kwargs") or {})
    return template.render(
        messages=messages, tools=body["tools"], add_generation_prompt=True, **switches
    )


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_prompts_go_on_from_each_other(
    name: str, runs: dict[bool, LongRun], capsys: pytest.CaptureFixture[str]
) -> None:
    template = compiled(name)
    run = runs[PROFILES[name].reasoning_history == "all"]
    prompts: list[str] = []
    served: dict[str, dict[str, Any]] = {}
    for body in requests(PROFILES[name], run.prompts):
        if template is None:
            prompts.append(render(body["messages"], body["tools"], TEMPLATES[name], body))
            continue
        keys = [json.dumps(m) for m in body["messages"]]
        served.update({k: as_served(m) for k, m in zip(keys, body["messages"], strict=True)})
        prompts.append(rendered(template, body, [served[k] for k in keys]))
    found = sameness(prompts, run.answers, TEMPLATES[name])
    with capsys.disabled():
        source = f"{name}.jinja" if template else "re-created template"
        print(
            f"\n{name}: {source}, {found.turns} turns, {run.cuts} cuts, {run.nudges} nudges, "
            f"{run.hints} hints, {run.malformed} malformed calls, longest prompt "
            f"{max(map(len, prompts)):,} characters, {len(found.broken)} prefixes broken, "
            f"{found.cached:.4f} of characters cached"
        )
    assert found.turns >= STEPS
    assert len(found.broken) == run.cuts
    assert found.cached >= 0.99
    assert prompts[0].endswith(stub(TEMPLATES[name]))


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_the_stand_ins_template_says_the_same(name: str, runs: dict[bool, LongRun]) -> None:
    template = compiled(name)
    if template is None:
        pytest.skip(f"there is no {name}.jinja")
    for body in list(requests(PROFILES[name], runs[True].prompts))[:60:6]:
        tools = body["tools"] if name == "k3" else []
        # The template writes arguments with spaces after commas, as they stand in the journal.
        messages = [as_served(m) for m in body["messages"]]
        theirs = rendered(template, {**body, "tools": tools}, messages)
        assert render(body["messages"], tools, TEMPLATES[name], body) == theirs
