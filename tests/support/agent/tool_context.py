"""Tools called by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.gate.claims import Claims
from agent.journal.events import AttemptStarted, GateJudged
from agent.journal.state import AttemptState
from agent.journal.store import MemoryStore
from agent.journal.writer import Journal
from agent.model import ToolCall
from agent.task import Budget, Issue, Task
from agent.tools.registry import parse_call
from agent.tools.tool import Reply, ToolContext
from sandbox.protocol import Sandbox
from tests.doubles.local_sandbox import LocalSandbox

FILES = {
    "shop/prices.py": "def total(prices):\n    amount = 0\n    for p in prices:\n"
    "        amount -= p\n    return amount\n",
    "tests/test_prices.py": "from shop.prices import total\n\n\ndef test_none():\n"
    "    assert total([]) == 0\n\n\ndef test_wrong_already():\n    assert total([1]) == 1\n",
    "win.txt": b"one\r\ntwo\r\n",
    "old.py": b"# -*- coding: latin-1 -*-\nname = 'caf\xe9'\n",
    "photo.bin": bytes(range(256)),
}


class Workbench:
    """Calls tools as the loop does, and records what they cause."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.store = MemoryStore()
        self.journal = Journal(self.store, "r", 1)
        task = Task(
            run_id="r",
            repository="o/shop",
            base_commit="c",
            issue=Issue(title="t", body="b"),
            budget=Budget(),
        )
        self.journal.append(
            AttemptStarted(
                model="m",
                prompt_version="1",
                base_commit="c",
                system_prompt="s",
                task_prompt="t",
                test_command="python3 -m pytest -q",
                base_failures=("tests/test_prices.py::test_wrong_already",),
            )
        )

        async def judge(state: AttemptState, patch: str, claims: Claims) -> GateJudged:
            return GateJudged(verdict="refused", reasons=("a reason",), patch=patch)

        self.context = ToolContext(task, sandbox, self.journal, judge)

    async def __call__(self, name: str, **arguments: Any) -> Reply:
        call = ToolCall(id=f"functions.{name}:0", name=name, arguments=json.dumps(arguments))
        parsed = parse_call(call)
        assert not isinstance(parsed, str), parsed
        reply = await parsed[0].run(self.context, parsed[1])
        self.journal.append(*reply.events) if reply.events else None
        self.journal.put_log(f"{name}:0", reply.text.encode())
        return reply


@pytest.fixture
async def call() -> AsyncIterator[Workbench]:
    sandbox = LocalSandbox(FILES)
    yield Workbench(sandbox)
    await sandbox.close()
