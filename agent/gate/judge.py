"""The judgement of one submitted patch, in fresh sandboxes from the base commit.

Reads top to bottom: what the patch is, rules that need no run, the runs without and with it, steps
of further evidence, the verdict. `proven`: everything was seen to hold. `contested`: it holds but
for tests that contradict the issue. `refused`: against the rules. `unproven`: perhaps honest, but
not shown.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

from agent.errors import AgentError
from agent.gate.background import SandboxesAhead, background, sandboxes_ahead
from agent.gate.behaviour.check import behaviour
from agent.gate.chance import share
from agent.gate.claims import Claims
from agent.gate.compare import reproduction_check
from agent.gate.contested import (
    contested_check,
    run_changed_tests_on_base,
    with_all_names,
    with_diffs,
)
from agent.gate.hunks import all_needed, evidence_of_hunks, try_with_reproduction
from agent.gate.patch.apply import changed_files, differences
from agent.gate.patch.changed_file import ChangedFile
from agent.gate.patch.parse import BadPatch, FileChange, parse_patch
from agent.gate.progress import OnProgress, Progress
from agent.gate.proof import (
    Before,
    Case,
    Proof,
    Runs,
    base_suites,
    fails_in_its_place,
    files_placed,
    fresh_sandbox,
    prove,
    see_before,
    see_next_place,
    smallest_patch,
)
from agent.gate.rules.all import Base, refusals
from agent.gate.rules.paths import change_refusals, size_refusals
from agent.gate.sandbox_runs import run_reproduction
from agent.gate.scope import Touched, scope_check, touched_by
from agent.gate.steps import Allowance, Evidence, HeldPatch, Step, look_for_more
from agent.gate.style import project_rules
from agent.journal.events import (
    JUSTIFIABLE,
    UNREAD,
    Check,
    GateJudged,
    ReproductionDeclared,
    Verdict,
)
from agent.model import Record
from agent.task import GatePolicy, Issue, KeptBase, ProjectRules
from agent.testing.collection import CONFIGURATION, PytestCollection, collection_of, joined
from agent.testing.paths import is_code, is_test
from agent.testing.projects import split
from agent.testing.suite import NoTests, find_test_command, list_files, read_text
from sandbox.errors import PatchRefused, SandboxGone
from sandbox.protocol import WORKDIR, OpenSandbox, Sandbox

STEPS: tuple[Step, ...] = (evidence_of_hunks, behaviour, project_rules)
"""Evidence beyond reproduction and suite, in the order in which it is looked for."""
MOST_TRIES = 2
"""So often a patch is tried where its sandboxes die."""
_MOST_TEST_FILES = 8
"""So many are read to find the place of a regression test."""
_MOST_TESTS = 3000
_PROSE = (".md", ".rst")


class Submission(Record):
    """What is to be judged."""

    patch: str
    reproduction: ReproductionDeclared | None
    issue: Issue
    test_command: str = ""
    """Empty: found out from the repository."""
    policy: GatePolicy = GatePolicy()
    test_timeout_s: float = 600.0
    reproduction_timeout_s: float = 120.0
    """Of one run; should be what the reproduction was given when it was declared."""
    claims: Claims = Claims()
    degraded: str = ""
    """Why the environment is not the one that the repository asks for; empty: it is."""
    attempt: int = 1
    earlier: int = 0
    """How many submissions of the attempt were judged before this one."""
    deaths: int = 0
    """How often it was tried before and a sandbox died."""
    holds_regression_test: bool = False
    """Whether the patch has had its regression test before, as a pull request's has."""
    kept_base: KeptBase | None = None
    """Where the base's results are kept; None where a model may have changed the base."""
    at_once: int = 1
    """How many sandboxes may run tests at the same time."""
    shrink: bool = True
    """Whether the policy's `drop_unneeded_hunks` counts; not where people asked for changes."""
    rules_are_findings: bool = False
    """Whether a broken rule is only noted, in a check that is well: the change is not a model's,
    and its author may change what no model may, tests among it. What the runs show decides as
    ever."""
    flaky: frozenset[str] = frozenset()
    """Tests that repeated runs have shown not to end the same way each time."""
    rules: ProjectRules | None = None
    """How the project wants changes made; None: nobody asks. Advice: it takes no proof away."""


async def judge(
    submission: Submission, open_fresh: OpenSandbox, on_progress: OnProgress | None = None
) -> GateJudged:
    """Judge a patch. Never raises for what the patch or the repository does.

    `on_progress` is called as each run begins. Raises `SandboxError` when sandboxes cannot be
    opened or die without the patch in them.
    """
    try:
        changes = parse_patch(submission.patch)
    except BadPatch as error:
        return _verdict(submission, "refused", [_failed_check("patch", str(error))])
    if not changes:
        return _verdict(
            submission, "unproven", [_failed_check("patch", "The patch changes nothing.")]
        )
    paths = _path_checks(changes, submission)
    if paths and not submission.rules_are_findings:
        return _verdict(submission, "refused", paths)
    async with sandboxes_ahead(open_fresh, enabled=submission.at_once > 1) as ahead:
        ahead.prepare(1 + (submission.reproduction is not None))
        return await _judge_in_sandboxes(submission, changes, ahead, on_progress)


async def _judge_in_sandboxes(
    submission: Submission,
    changes: Sequence[FileChange],
    ahead: SandboxesAhead,
    on_progress: OnProgress | None,
) -> GateJudged:
    async with fresh_sandbox(ahead.open) as clean:
        present = await list_files(clean)
        base = Base(
            files=present,
            installed=await _installed_modules(clean),
            fixtures=await _fixture_names(clean, changes),
            collection=await pytest_collection(clean, present, submission.test_command),
        )
        try:
            files = await texts_in_tree(clean, changes, submission.patch, base.collection)
        except BadPatch as error:
            return _verdict(submission, "refused", [_failed_check("patch", str(error))])
        rules = [*_rule_checks(files, base, submission), *_size_checks(changes, submission)]
        if submission.rules_are_findings:
            noted = (*_path_checks(changes, submission), *rules)
            rules = [check.model_copy(update={"ok": True}) for check in noted]
        if any(_refuses(check, submission) for check in rules):
            return _verdict(submission, "refused", rules)
        case = await _case(clean, submission, base, files)
        progress = Progress(
            on_progress, reproduction=case.reproduction is not None, suite=bool(case.test_command)
        )
        suites = partial(base_suites, clean, case, progress)
        try:
            async with background(suites, now=case.at_once > 1) as base_runs:
                runs = Runs(ahead, case, base_runs, progress)
                return await _judge_by_runs(Admissible(submission, rules, files, clean, runs))
        except (AgentError, PatchRefused) as error:
            return _verdict(submission, "unproven", [*rules, _failed_check("run", str(error))])


@dataclass(frozen=True, slots=True)
class Admissible:
    """A submission that no rule forbids, with what its runs need."""

    submission: Submission
    rules: Sequence[Check]
    files: Sequence[ChangedFile]
    clean: Sandbox
    """A sandbox in which nothing but the base has run."""
    runs: Runs


async def _judge_by_runs(admissible: Admissible) -> GateJudged:
    """The verdict with the patch in place; a second time where the sandbox dies.

    Once may be an engine that is restarted; twice is held against the patch, unless it was the
    sandbox without the patch. The second time is another try for luck, on both sides of the patch,
    and so must show more.
    """
    submission = admissible.submission
    for deaths in range(submission.deaths, submission.deaths + MOST_TRIES):
        part = share(submission.attempt, submission.earlier, deaths)
        case = admissible.runs.case.model_copy(update={"share": part})
        tried = replace(admissible, runs=replace(admissible.runs, case=case))
        before = await see_before(tried.runs)
        try:
            return await _judge_with_patch(tried, before)
        except SandboxGone:
            if admissible.runs.base.failed:
                raise
            await admissible.runs.ahead.end()  # they may have died of the same
    died = _failed_check("run", "The sandbox died twice while the tests ran with the patch.")
    return _verdict(admissible.submission, "unproven", [*admissible.rules, died])


async def _judge_with_patch(admissible: Admissible, before: Before) -> GateJudged:
    submission, rules, files = admissible.submission, admissible.rules, admissible.files
    runs = admissible.runs
    open_fresh, case = runs.open_fresh, runs.case
    declared = case.reproduction
    if declared is not None and before.reproduction and not before.reproduction.as_claimed:
        async with fresh_sandbox(open_fresh) as sandbox:
            await sandbox.apply(submission.patch)
            after = await run_reproduction(sandbox, declared, 1, case.reproduction_timeout_s)
        shown = reproduction_check(declared, before.reproduction, after, case.share)
        return _verdict(submission, "unproven", [*rules, shown])
    fails_without: dict[int, bool] = {}
    try_hunks = partial(
        try_with_reproduction, open_fresh, case, before, submission.patch, fails_without
    )

    def repeat() -> bool:
        """A change of people may have flaky tests, and steady ones have failed by now: another run
        could only tell which tests can miss a hunk."""
        known = declared is None or all_needed(case, before, submission.patch, fails_without)
        return not (submission.rules_are_findings and known)

    proof = await prove(runs, before, submission.patch, try_hunks, repeat)
    while fails_in_its_place(before, proof):
        before = await see_next_place(runs, before)
        proof = await prove(runs, before, submission.patch, try_hunks, repeat)
    before = before.model_copy(update={"suites": proof.base_suites})
    if reasons := _not_as_judged(proof, admissible, before, files):
        return _verdict(submission, "refused", [*rules, _failed_check("patch", reasons)])
    checks = [*rules, *proof.checks]
    # What broke is said first; that nothing could have shown it would only be noise beside it.
    scope = _scope(submission, case, before) if proof.holds else None
    if scope is not None:
        checks.append(scope)
    if declared is None:
        checks.append(
            _failed_check("reproduction", _reason_for_no_reproduction(submission.reproduction))
        )
        return _verdict(submission, "unproven", checks, proof.patch)
    if not proof.holds or not all(check.ok for check in checks):
        return _verdict(submission, "unproven", checks, proof.patch)
    note: list[Check] = []
    submitted = submission.patch
    claims = with_all_names(submission.claims.contested, files, before.suites)
    if claims:
        on_base = await run_changed_tests_on_base(open_fresh, case, files)
        note.append(
            contested_check(
                claims,
                case.base_tests,
                before.suites,
                proof.old_tests,
                on_base,
            )
        )
        if not note[-1].ok:
            return _verdict(submission, "unproven", [*checks, *note], proof.patch)
    elif submission.shrink and submission.policy.drop_unneeded_hunks:
        smaller, note = await _prove_smaller_patch(admissible, before)
        if smaller is not None:
            proof, submitted = smaller, smaller.patch
    held = HeldPatch(
        open_fresh=open_fresh,
        clean=admissible.clean,
        case=case,
        before=before,
        submitted=submitted,
        patch=proof.patch,
        files=files,
        policy=submission.policy,
        after=proof.suites,
        reasons=submission.claims.hunks,
        allowance=Allowance(_evidence_s(submission.policy, before)),
        rules=submission.rules,
        progress=runs.progress,
        fails_without=fails_without if submitted == submission.patch else {},
    )
    more = await look_for_more(held, STEPS)
    scoped = [scope] if scope is not None else []
    checks = [*rules, *proof.checks, *scoped, *note, *more.checks]
    good: Verdict = "contested" if claims else "proven"
    verdict: Verdict = good if all(check.ok for check in more.checks) else "unproven"
    judged = _verdict(submission, verdict, checks, proof.patch, more)
    contested = with_diffs(claims, submission.patch)
    return judged.model_copy(update={"contested": contested})


def _evidence_s(policy: GatePolicy, before: Before) -> float:
    """How long evidence beyond reproduction and suite may be looked for."""
    run_s = max((run.duration_s for run in before.suites), default=0.0)
    return max(policy.evidence_s, policy.suite_runs * run_s)


def _scope(submission: Submission, case: Case, before: Before) -> Check:
    return scope_check(
        case.touched,
        before.suites,
        without_tests=submission.policy.prove_without_tests,
        degraded=submission.degraded,
    )


async def _prove_smaller_patch(
    admissible: Admissible, before: Before
) -> tuple[Proof | None, list[Check]]:
    """The proof of a smaller patch, if hunks can go; and what to say about them."""
    runs, submitted = admissible.runs, admissible.submission.patch
    try:
        async with fresh_sandbox(runs.open_fresh) as scratch:
            patch, dropped = await smallest_patch(scratch, runs.case, before, submitted)
        if not dropped:
            return None, []
        proof = await prove(runs, before, patch)
    except SandboxGone:
        return None, []
    named = f"Without these hunks everything still passes: {', '.join(dropped)}."
    bases = {file.path: file.base for file in admissible.files if file.base is not None}
    left = changed_files(parse_patch(patch), bases, patch, runs.case.collection)
    kept = proof.holds and not _not_as_judged(proof, admissible, before, left)
    what = "They were dropped." if kept else "They were kept, as the rest alone was not proven."
    note = Check(name="unneeded hunks", ok=True, detail=f"{named} {what}")
    return (proof if kept else None), [note]


def _path_checks(changes: Sequence[FileChange], submission: Submission) -> list[Check]:
    reasons = change_refusals(changes, submission.policy, submission.issue)
    return [_failed_check("patch", " ".join(reasons))] if reasons else []


def _size_checks(changes: Sequence[FileChange], submission: Submission) -> list[Check]:
    reasons = size_refusals(changes, submission.policy)
    return [_failed_check(JUSTIFIABLE[1], " ".join(reasons))] if reasons else []


def _refuses(check: Check, submission: Submission) -> bool:
    """Whether a check of a rule ends the judgement; others leave a draft to a person."""
    return not check.ok and check.name != UNREAD and not _has_reason(check, submission)


def _has_reason(check: Check, submission: Submission) -> bool:
    """Whether the model gave a reason for what an honest patch can need, too."""
    return check.name in JUSTIFIABLE and bool(submission.claims.justification.strip())


def _rule_checks(files: Sequence[ChangedFile], base: Base, submission: Submission) -> list[Check]:
    try:
        found = refusals(
            files,
            base,
            submission.reproduction,
            submission.issue,
            submission.policy,
            submission.test_command,
            [claim.test for claim in submission.claims.contested],
        )
    except (RecursionError, MemoryError):
        return [_failed_check("honest code", "The code is nested too deeply to be judged.")]
    return [Check(name="patch", ok=True)] + [
        Check(name=name, ok=not reasons, detail=" ".join(reasons))
        for name, reasons in found.items()
    ]


def _not_as_judged(
    proof: Proof, admissible: Admissible, before: Before, files: Sequence[ChangedFile]
) -> str:
    """The whole change comes out of a sandbox again, so it is compared with what was judged."""
    submission, case = admissible.submission, admissible.runs.case
    try:
        found = _path_checks(parse_patch(proof.patch), submission)
    except BadPatch as error:
        return str(error)
    return " ".join(
        [
            *(check.detail for check in found if not submission.rules_are_findings),
            *differences(proof.patch, files, files_placed(case, before.placed), case.tests_like_it),
        ]
    )


async def _case(
    clean: Sandbox, submission: Submission, base: Base, files: Sequence[ChangedFile]
) -> Case:
    try:
        command = submission.test_command or await find_test_command(clean)
    except NoTests:
        command = ""
    declared = submission.reproduction
    touched = await touched_by(
        clean, [f.path for f in files if not f.is_test], base.files, base.collection
    )
    of_tests = await _read_by_tests(clean, files, base)
    return Case(
        reproduction=declared if declared is not None and declared.command else None,
        issue=submission.issue,
        test_command=command,
        timeout_s=submission.test_timeout_s,
        reproduction_timeout_s=submission.reproduction_timeout_s,
        base_files=base.files,
        collection=base.collection,
        touched=touched,
        tests_like_it=await _tests_like_it(clean, touched, {file.path for file in files}),
        base_tests={
            f.path: f.base
            for f in files
            if f.base is not None and (f.is_test or f.path in of_tests)
        },
        holds_regression_test=submission.holds_regression_test,
        changed=frozenset(file.path for file in files),
        kept_base=submission.kept_base,
        at_once=submission.at_once,
        flaky=submission.flaky,
        tests_may_go=submission.rules_are_findings,
        contested={
            claim.test: claim.renamed or claim.test
            for claim in with_all_names(submission.claims.contested, files)
        },
    )


async def _read_by_tests(
    clean: Sandbox, files: Sequence[ChangedFile], base: Base
) -> frozenset[str]:
    """Changed data outside of the tests' folders that tests speak of, by its name or its folder's.

    What tests expect may stand there, so they run with the base's version of it as well.
    """
    tests = [p for p in base.files if is_code(p) and (is_test(p) or base.collection.takes_file(p))]
    with_code = {str(PurePosixPath(p).parent) for p in base.files if is_code(p)}
    found = set()
    for file in files:
        pure = PurePosixPath(file.path)
        if file.base is None or file.is_test or is_code(file.path) or pure.suffix in _PROSE:
            continue
        folder = "" if str(pure.parent) in with_code else pure.parent.name
        words = [pure.name, *(word for word in (pure.stem, folder) if len(word) > 5)]
        options = " ".join(f"-e {shlex.quote(word)}" for word in words)
        asked = f"cd {WORKDIR} && tr '\\n' '\\0' | xargs -0 grep -lFw {options} -- | head -n 1"
        listed = shlex.quote("\n".join(tests[:_MOST_TESTS]))
        ran = await clean.run(f"printf %s {listed} | ({asked})") if tests else None
        if ran is not None and ran.text.strip() in base.files:
            found.add(file.path)
    return frozenset(found)


async def _tests_like_it(
    clean: Sandbox, touched: Sequence[Touched], changed: Collection[str]
) -> dict[str, str]:
    """The texts of Python test files that belong to what is touched and that no patch changes."""
    paths = dict.fromkeys(path for one in touched for path in (*one.named, *one.importing))
    wanted = [path for path in paths if path.endswith(".py") and path not in changed]
    texts = {path: await read_text(clean, path) for path in wanted[:_MOST_TEST_FILES]}
    return {path: text for path, text in texts.items() if text is not None and text.isascii()}


async def texts_in_tree(
    clean: Sandbox, changes: Sequence[FileChange], patch: str, collection: PytestCollection
) -> list[ChangedFile]:
    """The files' texts on both sides: the base's, and what the patch makes of them exactly.

    `clean` has run nothing yet. Raises `BadPatch`.
    """
    bases = {c.path: await _text(clean, c.path) for c in changes if c.kind != "added"}
    return changed_files(changes, bases, patch, collection)


async def _text(sandbox: Sandbox, path: str) -> str:
    """A changed file's text; what cannot be read cannot be judged. Raises `BadPatch`."""
    text = await read_text(sandbox, path)
    if text is None:
        raise BadPatch(f"{path} is no regular file or too large to be judged.")
    return text


async def pytest_collection(
    clean: Sandbox, present: Sequence[str], command: str
) -> PytestCollection:
    """What pytest collects in the base, in any of the folders that the test command names."""
    found = []
    for part in split(command):
        folder = "" if part.folder == "." else f"{part.folder}/"
        paths = [name for name in CONFIGURATION if f"{folder}{name}" in present]
        texts = {name: await read_text(clean, f"{folder}{name}") or "" for name in paths}
        found.append(collection_of(texts, part.command))
    return joined(found)


async def _installed_modules(sandbox: Sandbox) -> tuple[str, ...]:
    """Modules that Python finds outside the tree (`-I`: not in its folder or `PYTHONPATH`)."""
    listed = await sandbox.run(
        "python3 -I -c 'import pkgutil; print(*(m.name for m in pkgutil.iter_modules()))'"
    )
    return tuple(sorted(set(listed.text.split()))) if listed.ok else ()


async def _fixture_names(sandbox: Sandbox, changes: Sequence[FileChange]) -> tuple[str, ...]:
    """Names of functions that stand below something about fixtures, where a conftest is new."""
    if not any(c.kind == "added" and c.path.endswith("conftest.py") for c in changes):
        return ()
    listed = await sandbox.run(
        f"cd {WORKDIR} && grep -rhE -A5 --include='*.py' '^[[:space:]]*@.*fixture' . "
        "| grep -oE 'def +[A-Za-z_0-9]+' | sed 's/def *//' | sort -u | head -n 5000"
    )
    return tuple(listed.text.split())


def _reason_for_no_reproduction(declared: ReproductionDeclared | None) -> str:
    if declared is not None and declared.why_none:
        return f"There is no reproduction: {declared.why_none}"
    return "No reproduction was declared, so nothing shows that the bug is gone."


def _failed_check(name: str, detail: str) -> Check:
    return Check(name=name, ok=False, detail=detail)


def _verdict(
    submission: Submission,
    verdict: Verdict,
    checks: Sequence[Check],
    patch: str = "",
    more: Evidence | None = None,
) -> GateJudged:
    found = {} if more is None else dict(more)
    if submission.claims.justification.strip():
        checks = [_with_reason(check, submission) for check in checks]
    return GateJudged(
        attempt=submission.attempt,
        verdict=verdict,
        reasons=tuple(check.detail for check in checks if not check.ok),
        checks=tuple(checks),
        patch=patch or submission.patch,
        **{name: value for name, value in found.items() if name != "checks"},
    )


def _with_reason(check: Check, submission: Submission) -> Check:
    """A failed check with what the model says to it, for a person to weigh."""
    if check.ok or check.name not in JUSTIFIABLE:
        return check
    said = f"{check.detail} The reason given: {submission.claims.justification.strip()[:1000]}"
    return check.model_copy(update={"detail": said})
