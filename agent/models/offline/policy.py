"""The search, from the first look to the submission or the honest end. It reads top to bottom."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources

import libcst as cst

from agent.models.offline.documented import documented_examples
from agent.models.offline.history.culprit import Culprit, commits_before, look_for_culprits
from agent.models.offline.history.trial import undo_culprits
from agent.models.offline.history.undoing import raised
from agent.models.offline.issue_examples import IssueReport, read_issue
from agent.models.offline.localise import Spectrum, Unit, measure, read_sources, suspicion, units_of
from agent.models.offline.mutations import Mutant, mutate
from agent.models.offline.mutations.source import Source
from agent.models.offline.plan import WANTED, with_plan
from agent.models.offline.protocol import Steps, call
from agent.models.offline.repository_view import HOME, LIST, TestRun, Tree, read_tests, read_tree
from agent.models.offline.reproduce import Reproduction, from_failing_tests, from_issue
from agent.models.offline.search import Search, SearchContext, search

DRIVER = {
    "children.py": "A driver for the search, in three files. This one: children under limits of "
    "time and memory, in scratch copies outside the tree.",
    "suite.py": "Its second file: line coverage, and many small changes screened in one command.",
    "driver.py": "Its third file: examples tried, survivors compared.",
}


def policy(task_text: str, seed: int = 0) -> Steps[str]:
    """Debug one issue. Returns, if nothing was proven, the diagnosis in words for the issue."""
    steps = _debug(task_text, seed)
    return (yield from (with_plan(steps, _send_driver) if WANTED in task_text else steps))


def _debug(task_text: str, seed: int) -> Steps[str]:
    title, issue = issue_of(task_text)
    report = read_issue(f"{title}\n\n{issue}")
    tree = yield from _look()
    if not tree.sources:
        return "This search fixes Python only, and the repository holds no Python modules."
    if not tree.has_pytest:
        return "This search needs pytest in the sandbox, and it cannot be imported there."
    run = yield from _run_tests("Do the tests pass as they are?")
    yield from _send_driver()
    found = yield from _reproduce(title, report, tree, run)
    if found is None:
        return _no_reproduction(report, run)
    spectrum = yield from measure(found, tree)
    ran = spectrum.ranked if spectrum is not None else ()
    culprits: tuple[Culprit, ...] = ()
    if commits_before(task_text) > 1:
        culprits = yield from look_for_culprits(ran)
    if spectrum is None and not culprits:
        return (
            f"Reproduced: {found.what}. But the failing test runs no line of the repository's code."
        )
    spectrum = spectrum or Spectrum({}, (), "none of it", "")
    context = yield from _prepare(found, tree, spectrum, report, seed, culprits)
    state = Search()
    if (yield from undo_culprits(context, state, culprits)):
        return ""
    ended = yield from search(context, state)
    return _nothing_found(context, ended, culprits) if ended is not None else ""


def issue_of(task_text: str) -> tuple[str, str]:
    """The issue's title and body out of the task prompt; all of it when it is not marked."""
    inside = re.search(r"<issue(|-[0-9a-f]{16})>(.*)</issue\1>", task_text, re.S)
    text = inside.group(2) if inside else task_text
    marked = re.search(r"<title>(.*?)</title>\n?", text, re.S)
    if marked:
        return marked.group(1).strip(), text[marked.end() :]
    head, _, rest = text.strip().partition("\n")
    return head.lstrip("# ").strip(), rest


def _look() -> Steps[Tree]:
    result = yield from call("bash", "First a look at what is there.", command=LIST)
    return read_tree(result)


def _run_tests(why: str) -> Steps[TestRun]:
    result = yield from call("run_tests", why)
    return read_tests(result)


def _send_driver() -> Steps[None]:
    folder = resources.files("agent.models.offline.sandboxed")
    for name, why in DRIVER.items():
        text = folder.joinpath(name).read_text("utf-8")
        yield from call("create", why, path=f"{HOME}/patchwright_search/{name}", content=text)


def _reproduce(
    title: str, report: IssueReport, tree: Tree, run: TestRun
) -> Steps[Reproduction | None]:
    """What shows the bug. Tests that fail already come first only if the issue speaks of them or
    shows nothing itself: in many a repository some fail for reasons of their own."""
    if about_failing_tests(report, run):
        return (yield from from_failing_tests(run, tree)) or (
            yield from from_issue(title, report, tree)
        )
    found = yield from from_issue(title, report, tree)
    if found is None and run.failing:
        found = yield from from_failing_tests(run, tree)
    return found


def about_failing_tests(report: IssueReport, run: TestRun) -> bool:
    """Whether tests fail already, and the issue names one of them or shows nothing itself."""
    names = {re.split(r"::|\.", name)[-1].partition("[")[0] for name in run.failing}
    named = any(re.search(rf"\b{re.escape(name)}\b", report.text) for name in names if name)
    return bool(run.failing) and (named or not (report.examples or report.traces))


def _prepare(
    found: Reproduction,
    tree: Tree,
    spectrum: Spectrum,
    report: IssueReport,
    seed: int,
    culprits: Sequence[Culprit],
) -> Steps[SearchContext]:
    changed = {f.path: f.now for c in culprits for f in c.changes if f.now}
    texts = yield from read_sources(spectrum, changed)
    sources: dict[str, Source] = {}
    mutants: list[Mutant] = []
    units: list[Unit] = []
    for path, text in texts.items():
        scores = raised(suspicion(path, text, spectrum, report), path, text, culprits)
        try:
            source = Source(path, text, literals=(*report.literals, *found.inputs))
        except cst.ParserSyntaxError:
            continue
        sources[path] = source
        units += units_of(path, text, scores)
        mutants += mutate(source, scores)
    mutants = [with_seeded_score(m, seed) for m in mutants]
    mutants.sort(key=lambda m: (-m.score, m.path, m.first, m.new or ""))
    units.sort(key=lambda u: (-u.suspicion, u.path, u.first))
    documented = documented_examples(texts, tree)
    return SearchContext(
        found, tree, spectrum, sources, tuple(units), tuple(mutants), texts, tuple(documented)
    )


def with_seeded_score(mutant: Mutant, seed: int) -> Mutant:
    """The mutant with a score that the seed moves by up to a fifth; seed 0 leaves it alone.

    Attempts side by side then look in another order and trust other survivors.
    """
    if seed == 0:
        return mutant
    mark = hashlib.sha256(f"{seed}:{mutant.path}:{mutant.first}:{mutant.new}".encode()).digest()
    return replace(mutant, score=mutant.score * (0.9 + 0.2 * mark[0] / 255))


def _no_reproduction(report: IssueReport, run: TestRun) -> str:
    tried = f"{len(report.examples)} example(s) and {len(report.traces)} traceback(s)"
    return (
        "I could not reproduce this. "
        f"The repository's tests: {run.summary}. "
        f"The issue text holds {tried} that I could read; none of them fails here in the way it "
        "says. A call with the value it gives and the value expected, e.g. `>>> f(3)`, or a "
        "failing test, would let me go on. This search uses no language model: it cannot work "
        "from a description alone. Nothing was changed."
    )


def _nothing_found(context: SearchContext, ended: Search, culprits: Sequence[Culprit]) -> str:
    top: Sequence[str] = [
        f"- {u.name} in {u.path}, lines {u.first} to {u.last} (suspicion {u.suspicion:.2f})"
        for u in context.units[:5]
    ]
    rejected = [f"- tried and not proven: {line}" for line in ended.rejected]
    return "\n".join(
        [
            f"Reproduced: {context.found.what}.",
            "",
            f"No fix was found: {ended.tried} small changes in {len(ended.seen)} place(s) were "
            "tried; none makes the reproduction pass, breaks no other test and holds before the "
            "gate. The fault may need a change of more than one statement.",
            *(f"- {culprit.words} Undoing parts of it alone is no fix." for culprit in culprits),
            *rejected,
            "",
            f"The most suspicious places, by coverage ({context.spectrum.summary}):",
            *top,
            "",
            f"To reproduce: `{context.found.command}`",
        ]
    )
