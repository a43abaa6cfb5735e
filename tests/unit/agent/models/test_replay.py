"""The replaying model: declares, applies, submits, and stops with the gate's words."""

from __future__ import annotations

import base64
import json

from agent.model import Message, ToolCall
from agent.models.replay import Beside, Replay, ReplayModel, failure_words, next_call

REPLAY = Replay(
    mode="whole",
    command="pytest test_a.py::test_one",
    files={"test_a.py": "def test_one():\n    assert f() == 1\n"},
    source_patch="diff --git a/a.py b/a.py\n",
    why="Fix f\n\nIt gave two.",
)
FAILED = (
    "refused: it fails, but its output does not hold …\nE       assert 2 == 1\nE  where 2 = f()"
)


def call(name: str, **arguments: object) -> ToolCall:
    return ToolCall(id=f"functions.{name}:0", name=name, arguments=json.dumps(arguments))


def test_the_words_of_the_failure_are_taken_from_what_was_seen() -> None:
    name, first = next_call(REPLAY, [])
    assert name == "reproduction"
    again = next_call(REPLAY, [(call("reproduction"), FAILED)])
    assert again[1]["expected_failure"] == "assert 2 == 1"  # type: ignore[index]
    assert first["files"] == REPLAY.files  # type: ignore[index]


def test_a_reproduction_that_is_never_accepted_ends_the_attempt() -> None:
    refused = [(call("reproduction"), FAILED)] * 4
    said = next_call(REPLAY, refused)
    assert isinstance(said, str)
    assert "not accepted" in said


def test_the_source_is_applied_as_it_was_merged_and_then_submitted() -> None:
    accepted = (call("reproduction"), "accepted: it fails as claimed.")
    name, arguments = next_call(REPLAY, [accepted])
    assert name == "bash"
    encoded = str(arguments["command"]).split()[1]  # type: ignore[index]
    assert base64.b64decode(encoded).decode() == REPLAY.source_patch
    name, arguments = next_call(REPLAY, [accepted, (call("bash"), "applied\n[exit 0]")])
    assert (name, arguments["root_cause"]) == ("submit", "Fix f")  # type: ignore[index]


def test_a_patch_that_does_not_apply_and_a_gate_that_refuses_end_with_their_words() -> None:
    accepted = (call("reproduction"), "accepted: it fails as claimed.")
    assert "does not apply" in next_call(REPLAY, [accepted, (call("bash"), "error: patch failed")])
    refused = (call("submit"), "not proven: unproven.\n- The suite lost a test.")
    ended = next_call(REPLAY, [accepted, (call("bash"), "applied"), refused])
    assert isinstance(ended, str)
    assert "lost a test" in ended


async def test_it_speaks_the_conversations_protocol() -> None:
    model = ReplayModel(REPLAY)
    messages = [Message(role="system", content="s"), Message(role="user", content="t")]
    turn = await model.turn(messages, [])
    (made,) = turn.tool_calls
    assert (made.name, turn.finish_reason) == ("reproduction", "tool_calls")
    messages += [
        Message(role="assistant", tool_calls=(made,)),
        Message(role="tool", content="accepted: it fails as claimed.", tool_call_id=made.id),
    ]
    assert (await model.turn(messages, [])).tool_calls[0].name == "bash"


def test_failure_words_of_several_runners() -> None:
    assert failure_words("    TypeError: x is not a function\n      at f")[0].startswith(
        "TypeError"
    )
    assert failure_words("--- FAIL: TestSum (0.00s)") == ["--- FAIL: TestSum (0.00s)"]
    assert failure_words("all is well") == []


OLD = "tests/test_a.py::test_old"
EDITED = Replay(
    mode="whole",
    command=f"pytest {OLD} {OLD}_too",
    files={"tests/test_a.py": "def test_old():\n    assert f() == 2\n"},
    source_patch="diff --git a/a.py b/a.py\n",
    why="Fix f",
    contested=(OLD,),
    beside=(
        Beside(
            path="tests/test_a.py",
            test=OLD,
            merged="assert f() == 2",
            both="assert f() == 1\n\nassert f() == 2",
            name=f"{OLD}_as_merged",
        ),
    ),
)


def test_edited_tests_are_contested_and_else_stand_beside_their_former_selves() -> None:
    done = [(call("reproduction"), "accepted: it fails"), (call("bash"), "applied")]
    _, asked = next_call(EDITED, done)
    assert [c["test"] for c in asked["contested"]] == [OLD]  # type: ignore[index,call-overload]
    done.append((call("submit"), f"not proven: unproven.\n- {OLD} is contested but unchanged, …"))
    name, undo = next_call(EDITED, done)
    assert name == "bash" and "git apply --whitespace=nowarn -R" in str(undo["command"])  # type: ignore[index]
    done.append((call("bash"), "applied"))
    _, again = next_call(EDITED, done)
    assert again["command"] == f"pytest {OLD}_as_merged {OLD}_too"  # type: ignore[index]
    assert "f() == 1" in again["files"]["tests/test_a.py"]  # type: ignore[index,call-overload]
    done.append((call("reproduction"), "accepted: it fails"))
    assert next_call(EDITED, done)[0] == "bash"
    done.append((call("bash"), "applied"))
    name, last = next_call(EDITED, done)
    assert name == "submit" and "contested" not in last  # type: ignore[operator]
    done.append((call("submit"), "not proven: unproven.\n- The suite lost a test."))
    assert "lost a test" in next_call(EDITED, done)


def test_hunks_that_nothing_needs_were_merged_with_the_others() -> None:
    asked = (
        "not proven: unproven.\n- Without these hunks the reproduction and all tests still pass: "
        "a.py:3, b.py:9. Add a test that needs them"
    )
    done = [(call("reproduction"), "accepted"), (call("bash"), "applied"), (call("submit"), asked)]
    name, arguments = next_call(REPLAY, done)
    assert name == "submit"
    assert [h["hunk"] for h in arguments["hunks"]] == ["a.py:3", "b.py:9"]  # type: ignore[index,call-overload]
    assert isinstance(next_call(REPLAY, [*done, (call("submit"), asked)]), str)


def test_a_runner_that_names_what_failed_and_no_more_is_read_too() -> None:
    printed = "  ✕ adds two numbers (6 ms)\n  ○ skipped adds three\n  ✓ adds none (1 ms)\n"
    assert failure_words(printed) == ["adds two numbers"]
