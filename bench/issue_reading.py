"""How many issues, written as people write them, the offline model makes a failing test of.

`python -m bench.issue_reading [NAME …]`. A reproduction counts when it fails on the buggy module
and passes on the one with the later fix. Everything goes through the real tools and loop.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent.journal.events import ReproductionDeclared
from agent.journal.store import MemoryStore
from agent.model import Message, ToolSpec, Turn
from agent.models.offline import OfflineModel
from agent.session import debug
from agent.task import Issue, Task
from sandbox.protocol import Sandbox
from tests.doubles.local_sandbox import LocalSandbox
from tests.support.agent.reported_issues import REPORTED_ISSUES, ReportedIssue


@dataclass(frozen=True)
class Reading:
    """What became of one issue."""

    case: ReportedIssue
    reproduction: ReproductionDeclared | None
    fails_before: bool
    passes_after: bool

    @property
    def right(self) -> bool:
        """Whether the reproduction shows this bug and no other."""
        return self.fails_before and self.passes_after


class ReproductionOnly(OfflineModel):
    """The offline model, at its end once a reproduction is accepted."""

    async def turn(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> Turn:
        """One turn, or the end."""
        if any(m.role == "tool" and m.content.startswith("accepted: it fails") for m in messages):
            return Turn(content="Reproduced.")
        return await super().turn(messages, tools)


def files_of(case: ReportedIssue, module: str) -> dict[str, str | bytes]:
    """A small repository around the module."""
    return {
        f"{case.name}.py": module,
        "tests/test_import.py": f"import {case.name}\n\n\ndef test_import():\n"
        f"    assert {case.name}\n",
    }


async def read(case: ReportedIssue) -> Reading:
    """Let the model reproduce one issue, and judge what it made."""
    store = MemoryStore()
    task = Task(
        run_id=case.name,
        repository=f"local/{case.name}",
        base_commit="0" * 40,
        issue=Issue(title=case.title, body=case.body),
    )

    async def fresh() -> Sandbox:
        return LocalSandbox(files_of(case, case.buggy))

    async def attach(_: str) -> Sandbox | None:
        return None

    state = await debug(
        task,
        model=ReproductionOnly(),
        store=store,
        open_sandbox=fresh,
        attach=attach,
        open_fresh=fresh,
    )
    found = state.reproduction
    if found is None or not found.command:
        return Reading(case, None, False, False)
    before = await _passes(case, case.buggy, found)
    after = await _passes(case, case.right, found)
    return Reading(case, found, not before, after)


async def _passes(case: ReportedIssue, module: str, found: ReproductionDeclared) -> bool:
    sandbox = LocalSandbox(files_of(case, module))
    try:
        for path, text in found.files.items():
            await sandbox.write(path, text.encode())
        return (await sandbox.run(f"cd /workspace && {found.command}", timeout_s=60)).ok
    finally:
        await sandbox.close()


def table(rows: Iterable[Reading]) -> str:
    """The readings as text, with the two counts."""
    shown = list(rows)
    lines = [
        f"{r.case.name:<18} {'kept back' if r.case.kept_back else '':<10} "
        + ("right" if r.right else "none" if r.reproduction is None else "WRONG")
        for r in shown
    ]
    for kept_back, what in ((True, "kept back"), (False, "others")):
        own = [r for r in shown if r.case.kept_back is kept_back]
        lines.append(f"{what}: {sum(r.right for r in own)} of {len(own)} right")
    return "\n".join(lines)


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    names = parser.parse_args().names
    print(table([await read(c) for c in REPORTED_ISSUES if not names or c.name in names]))


if __name__ == "__main__":
    asyncio.run(main())
