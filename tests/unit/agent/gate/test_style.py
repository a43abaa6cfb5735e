"""The gate looks at the style of a patch with the project's own programs; that is advice."""

from __future__ import annotations

from agent.gate.judge import judge
from agent.gate.patch.apply import changed_files
from agent.gate.patch.parse import parse_patch
from agent.gate.progress import Progress
from agent.gate.proof import Before, Case
from agent.gate.regression_test import NotPlaced
from agent.gate.steps import Allowance, HeldPatch
from agent.gate.style import project_rules
from agent.journal.events import CONVENTIONS, STYLE, Check
from agent.task import GatePolicy, Habit, ProjectRules, RuleDocument
from agent.testing.collection import PytestCollection
from sandbox.protocol import Sandbox
from tests.doubles import gate_case as case
from tests.doubles.local_sandbox import LocalSandbox

RUFF = "\n[tool.ruff]\nline-length = 60\n[tool.ruff.lint]\nselect = ['E', 'F']\n"
LOG = Habit(kind="changelog", paths=("CHANGES.rst",), touched=18, of=20)
AGENTS = RuleDocument(path="AGENTS.md", text="`ruff check .`, `ruff format .`, `no-such-linter`")
REPOSITORY = {
    **case.REPOSITORY,
    "pyproject.toml": case.REPOSITORY["pyproject.toml"] + RUFF,
    "CHANGES.rst": "Changes\n",
    "shop/stats.py": case.STATS + "\n\nimport os  # a complaint that was there before\n",
}
FIXED = REPOSITORY["shop/stats.py"].replace("rows[1:]", "rows")


async def looked_at(
    changes: dict[str, str], rules: ProjectRules | None, repository: dict[str, str]
) -> dict[str, Check]:
    """What the step finds about a patch that holds."""
    patch = case.patch(changes, repository)

    async def open_fresh() -> Sandbox:
        return LocalSandbox(repository)

    found = await project_rules(
        HeldPatch(
            open_fresh=open_fresh,
            clean=LocalSandbox({}),
            case=Case(
                reproduction=None,
                issue=case.ISSUE,
                test_command="",
                timeout_s=60,
                reproduction_timeout_s=60,
                base_files=tuple(repository),
                base_tests={},
            ),
            before=Before(
                reproduction=None, placed=NotPlaced(why="There is none."), placed_run=None
            ),
            submitted=patch,
            patch=patch,
            files=changed_files(parse_patch(patch), repository, patch, PytestCollection()),
            policy=GatePolicy(),
            after=(),
            reasons=(),
            allowance=Allowance(60),
            progress=Progress(None, reproduction=False, suite=False),
            rules=rules,
            fails_without={},
        )
    )
    return {check.name: check for check in found.checks}


async def test_what_a_program_complained_of_before_is_not_the_patchs() -> None:
    test = case.REPRODUCTION.files
    rules = ProjectRules(documents=(AGENTS,), habits=(LOG,))
    checks = await looked_at({"shop/stats.py": FIXED, **test}, rules, REPOSITORY)
    style = checks[STYLE]
    assert style.ok and not style.advice, style.detail
    assert "`ruff check` (AGENTS.md), `ruff format` (AGENTS.md): nothing new in 2" in style.detail
    assert checks[CONVENTIONS].ok and checks[CONVENTIONS].advice
    assert checks[CONVENTIONS].detail == (
        "18 of the last 20 fixes touched CHANGES.rst. This patch does not."
    )


async def test_new_complaints_are_named_and_take_no_proof_away() -> None:
    long = FIXED.replace(
        "    result = 0\n",
        "    result = 0  # noqa: E501\n"
        "    unused = 'a line longer than sixty characters, by far far'\n",
    )
    changes = {
        "shop/stats.py": long,
        # Its own configuration does not count, so that it cannot talk itself well.
        "shop/ruff.toml": "[lint]\nselect = []\n",
        "CHANGES.rst": "Changes\n\nFixed total.\n",
    }
    made = case.submission({})
    assert made.reproduction is not None
    patch = case.patch({**changes, **made.reproduction.files}, REPOSITORY)
    rules = ProjectRules(documents=(AGENTS,), habits=(LOG,))
    submission = made.model_copy(update={"patch": patch, "rules": rules})

    async def open_fresh() -> Sandbox:
        return LocalSandbox(REPOSITORY)

    verdict = await judge(submission, open_fresh)
    assert verdict.verdict == "proven", verdict.reasons
    checks = {check.name: check for check in verdict.checks}
    style = checks[STYLE]
    assert style.ok and style.advice and style.before and style.after
    assert "F841" in style.detail and "E501" in style.detail and "reformatted" in style.detail
    assert "E402" not in style.detail, "the import was there before"
    assert "the patch adds `# noqa`" in style.detail
    assert not checks[CONVENTIONS].advice


async def test_a_program_that_is_not_there_or_breaks_is_named() -> None:
    repository = {
        **case.REPOSITORY,
        ".flake8": "",
        ".pylintrc": "",
        "Makefile": "lint:\n\t@echo broken >&2; exit 3\n",
    }
    document = RuleDocument(
        path="CLAUDE.md", text="`no`, `rubocop`, `pylint shop`, `black .`, `make lint`"
    )
    rules = ProjectRules(documents=(document,))
    checks = await looked_at({"shop/stats.py": case.FIXED}, rules, repository)
    style = checks[STYLE]
    assert style.ok and "`flake8` (.flake8) was not run: it is not installed" in style.detail
    assert "`black` (CLAUDE.md) was not run: it is not installed" in style.detail
    assert "nothing new" in style.detail, "make lint fails without the patch as it does with it"


async def test_without_rules_or_programs_nobody_looks() -> None:
    change = {"shop/stats.py": case.FIXED}
    assert not await looked_at(change, None, REPOSITORY)
    assert not await looked_at(change, ProjectRules(), dict(case.REPOSITORY))
