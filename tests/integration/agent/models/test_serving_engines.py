"""Long runs with faults at each kind of server, and what each says in its own way."""

from __future__ import annotations

import pytest

from agent.errors import ContextTooLong
from agent.journal.store import MemoryStore
from agent.model import Message
from agent.models.profiles import PROFILES
from tests.doubles.memory_sandbox import MemorySandbox
from tests.doubles.seeded_policy import FILES
from tests.doubles.sglang.chaos import PASSING, Chaos
from tests.doubles.sglang.rig import END, LOOK, START, TOOLS, grown, rig
from tests.doubles.sglang.seeded import seeded
from tests.doubles.sglang.server import Flags, Server
from tests.doubles.sglang.turns import Call, Say, scripted
from tests.support.agent.loops import a_task, pairs_are_whole, pretended_shell, run

ENGINES: list[tuple[Server, str, str]] = [
    ("sglang", "k2-thinking", "k2-thinking"),
    ("sglang", "k2.7-code", "k2.7-code"),
    ("sglang", "k3", "k3"),
    ("vllm", "vllm", "k2-thinking"),
    ("vllm", "k2.6-vllm", "k2.6"),
    ("vllm", "k3-vllm", "k3"),
    ("ktransformers", "ktransformers", "k2-thinking"),
    ("nim", "k2.6-nim", "k2.6"),
]
CHANGED = ("truncated_arguments", "bad_schema", "unknown_tool", "call_in_reasoning")
"""Faults of the model after which the run goes on another way."""


def flags_of(server: Server, profile: str, template: str) -> Flags:
    known = PROFILES[profile]
    return Flags(server=server, template=template, model=known.model, context_length=known.window)


async def long_run(
    server: Server, profile: str, template: str, calls: int, share: float = 0.1
) -> None:
    chaos = Chaos(seed=5, share=share, kinds=(*PASSING, *CHANGED))
    policy = seeded(5, calls)
    async with rig(policy, flags_of(server, profile, template), chaos=chaos, piece=400) as r:
        model = r.model(profile=PROFILES[profile])
        store = MemoryStore()
        sandbox = MemorySandbox(FILES, pretended_shell)
        state = await run(model, store, a_task(calls=2 * calls), sandbox)
        assert state.outcome == "proven", state.diagnosis
        assert state.calls_used >= calls
        assert pairs_are_whole(state.messages)
        assert r.server.seen.refusals == []
        assert sum(r.server.seen.faults.values()) >= calls // 12
        assert len(r.server.seen.faults) >= 5
        cached = state.usage.cached_tokens / state.usage.prompt_tokens
        print(f"{profile}: {r.server.seen.faults}, {cached:.3f} of prompt tokens cached")
        assert cached > 0.9
        await model.close()


@pytest.mark.parametrize(("server", "profile", "template"), [*ENGINES[2::2], ENGINES[-1]])
async def test_a_run_with_faults_ends_whole(server: Server, profile: str, template: str) -> None:
    await long_run(server, profile, template, calls=50, share=0.25)


@pytest.mark.long
@pytest.mark.parametrize(("server", "profile", "template"), ENGINES)
async def test_three_hundred_calls_with_faults(server: Server, profile: str, template: str) -> None:
    await long_run(server, profile, template, calls=300)


@pytest.mark.parametrize(("server", "profile", "template"), ENGINES)
async def test_thinking_comes_and_goes_back(server: Server, profile: str, template: str) -> None:
    async with rig(scripted(LOOK, END), flags_of(server, profile, template)) as r:
        model = r.model(profile=PROFILES[profile])
        turn = await model.turn(START, TOOLS)
        assert (turn.reasoning, turn.content) == ("I look first.", "Looking.")
        assert turn.warnings == ()
        last = await model.turn(grown(START, turn), TOOLS)
        assert last.usage.cached_tokens > 0
        sent = r.server.seen.bodies[-1]["messages"][2]
        for field in PROFILES[profile].reasoning_fields:
            assert sent[field] == "I look first."
        await model.close()


@pytest.mark.parametrize("server", ["vllm", "nim"])
async def test_vllm_refuses_a_prompt_beyond_its_window_in_its_own_words(server: Server) -> None:
    profile = PROFILES["vllm" if server == "vllm" else "k2-thinking-nim"]
    flags = Flags(server=server, context_length=20_000)
    async with rig(scripted(END), flags) as r:
        model = r.model(profile=profile)
        long = (*START, Message(role="user", content="x " * 60_000))
        with pytest.raises(ContextTooLong, match="maximum context length is 20000 tokens"):
            await model.turn(long, TOOLS)
        assert model.window == 20_000
        assert (await model.turn(START, TOOLS)).content == "All done."
        await model.close()


async def test_sglang_kt_leaves_a_call_in_the_thinking_and_it_is_taken_from_there() -> None:
    # Straight from thinking to the call, without the end of the thinking.
    whole = Say("I look.", "", (Call.of("bash", command="ls"),)).tokens(0)
    straight = Say(raw=whole.replace("</think>", ""))
    async with rig(scripted(straight), Flags(server="ktransformers")) as r:
        model = r.model(profile=PROFILES["ktransformers"])
        turn = await model.turn(START, TOOLS)
        assert (turn.reasoning, [call.name for call in turn.tool_calls]) == ("I look.", ["bash"])
        assert "stood inside the reasoning" in turn.warnings[0]
        await model.close()


@pytest.mark.parametrize("server", ["sglang", "vllm", "ktransformers", "nim"])
async def test_a_call_without_a_name_is_not_lost_without_a_word(server: Server) -> None:
    bare = Say("I look.", "", (Call("bash", '{"command": "ls"}', raw_id="3"),))
    names = {"sglang": "k2-thinking", "ktransformers": "ktransformers"}
    profile = PROFILES[names.get(server, "vllm")]
    async with rig(scripted(bare, LOOK), Flags(server=server)) as r:
        model = r.model(profile=profile)
        turn = await model.turn(START, TOOLS)
        if server == "sglang":
            assert [call.name for call in turn.tool_calls] == ["bash"]
        else:
            assert turn.warnings[-2] == "The model stopped with neither text nor a tool call."
            assert r.server.seen.requests > 1
        await model.close()
