"""A run's tools: offered once, checked at each call, through the real loop to real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.journal.store import MemoryStore
from agent.model import ExternalTool, Record, ToolCall, Turn, Usage
from agent.session import debug
from app.export.examples import RunMetadata, examples
from app.journal_view.html import trace_page
from app.mcp.config import Server
from app.mcp.run_tools import MOST_STARTS, Offer, RunTools, offer, tools_of_run
from app.settings.base import SettingsError
from tests.support.agent.loops import Speaking, a_task, gate_agrees, memory_sandbox
from tests.support.tools import misbehaving, tracker

FACTS = RunMetadata(run_id="r1", repository="acme/shop", issue="acme/shop#1", closed="")


async def run_tools(*servers: Server) -> tuple[RunTools, dict[str, ExternalTool]]:
    offered = await offer(servers)
    return RunTools(lambda: servers, offered.tools), {t.name: t for t in offered.tools}


async def test_the_loop_calls_a_real_server_and_a_resumed_run_keeps_its_offer(
    tmp_path: Path,
) -> None:
    store, servers = MemoryStore(), (tracker(tmp_path, writes=("add_comment",)),)
    turns = [
        turn(0, "tracker__get_issue", number=12),
        turn(1, "tracker__add_comment", number=12, text="looking into it"),
        Turn(content="That is all."),
    ]
    async with tools_of_run(store, "r1", "offer", lambda: servers) as (offered, external):
        task = a_task().model_copy(update={"external_tools": offered.tools})

        async def opened():
            return memory_sandbox()

        await debug(
            task,
            model=Speaking(*turns),
            store=store,
            open_sandbox=opened,
            attach=lambda _: opened(),
            open_fresh=opened,
            judge_with=gate_agrees,
            external=external,
        )
    read, written = [r.event for r in store.events("r1") if r.event.type == "tool_finished"]
    assert "TRACK-12: discounts are a percentage" in read.output and read.status == "ok"
    assert written.status == "ok"
    assert (tmp_path / "comments").read_text() == "12 looking into it\n"

    (row,) = examples(FACTS, store.events("r1"), ())
    assert [tool["function"]["name"] for tool in json.loads(row["tools"])] == [
        "tracker__get_issue",
        "tracker__add_comment",
    ]
    page = trace_page("a run", store.events("r1"))
    assert "2 of the operator&#39;s tools" in page and "agreed on 3 May" in page

    async with tools_of_run(store, "r1", "offer", lambda: ()) as (again, external):
        assert again == offered, "whatever the servers list now"
        answer = await external.call(offered.tools[0], {}, 5)
        assert answer.status == "refused" and "no longer lets" in answer.text


def turn(n: int, name: str, **arguments: Any) -> Turn:
    call = ToolCall(id=f"functions.{name}:{n}", name=name, arguments=json.dumps(arguments))
    return Turn(tool_calls=(call,), usage=Usage(prompt_tokens=10), finish_reason="tool_calls")


async def test_what_cannot_be_offered_is_told_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    gone = tracker(tmp_path, name="gone", command=("/no/such/program",))
    found = await offer((gone, tracker(tmp_path, tools=("get_issue", "add_comment", "missing"))))
    assert [tool.name for tool in found.tools] == ["tracker__get_issue"]
    told = " ".join(found.missing)
    assert "gone is left out: /no/such/program cannot be started" in told
    assert "add_comment of the server tracker is left out: the server does not say" in told
    assert "missing of the server tracker is left out: the server has no such tool" in told


async def test_a_file_that_is_wrong_leaves_the_tools_out() -> None:
    def wrong() -> tuple[Server, ...]:
        raise SettingsError("/secret/path is wrong")

    async with tools_of_run(MemoryStore(), "r1", "offer", wrong) as (offered, external):
        assert offered.tools == () and "not set up rightly" in offered.missing[0]
        some = ExternalTool(name="a__b", description="", parameters={}, server="a", own_name="b")
        answer = await external.call(some, {}, 5)
        assert answer.status == "error" and "/secret" not in answer.text


async def test_calls_of_a_run_are_counted_also_those_before_a_crash(tmp_path: Path) -> None:
    servers = (misbehaving("right", tmp_path, calls_per_run=2),)
    tools, known = await run_tools(*servers)
    look = known["odd__look"]

    class Begun(Record):
        type: str = "tool_started"
        name: str = "functions.odd__look"

    class Entry(Record):
        event: Begun = Begun()

    tools.count([Entry()])  # type: ignore[list-item]
    assert (await tools.call(look, {}, 5)).status == "ok"
    over = await tools.call(look, {}, 5)
    assert over.status == "refused" and "made its 2 calls" in over.text
    await tools.close()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("changing", "does not say that it only reads"),
        ("vanishing", "no longer has look"),
    ],
)
async def test_a_server_that_changes_its_list_is_held_to_the_file(
    tmp_path: Path, how: str, said: str
) -> None:
    tools, known = await run_tools(misbehaving(how, tmp_path))
    answer = await tools.call(known["odd__look"], {}, 5)
    assert answer.status == "refused" and said in answer.text
    await tools.close()


async def test_a_server_that_dies_is_started_again_but_not_for_ever(tmp_path: Path) -> None:
    tools, known = await run_tools(misbehaving("dies", tmp_path))
    look = known["odd__look"]
    answers = [await tools.call(look, {}, 5) for _ in range(MOST_STARTS + 1)]
    assert all(each.status == "error" for each in answers)
    assert all("ended with status 3" in each.text for each in answers[:-1])
    assert f"broke {MOST_STARTS} times" in answers[-1].text
    assert len((tmp_path / "pids").read_text().split()) == 1 + MOST_STARTS
    await tools.close()


@pytest.mark.parametrize(("allowed", "status"), [("tools", "ok"), ("writes", "interrupted")])
async def test_what_only_reads_is_read_again_where_a_session_ended_meanwhile(
    tmp_path: Path, allowed: str, status: str
) -> None:
    server = misbehaving("tires", tmp_path, **{"tools": (), allowed: ("look",)})
    tools, known = await run_tools(server)
    assert (await tools.call(known["odd__look"], {}, 5)).status == "ok"
    assert (await tools.call(known["odd__look"], {}, 5)).status == status
    await tools.close()


async def test_a_call_has_its_time_and_secrets_stay(tmp_path: Path) -> None:
    tools, known = await run_tools(misbehaving("deaf", tmp_path, timeout_s=1))
    answer = await tools.call(known["odd__look"], {}, 60)
    assert (answer.status, answer.text) == ("timeout", "odd did not answer within 1 s")
    await tools.close()
    token = tmp_path / "token"
    token.write_text("deploy-key-1")
    (tmp_path / "more").mkdir()
    server = misbehaving("tells-secret", tmp_path / "more", env_files={"TOKEN": token})
    tools, known = await run_tools(server)
    answer = await tools.call(known["odd__look"], {}, 5)
    assert answer.text == "the token is [secret]"
    await tools.close()


def test_an_offer_is_kept_as_json() -> None:
    tool = ExternalTool(name="a__b", description="", parameters={}, server="a", own_name="b")
    offered = Offer(tools=(tool,), missing=("x",))
    assert Offer.model_validate_json(offered.model_dump_json()) == offered
