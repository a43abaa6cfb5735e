"""`bisect`, through the table that the model's calls go through."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from agent.journal.events import CommitTried, CulpritSearched
from tests.support.agent.histories import BAD, REPRODUCTION, GitPast, History
from tests.support.agent.tool_context import Workbench, call

__all__ = ["call"]


async def test_the_model_is_told_the_commit_and_every_try_is_an_event(
    call: Workbench, tmp_path: Path
):
    history = History()
    history.commits(6)
    culprit = history.commit({"shop/cart.py": BAD})
    history.commits(5)
    ids = history.write(tmp_path / "work")
    assert "no history" in (await call("bisect")).text
    past = GitPast(tmp_path / "work")
    call.context = dataclasses.replace(call.context, past=past)
    assert "declare a reproduction first" in (await call("bisect")).text
    call.journal.append(REPRODUCTION)
    assert "is no commit of this history" in (await call("bisect", good="feed")).text
    reply = await call("bisect", good=ids[2][:10])
    assert reply.text.startswith(f"First bad commit: {ids[culprit][:12]} Change {culprit}")
    assert reply.status == "ok"
    found = call.journal.state.culprit
    assert isinstance(found, CulpritSearched)
    assert (found.finding, found.commit, found.author) == ("found", ids[culprit], "Dev")
    tried = [r.event for r in call.store.events("r") if isinstance(r.event, CommitTried)]
    assert len(tried) == found.runs and tried[0].commit == ids[2]
    assert {each.outcome for each in tried} == {"good", "bad"}
