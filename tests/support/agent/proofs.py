"""Proofs of changes of a small repository, over temporary folders instead of containers."""

from __future__ import annotations

from collections.abc import Mapping

from agent.proving.prove import prove_change
from agent.proving.records import Change, ChangeProof
from agent.proving.reproduce import WriteReproduction
from sandbox.protocol import Sandbox
from tests.doubles import gate_case as case
from tests.doubles.remembering_sandbox import Memory, RememberingSandbox

MEMORY: Memory = {}


async def proof(
    changes: Mapping[str, str | None],
    repository: Mapping[str, str] = case.REPOSITORY,
    *,
    more: str = "",
    at_once: int = 1,
    steady: str = "pytest",
    write: WriteReproduction | None = None,
    said: list[str] | None = None,
) -> ChangeProof:
    """The proof of a change of these files, with `more` at the end of its patch.

    `steady`: a word of the commands whose tests end the same way each time. `said` gets what is
    told meanwhile.
    """
    opened: list[RememberingSandbox] = []

    async def open_base() -> Sandbox:
        opened.append(RememberingSandbox(dict(repository), MEMORY, steady))
        return opened[-1]

    change = Change(
        base="b" * 40,
        head="c" * 40,
        patch=case.patch(changes, repository) + more,
        issue=case.ISSUE,
        test_command="python3 -m pytest",
        test_timeout_s=60,
        at_once=at_once,
    )
    found = await prove_change(change, open_base, [].append if said is None else said.append, write)
    assert not any(box.root.exists() for box in opened), "a sandbox was left open"
    return found
