"""Which of several survivors to trust: those that behave alike on nearby inputs speak together."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from agent.models.offline.issue_examples import Example
from agent.models.offline.mutations import Mutant
from agent.models.offline.protocol import Steps, call
from agent.models.offline.repository_view import JOB, MOST_ELAPSED_S, Tree, driver
from agent.models.offline.reproduce import Reproduction
from agent.models.offline.screening import as_job, trust
from agent.models.offline.variants import nearby

MOST_COMPARED = 40
MOST_EXAMPLES = 60
RIVAL = 0.65
"""What a behaviour must weigh beside the best one to leave it open which is meant; measured, see
docs/evaluation.md."""
POSSIBLE_RIVAL = RIVAL / 2
"""What a change must weigh beside the best one to be looked at: those that behave alike weigh up to
twice as much as the best of them."""


LAZY = ("return → yield", "return → yield from")
"""Changes after which a call runs nothing of the function, and so cannot crash."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a survivor behaves on inputs near the example."""

    mark: str
    """Equal for survivors that behave alike."""
    changed: int
    """Inputs that give another result than without the change."""
    raised: int
    """Inputs that raise and did not before."""
    inputs: int
    altered: int = 0
    """Inputs that gave a value before, and give another one."""
    cured: int = 0
    """Inputs that raised before, and no longer raise the same: of an odd input (a field's default
    that is no text) another exception may well be right."""
    held: int = 0
    """Documented examples of the changed modules that hold."""
    contradicted: tuple[int, ...] = ()
    """Documented examples that do not, by number."""

    @property
    def harmful(self) -> bool:
        """Whether it makes a good part of the nearby inputs raise."""
        return self.raised > 0.2 * self.inputs

    @property
    def speaks_against(self) -> bool:
        """Whether it is harmful, or not what the sources document."""
        return self.harmful or bool(self.contradicted)


@dataclass(frozen=True, slots=True)
class Difference:
    """An input on which two survivors differ."""

    code: str
    here: str
    """What it gives with the one, or what it raises."""
    there: str
    """The same with the other."""


@dataclass(frozen=True, slots=True)
class Rated:
    """The best of the survivors that behave alike, and what they weigh together."""

    mutant: Mutant
    weight: float


def compare(
    survivors: Sequence[Mutant],
    found: Reproduction,
    tree: Tree,
    documented: Sequence[Example] = (),
    constants: Sequence[bool | float | str] = (),
) -> Steps[Mapping[Mutant, Behaviour]]:
    """Run the survivors on inputs near the examples, and on those that the sources document.

    `constants` that the code names take the place of literals, since what it does with each may be
    all in which two survivors differ.
    Empty when there is nothing to compare.
    """
    examples = _inputs(found, constants)
    best = sorted(survivors, key=lambda m: -trust(m, found.inputs))[:MOST_COMPARED]
    if not best or not (examples or documented):
        return {}
    job = _job(best, examples, found) | {
        "documented": [
            {"setup": "\n".join(e.setup), "expr": e.expr, "expected": e.expected}
            for e in documented
        ],
    }
    path = JOB.format("compare")
    yield from call(
        "create",
        f"{len(survivors)} change(s) pass all tests; the tests cannot tell more. How do they "
        f"behave on {len(examples)} inputs near the example?",
        path=path,
        content=json.dumps(job, ensure_ascii=False),
    )
    result = yield from call(
        "bash",
        "Changes that behave alike speak for each other; one that raises where nothing was raised "
        "before speaks against itself.",
        command=f"cd /workspace && {driver(tree)} compare {path}",
        timeout_s=MOST_ELAPSED_S,
    )
    return read_comparison(result.text, best)


def _inputs(found: Reproduction, constants: Sequence[bool | float | str]) -> list[Example]:
    share = MOST_EXAMPLES // max(1, len(found.examples))
    return [n for e in found.examples for n in nearby(e, share, constants)]


def _job(
    mutants: Sequence[Mutant], examples: Sequence[Example], found: Reproduction
) -> dict[str, object]:
    return {
        "limit_s": 10,
        "crashed": found.crashed,
        **as_job(mutants),
        "examples": [{"setup": "\n".join(e.setup), "expr": e.expr} for e in examples],
    }


def differences(
    best: Mutant,
    others: Sequence[Mutant],
    found: Reproduction,
    tree: Tree,
    constants: Sequence[bool | float | str] = (),
) -> Steps[Mapping[Mutant, Difference]]:
    """For each of the others the shortest input near the examples on which it and `best` differ."""
    examples = _inputs(found, constants)
    if not examples or not others:
        return {}
    path = JOB.format("differ")
    yield from call(
        "create",
        "Several changes would do. On which input do they differ? Whoever decides can tell by it.",
        path=path,
        content=json.dumps(_job([best, *others], examples, found), ensure_ascii=False),
    )
    result = yield from call(
        "bash",
        "The shortest input on which each behaves otherwise than the most trusted one.",
        command=f"cd /workspace && {driver(tree)} differ {path}",
        timeout_s=MOST_ELAPSED_S,
    )
    return read_differences(result.text, others, examples)


def read_differences(
    text: str, others: Sequence[Mutant], examples: Sequence[Example]
) -> dict[Mutant, Difference]:
    """The driver's answer."""
    read = {}
    for hit in re.finditer(r"^DIFFERS (\d+) (\[.*\])$", text, re.M):
        number, (at, here, there) = int(hit.group(1)), json.loads(hit.group(2))
        if 0 < number <= len(others) and at < len(examples):
            read[others[number - 1]] = Difference(_shown(examples[at]), here, there)
    return read


def _shown(example: Example) -> str:
    """An input's code in one line, without its imports."""
    setup = [line for line in example.setup if not line.startswith(("import ", "from "))]
    return "; ".join(" ".join(part.split()) for part in (*setup, example.expr))


def read_comparison(text: str, mutants: Sequence[Mutant]) -> dict[Mutant, Behaviour]:
    """The driver's answer."""
    found = {}
    total = re.search(r"^compared \d+ changes on (\d+)", text, re.M)
    inputs = int(total.group(1)) if total else 0
    for hit in re.finditer(r"^SIGN (\d+) (\w+) (\d+) (\d+) (\d+)(?: (\d+))?$", text, re.M):
        if int(hit.group(1)) < len(mutants):
            changed, raised, altered, cured = (int(hit.group(n) or 0) for n in (3, 4, 5, 6))
            behaviour = Behaviour(hit.group(2), changed, raised, inputs, altered, cured)
            found[mutants[int(hit.group(1))]] = behaviour
    for hit in re.finditer(r"^HELD (\d+) (\d+) \d+\nFAILS \1 (\[[\d, ]*\])$", text, re.M):
        if (at := int(hit.group(1))) < len(mutants) and mutants[at] in found:
            found[mutants[at]] = replace(
                found[mutants[at]],
                held=int(hit.group(2)),
                contradicted=tuple(json.loads(hit.group(3))),
            )
    return found


def as_documented(survivors: Sequence[Mutant], seen: Mapping[Mutant, Behaviour]) -> list[Mutant]:
    """The survivors without those that contradict a documented example which another one keeps."""
    most = max((seen[m].held for m in survivors if m in seen), default=0)
    return [m for m in survivors if most == 0 or (m in seen and seen[m].held == most)]


def rank_survivors(
    survivors: Sequence[Mutant],
    inputs: Sequence[str],
    seen: Mapping[Mutant, Behaviour],
    crashed: bool = False,
) -> list[Rated]:
    """One survivor for each behaviour, the most trusted behaviour first.

    Where the bug is a crash (`crashed`), what gave a value before should give the same one after,
    inputs nearby that crash as well should no longer do so, and a function that is merely not run
    any more until somebody asks its result is no fix.
    """
    if crashed:
        survivors = [m for m in survivors if m.operator not in LAZY]
    groups: dict[str, list[Mutant]] = {}
    for mutant in survivors:
        alone = f"{mutant.path}:{mutant.first}:{mutant.new}"
        groups.setdefault(seen[mutant].mark if mutant in seen else alone, []).append(mutant)
    most_cured = max((seen[m].cured for m in survivors if m in seen), default=0)
    rated = []
    for group in groups.values():
        ordered = sorted(group, key=lambda m: (-trust(m, inputs), m.path, m.first, m.new or ""))
        # The best one counts whole, those that behave alike support it with decreasing weight.
        weight = sum(trust(m, inputs) * 0.5**n for n, m in enumerate(ordered))
        best = seen.get(ordered[0])
        against = 0 if best is None else best.raised
        if best is not None and crashed:
            against += best.altered + most_cured - best.cured
        rated.append(Rated(ordered[0], weight * 0.6 ** min(against, 4)))
    return sorted(
        rated,
        key=lambda r: (-r.weight, r.mutant.path, r.mutant.first, r.mutant.new or ""),
    )


def rivals(rated: Sequence[Rated]) -> list[Mutant]:
    """Those that behave otherwise than the first and are not clearly less to be trusted."""
    return [r.mutant for r in rated[1:] if r.weight >= RIVAL * rated[0].weight]
