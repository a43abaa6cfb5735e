"""Many mutants in one command: the job for the driver, its answer, and which survivor to trust."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from agent.models.offline.localise import suite_args
from agent.models.offline.mutations import Mutant
from agent.models.offline.protocol import Steps, call
from agent.models.offline.repository_view import JOB, MOST_ELAPSED_S, Tree, driver
from agent.models.offline.reproduce import Reproduction

TIME_S = 240
"""Seconds of processor time that each worker of one screening may use."""
FORCED = ("returns ", "branch ", "statement dropped", "number named", "another string")
"""Operators that often make a test pass without fixing anything."""


@dataclass(frozen=True, slots=True)
class Screening:
    """What one screening found."""

    summary: str
    survivors: tuple[Mutant, ...]
    call_id: str
    tried: int
    seconds: float
    """Processor time of its busiest worker."""


def screen(
    mutants: Sequence[Mutant], found: Reproduction, tree: Tree, why: str
) -> Steps[Screening]:
    """Run the reproduction, then the suite, on each mutant in scratch copies of the tree."""
    suite = suite_args(tree)
    job = {
        "repro": list(found.tests),
        "plain": found.plain,
        "suite": suite,
        "total_s": TIME_S,
        **as_job(mutants),
    }
    path = JOB.format("mutants")
    yield from call(
        "create", why, path=path, content=json.dumps(job, ensure_ascii=False, separators=(",", ":"))
    )
    result = yield from call(
        "bash",
        f"Try the {len(mutants)} changes in scratch copies: first the reproduction, then, where "
        "it passes, all tests.",
        command=f"cd /workspace && {driver(tree)} screen {path}",
        timeout_s=MOST_ELAPSED_S,
    )
    return read_screening(result.text, mutants, result.call_id)


def as_job(mutants: Sequence[Mutant]) -> dict[str, object]:
    """The part of a job that says what is to be tried."""
    files = sorted({part.path for m in mutants for part in (m, *m.also)})
    listed = [
        [n, [[files.index(p.path), p.first, p.last, p.new] for p in (m, *m.also)]]
        for n, m in enumerate(mutants)
    ]
    return {"files": files, "mutants": listed}


def read_screening(text: str, mutants: Sequence[Mutant], call_id: str = "") -> Screening:
    """The driver's answer."""
    kept = re.search(r"^SURVIVORS (\[.*\])$", text, re.M)
    ids = json.loads(kept.group(1)) if kept else []
    summary = next((line for line in text.split("\n") if line.startswith("screened")), "")
    count = re.match(r"screened (\d+) of \d+ in ([\d.]+) s", summary)
    return Screening(
        summary or "the screening did not end: " + text[-300:],
        tuple(mutants[n] for n in ids if 0 <= n < len(mutants)),
        call_id,
        int(count.group(1)) if count else 0,
        float(count.group(2)) if count else 0.0,
    )


def trust(mutant: Mutant, inputs: Sequence[str]) -> float:
    """How far a survivor is to be trusted: its score, less for what looks made for the example."""
    if mutant.undoes:
        return mutant.score
    old, new = mutant.old, mutant.new or ""
    value = mutant.score
    added = _tokens(new) - _tokens(old)
    special = {i for i in inputs if len(i) > 1 and i not in ("''", '""', "-1")}
    if any(token in special or token.strip("'\"") in special for token in added):
        value *= 0.4
    flipped = mutant.operator in ("True → False", "False → True")
    if mutant.operator.startswith(FORCED) or (flipped and old.strip().startswith("return")):
        value *= 0.5
    if len(new) < len(old) * 0.6:
        value *= 0.8
    return value / (1.0 + 0.01 * max(0, len(new) - len(old)))


def _tokens(text: str) -> set[str]:
    return set(re.findall(r"'[^']*'|\"[^\"]*\"|\w+(?:\.\d+)?", text))


def as_edit(text: str, mutant: Mutant) -> tuple[str, str]:
    """The mutant as an exact replacement that occurs once: widened by whole lines as needed."""
    lines = text.split("\n")
    first, last = mutant.first - 1, mutant.last
    new = [] if mutant.new is None else mutant.new.split("\n")
    above = below = 0
    while True:
        head = lines[first - above : first]
        tail = lines[last : last + below]
        old_text = "\n".join([*head, *lines[first:last], *tail])
        if (head or tail or new) and old_text.strip() and text.count(old_text) == 1:
            return old_text, "\n".join([*head, *new, *tail])
        if first - above > 0:
            above += 1
        if last + below < len(lines) - 1:
            below += 1
        if above >= first and last + below >= len(lines) - 1:
            return "\n".join(lines), "\n".join([*lines[:first], *new, *lines[last:]])
