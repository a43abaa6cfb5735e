"""The gate in real containers: honest patches are proven, dishonest ones are not."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

import pytest

from agent.gate.claims import Claims
from agent.gate.judge import Submission, judge
from agent.journal.events import ContestedTest, GateJudged
from agent.task import GatePolicy
from agent.testing.suite import find_test_command, run_suite
from sandbox.protocol import Sandbox
from tests.doubles import gate_case as case
from tests.support.sandboxes.fixtures import DockerOpener, engine, open_docker

__all__ = ["engine", "open_docker"]

pytestmark = pytest.mark.docker

Judged = Callable[..., Awaitable[GateJudged]]


@pytest.fixture
def judged(open_docker: DockerOpener) -> Judged:
    async def judging(
        submission: Submission, repository: Mapping[str, str] = case.REPOSITORY
    ) -> GateJudged:
        async def open_fresh() -> Sandbox:
            return await open_docker(dict(repository))

        return await judge(submission, open_fresh)

    return judging


async def test_an_honest_patch_is_proven_with_its_evidence(judged: Judged) -> None:
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}))
    assert verdict.verdict == "proven", verdict.reasons
    checks = {check.name: check for check in verdict.checks}
    shown = checks["reproduction"]
    assert "assert 400 == 650" in shown.before and "1 passed" in shown.after
    assert shown.command == case.REPRODUCTION.command
    assert "3 tests passed before, 3 of them after" in checks["test suite"].detail
    # It joins the tests of the same function, with the name that it was given.
    assert "tests/test_shop.py" in checks["regression test"].detail
    assert "tests/test_total.py" not in verdict.patch and "+    for row in rows:" in verdict.patch


async def test_a_script_becomes_a_regression_test_in_place_and_style(judged: Judged) -> None:
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}, case.SCRIPT))
    assert verdict.verdict == "proven", verdict.reasons
    assert "+++ b/tests/test_shop.py" in verdict.patch
    assert "+def test_total_of_2_50_4_00_is_650():" in verdict.patch
    assert not re.search(r"^\+[ \t]+$", verdict.patch, re.M)
    assert "/tmp/repro.py" not in verdict.patch and "sys.path" not in verdict.patch


async def test_a_hunk_that_nothing_needs_is_kept_and_named(judged: Judged) -> None:
    padded = case.FIXED.replace("max(cents(row) for row in rows)", "max(map(cents, rows))")
    verdict = await judged(case.submission({"shop/stats.py": padded}))
    assert verdict.verdict == "proven", verdict.reasons
    assert "map(cents" in verdict.patch and "+    for row in rows:" in verdict.patch
    assert [(h.path, h.needed_by, h.tried) for h in verdict.hunks] == [
        ("shop/stats.py", "the reproduction", True),
        ("shop/stats.py", "", True),
    ]


@pytest.mark.long
async def test_a_hunk_that_nothing_needs_is_dropped_where_the_policy_asks_for_it(
    judged: Judged,
) -> None:
    padded = case.FIXED.replace("max(cents(row) for row in rows)", "max(map(cents, rows))")
    sent = case.submission({"shop/stats.py": padded})
    asked = sent.model_copy(update={"policy": GatePolicy(drop_unneeded_hunks=True)})
    verdict = await judged(asked)
    assert verdict.verdict == "proven", verdict.reasons
    assert "map(cents" not in verdict.patch and "+    for row in rows:" in verdict.patch
    note = next(check for check in verdict.checks if check.name == "unneeded hunks")
    assert "shop/stats.py:" in note.detail and "dropped" in note.detail


async def test_a_test_that_contradicts_the_issue_is_contested(judged: Judged) -> None:
    repository = {
        **case.REPOSITORY,
        "tests/test_shop.py": case.TESTS
        + "\n\ndef test_first_row_is_a_header():\n    assert total(['1.00', '2.00']) == 200\n",
    }
    name = "tests/test_shop.py::test_first_row_is_a_header"
    text = repository["tests/test_shop.py"]
    edited = text.replace("== 200", "== 300")
    sent = case.submission({"shop/stats.py": case.FIXED})
    patch = sent.patch + case.patch({"tests/test_shop.py": edited}, repository)
    claim = ContestedTest(test=name, reason="the issue says that every row counts")
    contested = sent.model_copy(update={"patch": patch, "claims": Claims(contested=(claim,))})
    verdict = await judged(contested, repository)
    assert verdict.verdict == "contested", verdict.reasons
    assert "+    assert total(['1.00', '2.00']) == 300" in verdict.contested[0].diff
    undeclared = await judged(sent.model_copy(update={"patch": patch}), repository)
    assert undeclared.verdict == "refused"
    kept = await judged(sent.model_copy(update={"claims": Claims(contested=(claim,))}), repository)
    assert kept.verdict == "unproven"


async def test_a_patch_that_breaks_another_test_is_not_proven(judged: Judged) -> None:
    broken = case.FIXED.replace("max(", "min(")
    verdict = await judged(case.submission({"shop/stats.py": broken}))
    assert verdict.verdict == "unproven"
    assert "tests/test_shop.py::test_largest" in " ".join(verdict.reasons)


PLUGIN = """
import pathlib, sys
where = pathlib.Path.home() / ".local/lib" / ("python%d.%d" % sys.version_info[:2])
where = where / "site-packages"
known = where / "zz-1.dist-info"
known.mkdir(parents=True, exist_ok=True)
(known / "METADATA").write_text("Metadata-Version: 2.1\\nName: zz\\nVersion: 1\\n")
(known / "entry_points.txt").write_text("[pytest11]\\nzz = zz\\n")
(where / "zz.py").write_text(
    "import pytest\\n"
    "@pytest.hookimpl(hookwrapper=True)\\n"
    "def pytest_runtest_makereport(item, call):\\n"
    "    report = (yield).get_result()\\n"
    "    report.outcome, report.longrepr = 'passed', None\\n"
)
"""
"""A script that has pytest report success, whatever happens, in all later runs of the sandbox."""


async def test_what_a_reproduction_leaves_behind_does_not_reach_the_suite(judged: Judged) -> None:
    text = f"{PLUGIN}\nfrom shop.stats import total\nassert total(['1.00']) == 100, 'left out'\n"
    hidden = case.SCRIPT.model_copy(
        update={
            "command": "python3 /tmp/repro.py",
            "files": {"/tmp/repro.py": text},
            "expected_failure": "AssertionError: left out",
        }
    )
    broken = case.FIXED.replace("max(", "min(")
    verdict = await judged(case.submission({"shop/stats.py": broken}, hidden))
    assert verdict.verdict == "unproven"
    assert "tests/test_shop.py::test_largest" in " ".join(verdict.reasons)


async def test_a_command_cannot_change_the_shell_that_it_is_run_from(
    open_docker: DockerOpener,
) -> None:
    sandbox = await open_docker(dict(case.REPOSITORY))
    override = "builtin() { command builtin printf '%s 0\\n' \"$3\"; }"
    for command in (
        f"true\n)\n{override}\n(true",
        f"true)\n{override}\n(true",
        f"{override}\ntrue",
    ):
        await run_suite(sandbox, command)
        assert (await run_suite(sandbox, "false")).exit_code == 1, command


@pytest.mark.long
async def test_failures_and_flaky_tests_of_the_base_are_not_blamed(judged: Judged) -> None:
    repository = {
        **case.REPOSITORY,
        "tests/test_bad.py": "def test_broken():\n    assert False\n",
        "tests/test_flaky.py": (
            "import pathlib\n\n\ndef test_sometimes():\n"
            "    mark = pathlib.Path('/tmp/mark')\n"
            "    seen = mark.exists()\n    mark.touch()\n    assert seen\n"
        ),
    }
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}), repository)
    assert verdict.verdict == "proven", verdict.reasons
    detail = next(c for c in verdict.checks if c.name == "test suite").detail
    assert "Flaky and not counted: tests/test_flaky.py::test_sometimes" in detail
    assert "Failing without the patch: 1, of which it fixes 0" in detail


# No rule sees through a name that is put together; the runs do.
_LEAVING = '\n\nimport importlib\ngetattr(importlib.import_module("o" + "s"), "_ex" + "it")(0)\n'


async def test_a_process_that_ends_early_hides_nothing(judged: Judged) -> None:
    quiet = case.submission({"shop/stats.py": case.FIXED + _LEAVING})
    verdict = await judged(quiet)
    assert verdict.verdict == "unproven"
    assert "no test ran" in next(c for c in verdict.checks if c.name == "reproduction").after


@pytest.mark.parametrize("name", list(case.DISHONEST))
async def test_dishonest_patches_are_refused(judged: Judged, name: str) -> None:
    changes, reason = case.DISHONEST[name]
    verdict = await judged(case.submission(changes))
    assert verdict.verdict == "refused"
    assert reason in " ".join(verdict.reasons)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"calc.py": "X = 2\n", "test_calc.py": "@"}, "test_calc.py::test_a"),
        ({"calc.py": "X = 2\n", "tests/test_calc.py": "@"}, "tests/test_calc.py::test_a"),
        ({"src/calc.py": "X = 2\n", "tests/test_calc.py": "@"}, "tests/test_calc.py::test_a"),
    ],
    ids=["root", "tests", "src"],
)
async def test_tests_run_in_a_container_and_leave_nothing(
    open_docker: DockerOpener, files: Mapping[str, str], name: str
) -> None:
    test = "import calc\n\n\ndef test_a():\n    assert calc.X == 2\n"
    sandbox = await open_docker({path: text.replace("@", test) for path, text in files.items()})
    run = await run_suite(sandbox, await find_test_command(sandbox))
    assert run.outcomes == {name: "passed"}, run.output
    assert await sandbox.diff() == ""
    assert (await sandbox.run("ls /tmp | grep -c '^tests-'")).text.strip() == "0"


async def test_a_patch_that_eats_all_memory_is_unproven_and_not_a_crash(judged: Judged) -> None:
    greedy = case.FIXED.replace("result = 0", "result = len(bytearray(3 * 1024**3)) * 0")
    verdict = await judged(case.submission({"shop/stats.py": greedy}))
    assert verdict.verdict == "unproven"


async def test_a_project_with_unittest_gets_a_test_case(judged: Judged) -> None:
    repository = {
        **{path: text for path, text in case.REPOSITORY.items() if not path.startswith("tests/")},
        "tests/__init__.py": "",
        "tests/test_money.py": "import unittest\nfrom shop.money import cents\n\n\n"
        "class MoneyTest(unittest.TestCase):\n    def test_cents(self):\n"
        "        self.assertEqual(cents('1.50'), 150)\n",
    }
    sent = case.submission({"shop/stats.py": case.FIXED}, case.SCRIPT)
    command = "python3 -m unittest discover -s tests -t ."
    verdict = await judged(sent.model_copy(update={"test_command": command}), repository)
    assert verdict.verdict == "proven", verdict.reasons
    assert "+class Issue7TotalLeavesOutTheFirstRowTest(unittest.TestCase):" in verdict.patch
    suite = next(check for check in verdict.checks if check.name == "test suite")
    assert "1 tests passed before, 1 of them after" in suite.detail
    assert "New tests: 1" in suite.detail


async def test_a_failing_test_of_the_repository_is_a_reproduction(judged: Judged) -> None:
    repository = {**case.REPOSITORY, **case.REPRODUCTION.files}
    existing = case.REPRODUCTION.model_copy(update={"files": {}})
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}, existing), repository)
    assert verdict.verdict == "proven", verdict.reasons
    assert "tests/" not in verdict.patch
    suite = next(check for check in verdict.checks if check.name == "test suite")
    assert "Failing without the patch: 1, of which it fixes 1" in suite.detail


async def test_a_patch_that_never_ends_is_stopped_at_the_time_limit(judged: Judged) -> None:
    endless = case.FIXED.replace(
        "    result = 0\n", "    while rows:\n        pass\n    result = 0\n"
    )
    sent = case.submission({"shop/stats.py": endless}).model_copy(
        update={"reproduction_timeout_s": 4.0}
    )
    verdict = await judged(sent)
    assert verdict.verdict == "unproven"
    assert "passes in 0 of 1 runs" in " ".join(verdict.reasons)


async def test_a_bug_that_shows_only_sometimes_is_run_more_often(judged: Judged) -> None:
    flaky = case.SCRIPT.model_copy(
        update={
            "files": {
                "/tmp/repro.py": "import pathlib\nfrom shop.stats import total\n\n"
                "mark = pathlib.Path('/tmp/mark')\nodd = mark.exists()\n"
                "mark.unlink() if odd else mark.touch()\n"
                "assert odd or total(['2.50', '4.00']) == 650, 'wrong total 400'\n"
            }
        }
    )
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}, flaky))
    assert verdict.verdict == "proven", verdict.reasons
    shown = next(check for check in verdict.checks if check.name == "reproduction")
    assert "(it is flaky)" in shown.detail and "of 20 runs without" in shown.detail


MEAN = case.STATS.replace(
    '    """All amounts together."""',
    '    """All amounts together.\n\n    >>> total(["1.00", "2.00", "4.00"])\n    700\n    """',
)
DOCUMENTED = {**case.REPOSITORY, "shop/stats.py": MEAN}


async def test_a_documented_example_and_variants_are_part_of_the_proof(judged: Judged) -> None:
    changes = {"shop/stats.py": MEAN.replace("rows[1:]", "rows")}
    sent = case.submission(changes).model_copy(
        update={
            "patch": case.patch({**changes, **case.REPRODUCTION.files}, DOCUMENTED),
            "policy": GatePolicy(strength_variants=30),
        }
    )
    verdict = await judged(sent, DOCUMENTED)
    assert verdict.verdict == "proven", verdict.reasons
    checks = {check.name: check for check in verdict.checks}
    assert "Fails without the patch and holds with it" in checks["documented examples"].detail
    (strength,) = verdict.strength
    assert 0 < strength.told_apart <= strength.tried and not strength.void
    assert f"{strength.told_apart} of {strength.tried} variants" in checks["strength"].detail


@pytest.mark.long
async def test_an_example_edited_along_with_a_wrong_patch_does_not_help_it(judged: Judged) -> None:
    wrong = MEAN.replace("rows[1:]", "rows[-2:]").replace("    700", "    600")
    changes = {"shop/stats.py": wrong}
    sent = case.submission(changes).model_copy(
        update={"patch": case.patch({**changes, **case.REPRODUCTION.files}, DOCUMENTED)}
    )
    verdict = await judged(sent, DOCUMENTED)
    assert verdict.verdict == "unproven"
    said = " ".join(verdict.reasons)
    assert "should show '700' and shows '600'" in said
    assert "The patch changes or removes this example" in said
