"""A run that asks, in the durable engine: its place is free while it waits, once is once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from agent.journal.events import QuestionAnswered, QuestionAsked
from agent.journal.store import Answer
from agent.model import Message, ToolCall, ToolSpec, Turn
from app.server.workflow_engine import running_engine
from app.storage.questions import Questions
from tests.doubles.seeded_policy import SeededModel
from tests.support.runs.lifecycle import check_journal, ended, start, until
from tests.support.runs.world import RunWorld

QUESTION = {"question": "Which?", "options": ["This", "That"], "default": 1}


class Asking(SeededModel):
    """Asks after some calls, and then goes on as ever."""

    def __init__(self, seed: int, steps: int, seen: list[list[Message]]) -> None:
        super().__init__(seed, steps, slow_commands=False)
        self._seen = seen

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        self._seen.append(list(messages))
        calls = [call.name for message in messages for call in message.tool_calls]
        if len(messages) > 8 and "ask" not in calls:
            call = ToolCall(id=f"ask{len(messages)}", name="ask", arguments=json.dumps(QUESTION))
            return Turn(tool_calls=(call,))
        others = [
            m
            for m in messages
            if "sandbox is another" not in m.content and "ask" not in {c.name for c in m.tool_calls}
        ]
        return await super().turn(others, tools)


def test_a_run_that_waits_holds_no_place_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    seen: list[list[Message]] = []
    world = RunWorld(tmp_path)
    world.settings = world.settings.model_copy(update={"concurrency": 1, "worker_concurrency": 1})
    waits = start(world)
    services = world.services(
        make_model=lambda run_id, seed, waiting, looking: (
            Asking(seed, world.steps, seen)
            if run_id == waits
            else SeededModel(seed, world.steps, slow_commands=False)
        )
    )
    questions = Questions(world.store.database)
    with running_engine(services) as engine:
        until(lambda: world.store.get_run(waits).status == "waiting")
        until(lambda: engine.statuses([waits]) == {waits: "CANCELLED"})
        other = start(world, "d2", 8)
        engine.enqueue(other)
        assert ended(world, other).outcome == "proven", "its place was free"
        assert world.store.unqueued() == []
    with world.forge.world() as forge:
        [asked] = [text for marker, text in forge["comments"].items() if "question" in marker]
    assert "Patchwright needs a decision" in asked

    with running_engine(services) as engine:  # the service was restarted meanwhile
        assert world.store.get_run(waits).status == "waiting"
        before = seen[-1]
        assert questions.answer(waits, 1, Answer(option=2, author="ann"), "k")
        engine.flush_outbox()
        assert ended(world, waits).outcome == "proven"
    check_journal(world, waits)
    events = [recorded.event for recorded in world.store.events(waits)]
    assert [e.option for e in events if isinstance(e, QuestionAnswered)] == [2]
    assert len([e for e in events if isinstance(e, QuestionAsked)]) == 1
    after = next(messages for messages in seen if len(messages) > len(before))
    assert after[: len(before)] == before, "the prompt's beginning is the same, to the byte"
    with world.forge.world() as forge:
        assert len(forge["pulls"]) == 2
        [asked] = [text for marker, text in forge["comments"].items() if "question" in marker]
    assert "**ann chose 2:** That" in asked
