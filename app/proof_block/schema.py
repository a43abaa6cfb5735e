"""The format of the block, version 1.

Version 1 has exactly these fields; a change of them gets another number. No field holds words of a
model, an issue or a repository's files: they are numbers, hashes, times, words of fixed lists, and
names whose letters GitHub restricts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_CHECKS = 40
LONGEST_BLOCK = 8_000
"""Characters of the JSON; what would be longer leaves single checks out."""


class _Part(BaseModel):
    """A part of the block, as strict as the schema that is made from it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Commit = Annotated[
    str,
    Field(
        pattern="^[0-9a-f]{40}([0-9a-f]{24})?$",
        min_length=40,
        max_length=64,
        description="Git's id of a commit, whole.",
    ),
]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", min_length=64, max_length=64)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Moment = Annotated[
    str,
    Field(
        pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
        min_length=20,
        max_length=20,
        description="A time in UTC, to the second.",
    ),
]
CHECK_NAME = "^[a-z][a-z ']{0,59}$"


def moment(at: datetime) -> str:
    """A time as the block has it."""
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


class BlockRepository(_Part):
    """The repository whose change it is."""

    id: Annotated[int, Field(ge=0, le=2**53 - 1)] = Field(
        description="GitHub's; stays when the repository is renamed. 0: not known."
    )
    name: str = Field(
        pattern="^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$",
        min_length=3,
        max_length=201,
        description="`owner/name` when the block was written.",
    )


class BlockPatch(_Part):
    """The change that was judged."""

    sha256: Sha256 = Field(
        description="Of the patch as the gate judged it, in UTF-8: it names the patch in "
        "Patchwright's journals. What it is in git, `base` and `head` say."
    )
    files: Count
    added: Count = Field(description="Lines.")
    removed: Count = Field(description="Lines.")


class BlockSide(_Part):
    """One side of the change: runs of the reproduction, or each test by its worst outcome."""

    runs: Count
    passed: Count
    failed: Count
    error: Count
    skipped: Count


class BlockReproduction(_Part):
    """What shows the bug."""

    id: Sha256 = Field(description="Of its command and files: the same reproduction has the same.")
    by: Literal["run", "change", "model"] = Field(
        description="Who wrote it: `run` the run that wrote the patch, `change` the change's own "
        "tests, `model` a model that saw the issue and not the change."
    )
    before: BlockSide | None = Field(description="Without the change; null: it did not run.")
    after: BlockSide | None = Field(description="With the change.")


class BlockSuite(_Part):
    """The repository's own tests."""

    before: BlockSide
    after: BlockSide


class BlockHunks(_Part):
    """The hunks of source that were left out one by one, to see what fails."""

    needed: Count
    unneeded: Count = Field(description="Everything passes without them.")
    untried: Count


class BlockStrength(_Part):
    """How many small variants of the change the evidence tells from it."""

    tried: Count
    told_apart: Count


class BlockCheck(_Part):
    """One check of the gate."""

    name: str = Field(pattern=CHECK_NAME, min_length=1, max_length=60)
    held: bool
    advice: bool = Field(description="Whether it found something to say that decides nothing.")


class BlockGate(_Part):
    """What judged."""

    program: Literal["patchwright"]
    version: str = Field(pattern="^[0-9A-Za-z.+!-]{1,40}$", min_length=1, max_length=40)


class BlockEnvironment(_Part):
    """Where it ran: in containers without a network."""

    image: str = Field(
        pattern="^(sha256:[0-9a-f]{64})?$",
        max_length=71,
        description="Digest of the image; empty: not known, or a model chose how it was made.",
    )
    degraded: bool = Field(description="Whether it is less than the repository asks for.")


class BlockTimes(_Part):
    """When it was made."""

    asked: Moment
    judged: Moment | None = Field(description="Null: it was not judged.")


class ProofBlock(_Part):
    """What a proof found."""

    version: Annotated[int, Field(ge=1, le=1)]
    kind: Literal["fix", "change"] = Field(
        description="`fix`: Patchwright wrote the change. `change`: somebody else did."
    )
    id: str = Field(
        pattern="^[A-Za-z0-9_-]{1,64}$",
        min_length=1,
        max_length=64,
        description="Of the run or of the proof, at the installation that made it.",
    )
    repository: BlockRepository
    base: Commit
    head: Commit
    verdict: Literal["proven", "contested", "unproven", "refused", "failed"] = Field(
        description="`proven`: the bug shows without the change and not with it, and nothing that "
        "passed before fails. `contested`: so, but for tests that contradict the issue, which a "
        "person must decide. `unproven`: it was not shown. `refused`: against the gate's rules. "
        "`failed`: something that passed without the change fails with it."
    )
    shows: Literal["", "a bug", "something new"] = Field(
        description="What is red without the change and green with it; empty: nothing."
    )
    contested: Count = Field(description="Tests that the change edits as they contradict it.")
    patch: BlockPatch
    reproduction: BlockReproduction | None
    suite: BlockSuite | None = Field(description="Null: no results for each test.")
    hunks: BlockHunks | None
    strength: BlockStrength | None = Field(description="Null: it was not measured.")
    checks: tuple[BlockCheck, ...] = Field(max_length=MOST_CHECKS, strict=False)
    gate: BlockGate
    environment: BlockEnvironment
    times: BlockTimes


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the block."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **ProofBlock.model_json_schema(),
        "title": "Patchwright's proof block, version 1",
    }
