"""The ledger of the search: one hypothesis per suspicious function, tested by screening."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.models.offline.issue_examples import Example
from agent.models.offline.localise import Spectrum, Unit
from agent.models.offline.mutations import Mutant, is_sound
from agent.models.offline.mutations.source import Source
from agent.models.offline.protocol import Result, Steps, call
from agent.models.offline.repository_view import Tree, read_tests
from agent.models.offline.reproduce import Reproduction
from agent.models.offline.screening import Screening, as_edit, screen, trust
from agent.models.offline.survivor_vote import (
    POSSIBLE_RIVAL,
    Behaviour,
    Difference,
    Rated,
    as_documented,
    compare,
    differences,
    rank_survivors,
    rivals,
)
from agent.models.offline.variants import constants_of

PASSES = (500, 800, 1200)
"""How many mutants each pass over the functions may screen, best first."""
AT_ONCE = 160
MOST_CALLS = 230
"""Calls after which no new hypothesis is opened, so that the end is in words and in time."""
MOST_SUBMISSIONS = 6
MOST_NAMED = 3
"""How many rivals a draft names."""
CERTAIN = 0.5
"""Trust that a change needs if all that speaks for it is one truth value, and it turns over more
than half of the answers on inputs near that one.
"""
MOST_SECONDS = 1200.0
"""Seconds of screening (`Screening.seconds`) after which the search ends."""
ASKED_ABOUT_STYLE = "the project's own style programs have new complaints"
"""Words of the gate's question about a patch that holds."""


@dataclass(frozen=True, slots=True)
class SearchContext:
    """What the search stands on."""

    found: Reproduction
    tree: Tree
    spectrum: Spectrum
    sources: Mapping[str, Source]
    units: tuple[Unit, ...]
    mutants: tuple[Mutant, ...]
    texts: Mapping[str, str]
    """All files that were looked at, also those that are no Python."""
    documented: tuple[Example, ...] = ()
    """Examples in the sources' own documentation."""


@dataclass
class Search:
    """What the search has done so far."""

    calls: int = 0
    tried: int = 0
    seconds: float = 0.0
    seen: set[str] = field(default_factory=set)
    rejected: list[str] = field(default_factory=list)
    submissions: int = 0
    reserve: dict[Mutant, Behaviour] = field(default_factory=dict)
    """Changes that pass all tests but fit the example only: for the end, if nothing is better."""


def search(context: SearchContext, state: Search) -> Steps[Search | None]:
    """Pass over the suspicious functions until a change is proven. Returns None when it is."""
    queue = iter(context.mutants)
    for size in PASSES:
        batch = _next_mutants(queue, context, size)
        if not batch:
            break
        groups = _by_unit(batch, context.units)
        while groups:
            if is_out_of_budget(state):
                return state
            unit, own = groups.pop(0)
            proven = yield from _hypothesis(context, state, unit, own, groups)
            if proven:
                return None
    if state.reserve and state.submissions < MOST_SUBMISSIONS:
        left = _least_bad(state.reserve, context.found.inputs)
        unit = _unit_of(left[0], context.units) or context.units[0]
        yield from propose(state, unit, len(left))
        if (yield from decide(context, state, unit, left, state.reserve, [])):
            return None
    return state


def _least_bad(reserve: Mapping[Mutant, Behaviour], inputs: Sequence[str]) -> list[Mutant]:
    """The changes that no documented example contradicts; else the one most to be trusted."""
    kept = [m for m, behaviour in reserve.items() if not behaviour.contradicted]
    return kept or [max(reserve, key=lambda m: trust(m, inputs))]


def is_out_of_budget(state: Search) -> bool:
    """Whether no further hypothesis may be opened."""
    return (
        state.calls > MOST_CALLS
        or state.submissions >= MOST_SUBMISSIONS
        or state.seconds > MOST_SECONDS
    )


def _next_mutants(queue: Iterator[Mutant], context: SearchContext, size: int) -> list[Mutant]:
    """The next mutants that are valid Python and mean something else."""
    taken: list[Mutant] = []
    for mutant in queue:
        if is_sound(context.sources[mutant.path], mutant):
            taken.append(mutant)
            if len(taken) >= size:
                break
    return taken


def _by_unit(batch: Sequence[Mutant], units: Sequence[Unit]) -> list[tuple[Unit, list[Mutant]]]:
    groups: dict[Unit, list[Mutant]] = {}
    for mutant in batch:
        unit = _unit_of(mutant, units)
        if unit is not None:
            groups.setdefault(unit, []).append(mutant)
    return [(u, groups[u]) for u in units if u in groups]


def _unit_of(mutant: Mutant, units: Sequence[Unit]) -> Unit | None:
    inside = [u for u in units if u.path == mutant.path and u.first <= mutant.line <= u.last]
    return min(inside, key=lambda u: u.last - u.first, default=None)


def _hypothesis(
    context: SearchContext,
    state: Search,
    unit: Unit,
    own: Sequence[Mutant],
    rivals: list[tuple[Unit, list[Mutant]]],
) -> Steps[bool]:
    """Test whether the fault is in one function; its rivals too if it could be."""
    yield from propose(state, unit, len(own))
    state.seen.add(f"{unit.path}:{unit.name}")
    survivors: list[Mutant] = []
    evidence: list[Screening] = []
    for part in _chunks(own):
        if evidence and POSSIBLE_RIVAL * _best_score(survivors, context) >= part[0].score:
            break
        evidence.append(
            (yield from screened(context, state, part, f"Small changes of {unit.name}."))
        )
        survivors += evidence[-1].survivors
    if not survivors:
        yield from _refute(state, unit, evidence)
        return False
    seen = yield from compared(context, state, survivors)
    sound = [m for m in survivors if m not in seen or not seen[m].speaks_against]
    if not sound:
        state.reserve |= {m: seen[m] for m in survivors}
        yield from resolve(
            state,
            "refute",
            f"{len(survivors)} change(s) pass all tests, but all fit the example only: they make "
            "inputs near it raise that gave a value before, or contradict a documented example.",
            [s.call_id for s in evidence],
        )
        return False
    survivors = sound
    least = POSSIBLE_RIVAL * _best_score(survivors, context)
    others = sorted(
        (m for _, group in rivals for m in group if m.score > least), key=lambda m: -m.score
    )
    for part in _chunks(others, most=1):
        also = yield from screened(
            context,
            state,
            part,
            f"{len(survivors)} change(s) of {unit.name} would do. Would a change elsewhere that is "
            "about as likely explain it, too? A fair test looks at the rivals before it decides.",
        )
        survivors += also.survivors
    if others:
        seen = yield from compared(context, state, survivors)
    # Rivals that were screened are done with; the others may still be asked if the gate refuses.
    asked = set(others)
    rivals[:] = [(u, left) for u, group in rivals if (left := [m for m in group if m not in asked])]
    return (yield from decide(context, state, unit, survivors, seen, [evidence[0].call_id]))


def _chunks(mutants: Sequence[Mutant], most: int = 3) -> list[Sequence[Mutant]]:
    """Parts for one screening each: few enough for the calls that a hypothesis has."""
    size = max(AT_ONCE, -(-len(mutants) // most))
    return [mutants[at : at + size] for at in range(0, len(mutants), size)]


def _best_score(survivors: Sequence[Mutant], context: SearchContext) -> float:
    return max((trust(m, context.found.inputs) for m in survivors), default=0.0)


def compared(
    context: SearchContext, state: Search, survivors: Sequence[Mutant]
) -> Steps[Mapping[Mutant, Behaviour]]:
    """How the changes that pass behave on inputs near the example."""
    named = _constants(context, survivors)
    seen = yield from compare(survivors, context.found, context.tree, context.documented, named)
    state.calls += 2 if seen else 0
    return seen


def _constants(context: SearchContext, survivors: Sequence[Mutant]) -> list[bool | float | str]:
    """The short literals of the modules that these change."""
    texts = [context.texts[path] for path in sorted({m.path for m in survivors})]
    return [value for text in texts for value in constants_of(text)]


def _differences(
    context: SearchContext, state: Search, order: Sequence[Rated]
) -> Steps[Mapping[Mutant, Difference]]:
    others = rivals(order)[:MOST_NAMED]
    if not others:
        return {}
    best = order[0].mutant
    named = _constants(context, [r.mutant for r in order])
    apart = yield from differences(best, others, context.found, context.tree, named)
    state.calls += 2
    return apart


def decide(
    context: SearchContext,
    state: Search,
    unit: Unit,
    survivors: Sequence[Mutant],
    seen: Mapping[Mutant, Behaviour],
    calls: Sequence[str],
) -> Steps[bool]:
    """Apply the survivors in order of trust until the gate holds for one."""
    order = rank_survivors(
        as_documented(survivors, seen), context.found.inputs, seen, context.found.crashed
    )
    open_unit: Unit | None = unit
    for at, rated in enumerate(order[:MOST_SUBMISSIONS]):
        mutant = rated.mutant
        place = unit if mutant.undoes else _unit_of(mutant, context.units) or unit
        if open_unit is not None and open_unit != place:
            yield from resolve(
                state,
                "refute",
                f"Of {len(survivors)} changes that pass, the best is in {place.name}, not here.",
                calls,
            )
            open_unit = None
        if open_unit is None:
            yield from propose(state, place, 1)
            open_unit = place
        apart = yield from _differences(context, state, order[at:])
        why = contradiction(mutant, context.documented, seen) or doubt(
            order[at:], context.found, seen, apart
        )
        proven, evidence, shown = yield from _apply(
            context, state, mutant, place, len(survivors), why
        )
        if proven:
            return True
        state.rejected.append(f"{describe(mutant)}: {evidence}")
        if not evidence.startswith("the gate"):
            yield from resolve(state, "refute", evidence, shown)
        open_unit = None
        if state.submissions >= MOST_SUBMISSIONS:
            return False
    if open_unit is not None:
        yield from resolve(state, "refute", "None of its changes held.", calls)
    return False


def _apply(
    context: SearchContext, state: Search, mutant: Mutant, place: Unit, count: int, why: str
) -> Steps[tuple[bool, str, list[str]]]:
    parts = [(p.path, *as_edit(context.texts[p.path], p)) for p in (mutant, *mutant.also)]
    for path, old, new in parts:
        edited = yield from _ask(
            state,
            "edit",
            f"The most trusted of {count} change(s) that pass: {describe(mutant)}.",
            path=path,
            old=old,
            new=new,
        )
        if not edited.text.startswith("edited"):
            return False, "the edit was refused", [edited.call_id]
    result = yield from _ask(state, "run_tests", "All tests, on the real tree.")
    run = read_tests(result)
    if run.failing and not set(run.failing) <= _known(result):
        return False, f"with it, tests fail: {', '.join(run.failing[:3])}", [result.call_id]
    yield from resolve(
        state,
        "confirm",
        f"With this change the reproduction passes and so do all tests: {run.summary}.",
        [edited.call_id, result.call_id],
    )
    state.submissions += 1
    submitted = {
        "root_cause": root_cause(mutant, place, context),
        "summary": f"{mutant.path}: {describe(mutant)}.",
        "risk": f"{count} small change(s) passed all tests; this one ranked first. A person should "
        "check that it is the meant behaviour for inputs that no test covers.",
        "undecided": why,
    }
    answer = yield from _ask(
        state, "submit", "The prediction held. Put it before the gate.", **submitted
    )
    if ASKED_ABOUT_STYLE in answer.text:
        # Small changes are made in no project's style: a person may correct it.
        answer = yield from _ask(state, "submit", "It stays as it is.", **submitted)
    if answer.text.startswith("proven"):
        return True, "", []
    reasons = " ".join(line.strip("- ") for line in answer.lines[1:4])
    for path, old, new in parts:
        yield from _undo_edit(state, path, new, old)
    return False, f"the gate: {reasons}"[:400], [answer.call_id]


def contradiction(
    mutant: Mutant, documented: Sequence[Example], seen: Mapping[Mutant, Behaviour]
) -> str:
    """The documented examples that fail with the change, in words; else empty."""
    failing = [documented[n] for n in seen[mutant].contradicted] if mutant in seen else []
    if not failing:
        return ""
    shown = "; ".join(f"`{e.expr}` should give `{e.expected[0]}`" for e in failing[:3])
    return f"{len(failing)} documented example(s) of the module do not hold with it: {shown}."


def doubt(
    order: Sequence[Rated],
    found: Reproduction,
    seen: Mapping[Mutant, Behaviour],
    apart: Mapping[Mutant, Difference],
) -> str:
    """Why the first of these, though it passes, may not be the fix that is meant; else empty.

    `apart`: an input for each rival on which it differs from the first, where one was found.
    """
    others = rivals(order)
    if others:
        named = "; ".join(_rival(m, apart.get(m)) for m in others[:MOST_NAMED])
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        return (
            f"{len(others)} other small change(s) pass the same tests and behave otherwise on "
            f"inputs that no test covers, or could not be compared: {named}{more}. Which is meant, "
            "the issue does not say."
        )
    best = order[0].mutant
    turned = best in seen and seen[best].altered > seen[best].inputs / 2
    if found.by_chance and turned and trust(best, found.inputs) < CERTAIN:
        return (
            "All that speaks for this change is one truth value, and it turns over most of the "
            "answers to questions like that one. An example with the other answer would decide it."
        )
    return ""


def _rival(mutant: Mutant, difference: Difference | None) -> str:
    where = f"{mutant.path}, {describe(mutant)}"
    if difference is None:
        return where
    return (
        f"{where} (for `{difference.code[:160]}`, this patch: `{difference.here[:80]}`, "
        f"the other: `{difference.there[:80]}`)"
    )


def _undo_edit(state: Search, path: str, new: str, old: str) -> Steps[None]:
    """A confirmed hypothesis keeps its tree, so what the gate refused is taken back by hand."""
    yield from _ask(
        state, "edit", "The gate did not prove it: take it back.", path=path, old=new, new=old
    )


def _known(result: Result) -> set[str]:
    marks = [line for line in result.lines if "(fails without your change too)" in line]
    return {line.split(" ", 1)[1].split("  (")[0] for line in marks}


def describe(mutant: Mutant) -> str:
    """A change in one line."""
    old = " ".join(mutant.old.split())
    new = " ".join((mutant.new or "").split())
    if not old:
        return f"line {mutant.first}, {mutant.operator}: add `{new[:160]}`"
    if not new:
        return f"line {mutant.first}, {mutant.operator}: remove `{old[:160]}`"
    return f"line {mutant.first}, {mutant.operator}: `{old[:120]}` becomes `{new[:160]}`"


def root_cause(mutant: Mutant, place: Unit, context: SearchContext) -> str:
    """Why it happened, as far as a search can say."""
    if mutant.undoes:
        files = ", ".join(sorted({part.path for part in (mutant, *mutant.also)}))
        return (
            f"{context.found.what}. The cause is what commit {mutant.undoes} changed in {files}: "
            "without that part of it, it works again."
        )
    score = context.spectrum.lines.get(mutant.path, {}).get(mutant.line)
    measured = f" (suspicion by coverage {score:.2f})" if score is not None else ""
    return (
        f"{context.found.what}. The cause is in {place.name} in {mutant.path}, line "
        f"{mutant.line}{measured}: {mutant.operator}."
    )


def propose(state: Search, unit: Unit, count: int) -> Steps[Result]:
    """Open a hypothesis: the fault is here."""
    return (
        yield from _ask(
            state,
            "hypothesis",
            f"{unit.name} has suspicion {unit.suspicion:.2f}; test it next.",
            action="propose",
            claim=f"The fault is in {unit.name} ({unit.path}, lines {unit.first} to {unit.last}).",
            prediction="A small change there makes the reproduction pass and breaks no other test.",
            test=f"Try {count} small change(s) of it on the reproduction, then on all tests.",
        )
    )


def _refute(state: Search, unit: Unit, screenings: Sequence[Screening]) -> Steps[Result]:
    seen = "; ".join(s.summary for s in screenings)
    evidence = f"No small change of {unit.name} fixes it: {seen}."
    return (yield from resolve(state, "refute", evidence, [s.call_id for s in screenings]))


def resolve(state: Search, action: str, evidence: str, calls: Sequence[str]) -> Steps[Result]:
    """Confirm or refute the open hypothesis."""
    words = "The prediction held." if action == "confirm" else "The prediction did not hold."
    return (
        yield from _ask(
            state, "hypothesis", words, action=action, evidence=evidence, calls=list(calls)
        )
    )


def screened(
    context: SearchContext, state: Search, mutants: Sequence[Mutant], why: str
) -> Steps[Screening]:
    """Try changes on the reproduction and the suite."""
    state.calls += 2
    screening = yield from screen(mutants, context.found, context.tree, why)
    state.tried += screening.tried
    state.seconds += screening.seconds
    return screening


def _ask(state: Search, name: str, why: str, **arguments: object) -> Steps[Result]:
    state.calls += 1
    return (yield from call(name, why, **arguments))
