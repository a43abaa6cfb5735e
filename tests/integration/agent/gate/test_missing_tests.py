"""The gate in real containers where a suite says nothing of the patch, or says it in odd ways."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import pytest

from agent.gate.judge import Submission, judge
from agent.journal.events import SCOPE, GateJudged, ReproductionDeclared
from agent.task import GatePolicy, Issue
from sandbox.byte_text import to_text
from sandbox.protocol import Sandbox
from tests.support.sandboxes.fixtures import DockerOpener, engine, open_docker

__all__ = ["engine", "open_docker"]

pytestmark = pytest.mark.docker

WRONG = "def postage(grams):\n    if grams < 500:\n        return 155\n    return 449\n"
RIGHT = WRONG.replace("< 500", "<= 500")
TOO_WIDE = WRONG.replace("< 500", "<= 5000")
TESTS = (
    "from parcel.tariff import postage\n\n\ndef test_light():\n    assert postage(20) == 155\n\n\n"
    "def test_heavy():\n    assert postage(2000) == 449\n"
)
REPORT = (
    "from parcel.tariff import postage\n\n\ndef test_limit():\n    assert postage(500) == 155\n"
)
PACKAGE = {"parcel/__init__.py": "", "parcel/tariff.py": WRONG, "tests/test_tariff.py": TESTS}
SERVICE = (
    '[project]\nname = "parcel"\nversion = "1.0"\n\n'
    '[tool.pytest.ini_options]\npythonpath = ["src"]\ntestpaths = ["tests"]\n'
)
TWO_SERVICES = {
    "services/postage/pyproject.toml": SERVICE,
    "services/postage/src/parcel/__init__.py": "",
    "services/postage/src/parcel/tariff.py": WRONG,
    "services/postage/tests/test_tariff.py": TESTS,
    "services/customs/pyproject.toml": SERVICE.replace("parcel", "customs"),
    "services/customs/src/customs/__init__.py": "RATE = 19\n",
    "services/customs/tests/test_tariff.py": "import customs\n\n\ndef test_rate():\n"
    "    assert customs.RATE == 19\n",
    "pyproject.toml": "[tool.ruff]\nline-length = 100\n",
}


def change(path: str, old: str, new: str) -> str:
    lines = difflib.unified_diff(
        old.splitlines(keepends=True), new.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return f"diff --git a/{path} b/{path}\n" + "".join(lines)


def sent(
    patch: str,
    path: str = "tests/test_report.py",
    text: str = REPORT,
    command: str = "python3 -m pytest -q tests/test_report.py",
    says: str = "assert 449 == 155",
    **more: object,
) -> Submission:
    declared = ReproductionDeclared(
        command=command,
        files={path: text},
        expected_failure=says,
        observed=says,
        accepted=True,
        runs=3,
        failures=3,
    )
    issue = Issue(title="A letter of 500 g is charged as a parcel", body="It should be 155.")
    return Submission(patch=patch, reproduction=declared, issue=issue, **more)


async def judged(
    opener: DockerOpener, files: Mapping[str, str | bytes], submission: Submission
) -> GateJudged:
    async def open_fresh() -> Sandbox:
        return await opener(dict(files))

    return await judge(submission, open_fresh)


def scope_of(verdict: GateJudged) -> str:
    return next(check.detail for check in verdict.checks if check.name == SCOPE)


FIX = change("parcel/tariff.py", WRONG, RIGHT)


async def test_tests_that_cannot_be_read_keep_a_patch_from_being_proven(
    open_docker: DockerOpener,
) -> None:
    files = {**PACKAGE, "tests/test_tariff.py": "import not_installed_here\n" + TESTS}
    verdict = await judged(open_docker, files, sent(change("parcel/tariff.py", WRONG, TOO_WIDE)))
    assert verdict.verdict == "unproven", verdict.checks
    assert "not_installed_here" in scope_of(verdict)


@pytest.mark.long
async def test_two_services_with_test_files_of_one_name_run_each_in_its_folder(
    open_docker: DockerOpener,
) -> None:
    path = "services/postage/src/parcel/tariff.py"
    report = {
        "path": "services/postage/tests/test_report.py",
        "command": "cd services/postage && python3 -m pytest -q tests/test_report.py",
    }
    wide = await judged(open_docker, TWO_SERVICES, sent(change(path, WRONG, TOO_WIDE), **report))
    assert wide.verdict == "unproven"
    assert "services/postage/tests/test_tariff.py::test_heavy" in " ".join(wide.reasons)
    right = await judged(open_docker, TWO_SERVICES, sent(change(path, WRONG, RIGHT), **report))
    assert right.verdict == "proven", right.reasons


async def test_results_decide_where_the_exit_status_means_a_threshold(
    open_docker: DockerOpener,
) -> None:
    # As coverage's fail_under does: all tests pass, and the run ends with 1.
    threshold = (
        "def pytest_sessionfinish(session):\n"
        "    session.exitstatus = 1 if session.testscollected < 3 else session.exitstatus\n"
    )
    files = {**PACKAGE, "conftest.py": threshold}
    verdict = await judged(open_docker, files, sent(FIX))
    assert verdict.verdict == "proven", verdict.reasons


async def test_a_project_without_a_cache_and_with_warnings_as_errors(
    open_docker: DockerOpener,
) -> None:
    options = "[pytest]\naddopts = -p no:cacheprovider -p no:junitxml --strict-config\n"
    files = {**PACKAGE, "pytest.ini": options + "xfail_strict = true\nfilterwarnings = error\n"}
    verdict = await judged(open_docker, files, sent(FIX))
    assert verdict.verdict == "proven", verdict.reasons


async def test_source_in_latin_1_is_text(open_docker: DockerOpener) -> None:
    head = '# -*- coding: latin-1 -*-\n"""Porto für Päckchen."""\n\n'
    old, new = (head + text for text in (WRONG, RIGHT))
    files: dict[str, str | bytes] = {**PACKAGE, "parcel/tariff.py": old.encode("latin-1")}
    patch = change(
        "parcel/tariff.py", to_text(old.encode("latin-1")), to_text(new.encode("latin-1"))
    )
    verdict = await judged(open_docker, files, sent(patch))
    assert verdict.verdict == "proven", verdict.reasons
    box = await open_docker(files)
    await box.apply(verdict.patch)
    assert await box.read("parcel/tariff.py") == new.encode("latin-1")


async def test_a_lone_surrogate_in_a_failure_hides_no_other_result(
    open_docker: DockerOpener,
) -> None:
    cases = (
        "import os\nimport unittest\nfrom parcel.tariff import postage\n\n\n"
        "class Tariff(unittest.TestCase):\n    def test_light(self):\n"
        "        self.assertEqual(postage(20), 155)\n\n    def test_name(self):\n"
        "        self.assertEqual(os.fsdecode(b'caf\\xe9') + chr(0xFFFF), 'cafe')\n"
    )
    files = {**PACKAGE, "tests/__init__.py": "", "tests/test_tariff.py": cases}
    text = cases.partition("    def test_light")[0] + (
        "    def test_limit(self):\n        self.assertEqual(postage(500), 155)\n"
    )
    submission = sent(
        FIX,
        text=text,
        command="python3 -m unittest tests.test_report",
        says="449 != 155",
        test_command="python3 -m unittest",
    )
    verdict = await judged(open_docker, files, submission)
    assert verdict.verdict == "proven", verdict.reasons


async def test_a_repository_without_tests_is_a_draft_unless_it_says_otherwise(
    open_docker: DockerOpener,
) -> None:
    files = {path: text for path, text in PACKAGE.items() if not path.startswith("tests/")}
    script = "from parcel.tariff import postage\nassert postage(500) == 155, postage(500)\n"
    submission = sent(FIX, "/tmp/show.py", script, "python3 /tmp/show.py", "AssertionError: 449")
    verdict = await judged(open_docker, files, submission)
    assert verdict.verdict == "unproven"
    assert "reproduction alone" in scope_of(verdict)
    policy = GatePolicy(prove_without_tests=True)
    allowed = await judged(open_docker, files, submission.model_copy(update={"policy": policy}))
    assert allowed.verdict == "proven", allowed.reasons


async def test_a_reproduction_that_collects_no_test_shows_nothing(
    open_docker: DockerOpener,
) -> None:
    vacuous = sent(
        FIX, command="python3 -m pytest -q tests/test_report.py::test_gone", says="test_gone"
    )
    verdict = await judged(open_docker, PACKAGE, vacuous)
    assert verdict.verdict == "unproven"
