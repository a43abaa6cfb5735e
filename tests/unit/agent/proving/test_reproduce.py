"""A change without a test: what shows the bug is written from the issue, and the gate decides."""

from __future__ import annotations

import json
from collections.abc import Sequence

from agent.errors import ModelRefused
from agent.journal.events import Recorded, ReproductionDeclared, ToolFinished
from agent.model import Message, Model, ToolCall, ToolSpec, Turn
from agent.models.offline.model import OfflineModel
from agent.proving.reproduce import TOOLS, WriteReproduction, write_reproduction
from agent.task import Budget, Task
from sandbox.protocol import OpenSandbox
from tests.doubles import gate_case as case
from tests.support.agent.loops import Speaking
from tests.support.agent.proofs import proof

FIX = {"shop/stats.py": case.FIXED}
TASK = Task(
    run_id="prove-1",
    repository="shop",
    base_commit="b" * 40,
    issue=case.ISSUE,
    test_command="python3 -m pytest",
    budget=Budget(calls=40),
)


def writer(model: Model, events: list[Recorded] | None = None) -> WriteReproduction:
    async def write(open_base: OpenSandbox) -> ReproductionDeclared | None:
        noted = events.append if events is not None else None
        return await write_reproduction(TASK, model, open_base, noted)

    return write


def calling(name: str, number: int, **arguments: object) -> Turn:
    call = ToolCall(id=f"functions.{name}:{number}", name=name, arguments=json.dumps(arguments))
    return Turn(reasoning="-", tool_calls=(call,), finish_reason="tool_calls")


def declaring(test: str, words: str, number: int = 0) -> Turn:
    path = "tests/test_reported.py"
    return calling(
        "reproduction",
        number,
        command=f"python3 -m pytest -q {path}",
        files={path: test},
        expected_failure=words,
    )


async def test_a_fix_without_a_test_is_proven_by_what_the_model_writes_from_the_issue() -> None:
    found = await proof(FIX, write=writer(OfflineModel()))
    assert found.verdict == "proven" and found.shows == "a bug", found.model_dump_json(indent=1)
    assert found.written is not None and "650" in " ".join(found.written.files.values())
    # What shows nothing of the bug is no fix of it.
    other = case.STATS.replace("max(cents(row) for row in rows)", "max([cents(r) for r in rows])")
    found = await proof({"shop/stats.py": other}, write=writer(OfflineModel()))
    assert found.verdict == "unproven" and found.shows == "" and found.written is not None
    assert "With the patch the reproduction passes in 0 of" in " ".join(found.missing)


async def test_the_model_sees_the_base_and_only_looks_and_declares() -> None:
    class Watching(Speaking):
        async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
            assert {tool.name for tool in tools} == TOOLS
            return await super().turn(messages, tools)

    model, events = (
        Watching(
            calling("edit", 0, path="shop/stats.py", old="rows[1:]", new="rows"),
            calling("bash", 1, command="cat shop/stats.py"),
            declaring(case.REPRODUCTION_TEST, "assert 400 == 650", 2),
        ),
        list[Recorded](),
    )
    found = await proof(FIX, write=writer(model, events))
    assert found.verdict == "proven", found.model_dump_json(indent=1)
    edit, looked, declared = [e.event for e in events if isinstance(e.event, ToolFinished)]
    assert (edit.status, declared.status) == ("refused", "ok")
    assert "rows[1:]" in looked.output
    told = "\n".join(message.content for message in model.seen)
    assert case.ISSUE.title in told and "for row in rows:" not in told


async def test_a_reproduction_that_only_looks_at_the_text_of_the_code_shows_nothing() -> None:
    peeking = (
        "from pathlib import Path\n\n\ndef test_text():\n"
        "    assert 'rows[1:]' not in Path('shop/stats.py').read_text()\n"
    )
    found = await proof(FIX, write=writer(Speaking(declaring(peeking, "assert 'rows[1:]' not in"))))
    assert found.verdict == "unproven" and found.shows == "", found.model_dump_json(indent=1)
    assert "reads program text" in found.missing[0]


async def test_where_nothing_is_written_that_is_what_is_missing() -> None:
    silent = Speaking(Turn(content="The issue does not say what should happen."))
    found = await proof(FIX, write=writer(silent))
    assert found.verdict == "unproven" and found.written is None
    assert "the model found no reproduction" in found.missing[0]

    class Away(Speaking):
        async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
            raise ModelRefused("The model's server refused the key.")

    found = await proof(FIX, write=writer(Away(Turn())))
    assert "no reproduction could be written: The model's server refused" in found.missing[0]
