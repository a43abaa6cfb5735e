"""The offline model as a `Model`: deterministic, resumable from the messages alone, honest."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from agent.model import Message, ToolCall, Turn
from agent.models.offline import OfflineModel
from agent.models.offline.issue_examples import read_issue
from agent.models.offline.localise import read_spectrum, suspicion
from agent.models.offline.mutations import Mutant
from agent.models.offline.policy import about_failing_tests
from agent.models.offline.repository_view import TestRun
from agent.models.offline.screening import read_screening
from agent.models.offline.survivor_vote import Behaviour, Rated, rank_survivors, rivals

TASK = [
    Message(role="system", content="You are Patchwright."),
    Message(role="user", content="<issue>\n<title>Slow</title>\nIt is slow.\n</issue>"),
]
ANSWERS = {
    "bash": "calc.py\ntests/test_calc.py\n/usr/bin/python3\npytest 8.3\n[exit 0]",
    "run_tests": "3 passed, 0 failed, 0 errors, 0 skipped in 0.1 s\n[exit 0]",
    "create": "created /tmp/patchwright-search/x.py (300 lines)",
}


def answered(messages: list[Message], turn: Turn) -> list[Message]:
    (call,) = turn.tool_calls
    return [
        *messages,
        Message(role="assistant", reasoning=turn.reasoning, tool_calls=turn.tool_calls),
        Message(role="tool", content=ANSWERS[call.name], tool_call_id=call.id),
    ]


async def conversation(model: OfflineModel) -> tuple[list[Message], list[Turn]]:
    messages, turns = list(TASK), []
    while True:
        turns.append(await model.turn(messages, ()))
        if not turns[-1].tool_calls:
            return messages, turns
        messages = answered(messages, turns[-1])


async def test_it_says_so_when_nothing_can_be_reproduced() -> None:
    _, turns = await conversation(OfflineModel())
    assert [c.name for t in turns for c in t.tool_calls] == ["bash", "run_tests", *["create"] * 3]
    assert [c.id for t in turns for c in t.tool_calls][1] == "functions.run_tests:1"
    assert all(t.reasoning for t in turns)
    assert "could not reproduce" in turns[-1].content
    assert turns[-1].finish_reason == "stop"


async def test_the_same_conversation_gives_the_same_turn() -> None:
    model = OfflineModel()
    messages, turns = await conversation(model)
    note = Message(role="user", content="[Note] Your last answer held no tool call.")
    assert (await model.turn([*messages, note], ())).content == turns[-1].content


async def test_another_instance_continues_from_any_point() -> None:
    messages, turns = await conversation(OfflineModel())
    for n, turn in enumerate(turns):
        resumed = await OfflineModel().turn(messages[: 2 + 2 * n], ())
        assert resumed.tool_calls == turn.tool_calls
        assert resumed.content == turn.content


async def test_notes_in_between_change_nothing() -> None:
    messages, turns = await conversation(OfflineModel())
    noted = [*messages[:4], Message(role="user", content="[Note] hurry"), *messages[4:]]
    assert (await OfflineModel().turn(noted, ())).content == turns[-1].content


async def test_an_interrupted_call_is_made_again() -> None:
    model = OfflineModel()
    turn = await model.turn(TASK, ())
    cut = answered(list(TASK), turn)
    cut[-1] = cut[-1].model_copy(update={"content": "[interrupted] The worker stopped."})
    again = await model.turn(cut, ())
    assert again.tool_calls[0].arguments == turn.tool_calls[0].arguments
    assert again.tool_calls[0].id != turn.tool_calls[0].id


async def test_a_foreign_history_restarts_the_search() -> None:
    foreign = ToolCall(id="functions.bash:0", name="bash", arguments=json.dumps({"command": "ls"}))
    history = [
        *TASK,
        Message(role="assistant", tool_calls=(foreign,)),
        Message(role="tool", content="x\n[exit 0]", tool_call_id=foreign.id),
    ]
    model = OfflineModel()
    turn = await model.turn(history, ())
    assert turn.tool_calls[0].name == "bash"
    assert turn.tool_calls[0].id == "functions.bash:1"
    following = await model.turn(answered(history, turn), ())
    assert following.tool_calls[0].name == "run_tests"
    resumed = await OfflineModel().turn(answered(history, turn), ())
    assert resumed.tool_calls[0].name in ("bash", "run_tests")


def test_spectrum_and_the_constants_behind_it() -> None:
    spectrum = read_spectrum(
        '1 failing and 2 passing tests covered\nFRAMES [["m.py", 4]]\nFILE m.py 4=0.500'
    )
    assert spectrum is not None
    text = "LIMIT = 3\n\ndef f(a):\n    return a > LIMIT\n"
    scores = suspicion("m.py", text, spectrum, read_issue("nothing"))
    assert scores[4] > scores[3] > scores[1] > 0
    assert read_spectrum("no coverage: the tests ended the process") is None


def test_a_screening_that_was_cut_off_gives_no_survivors() -> None:
    screening = read_screening("[killed after 360 s]", [])
    assert screening.survivors == ()
    assert screening.tried == 0


def test_survivors_that_behave_alike_support_each_other() -> None:
    alone = Mutant("m.py", 1, 1, "a", "b", "x", 1, 0.40)
    pair = [Mutant("m.py", 1, 1, "a", text, "x", 1, 0.30) for text in ("c", "d")]
    seen = {alone: Behaviour("p", 1, 0, 20)} | {m: Behaviour("q", 1, 0, 20) for m in pair}
    assert [r.mutant for r in rank_survivors([alone, *pair], [], seen)] == [pair[0], alone]
    assert Behaviour("p", 9, 9, 20).harmful
    # After a crash, what gave a value before should give the same one.
    other = {alone: Behaviour("p", 9, 0, 20), pair[0]: Behaviour("q", 9, 0, 20, altered=4)}
    assert rank_survivors([alone, pair[0]], [], other, crashed=True)[0].mutant == alone


def test_a_function_that_is_not_run_any_more_is_no_fix_of_a_crash() -> None:
    fix = Mutant("m.py", 1, 1, "a", "b", "operator", 1, 0.1)
    lazy = Mutant("m.py", 1, 1, "return a", "yield a", "return → yield", 1, 9.0)
    seen: dict[Mutant, Behaviour] = {}
    assert [r.mutant for r in rank_survivors([fix, lazy], [], seen, crashed=True)] == [fix]
    assert rank_survivors([fix, lazy], [], seen)[0].mutant == lazy


def test_rivals_are_behaviours_that_are_trusted_nearly_as_much() -> None:
    first, near, far = (
        Rated(Mutant("m.py", 1, 1, "a", text, "x", 1, 1.0), weight)
        for text, weight in (("b", 1.0), ("c", 0.8), ("d", 0.3))
    )
    assert rivals([first, near, far]) == [near.mutant]
    assert rivals([first]) == []


@pytest.mark.parametrize(
    ("issue", "first"),
    [
        ("```python\n>>> f(2)\n3\n```\n\nIt should be `4`.", False),
        ("`test_names` fails since Monday.\n\n```python\n>>> f(2)\n3\n```\n", True),
        ("Something is wrong with the names.", True),
    ],
)
def test_failing_tests_come_first_only_if_the_issue_is_about_them(issue: str, first: bool) -> None:
    run = TestRun(1, ("tests/test_a.py::Names::test_names[1]",), ("",), "1 failed", "c1")
    assert about_failing_tests(read_issue(issue), run) is first
    assert not about_failing_tests(read_issue(issue), replace(run, failing=()))
