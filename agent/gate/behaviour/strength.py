"""How strong a proof is: of small variants of the patch, how many its evidence tells apart."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from importlib import resources

from agent.gate.behaviour.documented_examples import Examples
from agent.gate.behaviour.variants import Variant, variants_of
from agent.gate.patch.changed_file import ChangedFile
from agent.journal.events import Check, ReproductionDeclared, Strength
from agent.model import Record
from agent.testing.paths import is_test
from agent.testing.runners import kind_of
from agent.testing.selection import without_paths
from sandbox.protocol import WORKDIR, Sandbox

NAME = "strength"
_LISTED = 3
_LISTED_WHEN_WEAK = 12
_MOST_TEST_FILES = 40
_FEWEST = 4
"""Fewer variants than this say too little for a verdict."""


class StrengthLimits(Record):
    """How much is done to measure strength, and what is asked."""

    most: int = 30
    total_s: float = 60.0
    least_share: float = 0.0


class EvidenceToRun(Record):
    """What is run on each variant."""

    reproduction: ReproductionDeclared | None
    test_command: str
    test_files: tuple[str, ...]
    """Test files that name what the patch touches; with none, the reproduction and examples."""
    examples: Examples


async def naming_tests(
    sandbox: Sandbox, files: Sequence[ChangedFile], tree: Sequence[str]
) -> tuple[str, ...]:
    """The test files of a tree in which the name of a touched module stands."""
    stems = {_stem(f.path) for f in files if not f.is_test} - {""}
    tests = [path for path in tree if is_test(path)][:2000]
    if not stems or not tests:
        return ()
    words = " ".join(f"-e {shlex.quote(stem)}" for stem in sorted(stems))
    found = await sandbox.run(f"cd {WORKDIR} && grep -lwF {words} -- {shlex.join(tests)}")
    known = set(tests)
    return tuple(line for line in found.text.split("\n") if line in known)[:_MOST_TEST_FILES]


def _stem(path: str) -> str:
    parts = path.rpartition(".")[0].split("/")
    return parts[-2] if parts[-1] == "__init__" and len(parts) > 1 else parts[-1]


async def measure_strength(
    sandbox: Sandbox, files: Sequence[ChangedFile], evidence: EvidenceToRun, limits: StrengthLimits
) -> Strength | None:
    """Run the evidence on variants of the patch; the sandbox holds the patched tree.

    None where there is nothing to vary. The sandbox is of no use afterwards.
    """
    variants = await asyncio.to_thread(variants_of, files, limits.most)
    if not variants:
        return None
    mark = secrets.token_hex(16)
    folder = f"/tmp/patchwright-{secrets.token_hex(6)}"  # noqa: S108 - inside the sandbox
    package = resources.files("agent.gate.sandboxed")
    for name in ("__init__.py", "examples.py", "variants.py"):
        await sandbox.write(f"{folder}/gate_sandboxed/{name}", package.joinpath(name).read_bytes())
    job = _job(files, evidence, variants, mark, limits)
    await sandbox.write(f"{folder}/job.json", json.dumps(job).encode())
    start = f"import sys; sys.path.insert(0, {folder!r}); from gate_sandboxed import variants; "
    command = f"python3 -I -B -c {shlex.quote(start + 'variants.main()')} {folder}/job.json"
    ran = await sandbox.run(f"cd {WORKDIR} && {command}", timeout_s=2 * limits.total_s + 30)
    return read_strength(ran.text, mark, variants)


def _job(
    files: Sequence[ChangedFile],
    evidence: EvidenceToRun,
    variants: Sequence[Variant],
    mark: str,
    limits: StrengthLimits,
) -> dict[str, object]:
    texts = {f.path: f.patched or "" for f in files}
    varied = {v.path for v in variants}
    return {
        "mark": mark,
        "total_s": limits.total_s,
        "variants": [[n, v.path, v.first, v.last, v.new] for n, v in enumerate(variants)],
        "evidence": evidence_pieces(evidence),
        "idle": {path: _idle(path, texts[path]) for path in sorted(varied)},
    }


def _idle(path: str, text: str) -> str:
    comment = "#" if path.endswith((".py", ".rb", ".sh", ".pl", ".ex", ".exs")) else "//"
    known = path.endswith((".vue", ".svelte", ".php", ".lua"))
    return f"{text}\n" if known else f"{text}\n{comment} \n"


def evidence_pieces(evidence: EvidenceToRun) -> list[dict[str, object]]:
    """The evidence as the sandboxed program takes it, what decides soonest first."""
    found: list[dict[str, object]] = []
    declared = evidence.reproduction
    if declared is not None and declared.command:
        piece = _command("the reproduction", declared.command)
        found.append({**piece, "files": dict(declared.files)})
    if evidence.examples.held:
        sessions = [
            {"module": s.module, "root": s.root, "sources": [e.source for e in s.examples]}
            for s in evidence.examples.sessions
        ]
        held = [list(at) for at in evidence.examples.held]
        found.append(
            {
                "name": "documented examples",
                "kind": "examples",
                "sessions": sessions,
                "held": held,
            }
        )
    if evidence.test_command and kind_of(evidence.test_command) == "pytest":
        if evidence.test_files:
            chosen = shlex.join(evidence.test_files)
            command = f"{without_paths(evidence.test_command)} {chosen}"
            found.append(_command("the tests", command))
    elif evidence.test_command:
        found.append(_command("the tests", evidence.test_command))
    return found


_PYTEST = re.compile(r"(?:python3?\s+-m\s+)?(?:pytest|py\.test)(?=\s|$)")


def _command(name: str, command: str) -> dict[str, object]:
    plain = _PYTEST.match(command)
    if plain and not re.search(r"[;&|<>$`\n*?]", command):
        return {
            "name": name,
            "kind": "pytest",
            "args": shlex.split(command[plain.end() :]),
            "from_here": "-m" in plain[0],
        }
    return {"name": name, "kind": "shell", "command": command}


def read_strength(text: str, mark: str, variants: Sequence[Variant]) -> Strength:
    """The program's lines; those without the mark of this job are not its own."""
    told: dict[int, str | None] = {}
    void = ""
    for line in text.split("\n"):
        head, _, rest = line.partition(" ")
        word, _, told_text = rest.partition(" ")
        if head != mark:
            continue
        try:
            said = json.loads(told_text)
        except ValueError:
            continue
        if word == "TOLD" and 0 <= said[0] < len(variants):
            told[said[0]] = said[1]
        elif word == "VOID":
            void = str(said[0])
    if void:
        return Strength(tried=0, told_apart=0, void=void)
    survivors = [variants[n].described for n, by in sorted(told.items()) if by is None]
    by: dict[str, int] = {}
    for name in told.values():
        if name is not None:
            by[name] = by.get(name, 0) + 1
    return Strength(
        tried=len(told),
        told_apart=len(told) - len(survivors),
        survivors=tuple(survivors),
        by=by,
    )


def strength_check(strength: Strength, limits: StrengthLimits) -> Check:
    """The share of variants told apart, and whether that is enough for a proof."""
    if strength.void:
        said = f"The strength of the evidence could not be measured: {strength.void}."
        return Check(name=NAME, ok="means nothing" not in strength.void, detail=said)
    if not strength.tried:
        return Check(name=NAME, ok=True, detail="No variant of the patch could be tried in time.")
    said = (
        f"The evidence tells the fix from {strength.told_apart} of {strength.tried} variants"
        f"{_describe_evidence(strength.by)}."
    )
    weak = strength.tried >= _FEWEST and strength.share < limits.least_share
    more = (
        f" That is less than {limits.least_share:.0%}: add cases to the reproduction that come "
        "from the issue, the docstring or the callers, and that one of the surviving variants "
        "would fail; then submit again. Without more, the result is a draft."
        if weak
        else ""
    )
    left = strength.survivors[: _LISTED_WHEN_WEAK if weak else _LISTED]
    rest = len(strength.survivors) - len(left)
    listed = "; ".join(left) + (f"; and {rest} more" if rest else "")
    surviving = f" Variants that it does not tell apart: {listed}." if left else ""
    return Check(name=NAME, ok=not weak, detail=f"{said}{more}{surviving}")


def _describe_evidence(by: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{name}: {count}' for name, count in by.items())})" if by else ""
