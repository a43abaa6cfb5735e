"""Whether the tests that belong to a patch ran: pure decisions over runs."""

from __future__ import annotations

import pytest

from agent.gate.scope import Touched, scope_check, touched_by
from agent.testing.collection import PytestCollection
from agent.testing.projects import combine_runs
from agent.testing.report import Outcome, SuiteRun, TestResult
from tests.doubles.local_sandbox import LocalSandbox

TARIFF = Touched(
    path="parcel/tariff.py",
    language="Python",
    project=".",
    named=("tests/test_tariff.py",),
    of_project=("tests/test_tariff.py", "tests/test_zones.py"),
)
WEB = Touched(
    path="web/tariff.js", language="JavaScript", project="web", of_project=("web/tariff.test.js",)
)


def results(command: str, outcomes: dict[str, Outcome], folder: str = ".") -> SuiteRun:
    found = tuple(
        TestResult(name=name, outcome=outcome, message="x.py:1: in <module>\nE   ImportError: no x")
        for name, outcome in outcomes.items()
    )
    return SuiteRun(command=command, exit_code=0, output="", results=found, folder=folder)


PYTEST = "python3 -m pytest -q"


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ({"tests/test_tariff.py::test_a": "passed"}, ""),
        ({"tests/test_tariff.py": "error", "tests/test_zones.py::test_z": "passed"}, "ImportError"),
        ({"tests/test_zones.py::test_z": "passed"}, "was not run"),
        ({"tests/test_tariff.py::test_a": "failed", "tests/test_zones.py::z": "passed"}, "None of"),
        ({"tests/test_tariff.py": "error"}, "no test passes"),
        ({"parcel/tariff.py::parcel.tariff.postage": "passed"}, ""),
    ],
    ids=["passed", "unreadable", "left out", "failing", "nothing passes", "doctest"],
)
def test_the_tests_that_belong_to_the_patch_must_have_passed(
    outcomes: dict[str, Outcome], reason: str
) -> None:
    run = results(PYTEST, outcomes)
    check = scope_check([TARIFF], [run, run])
    assert check.ok is (not reason), check.detail
    assert reason in check.detail


def test_a_language_whose_runner_did_not_run_is_not_proven() -> None:
    python = results(PYTEST, {"tests/test_tariff.py::test_a": "passed"})
    check = scope_check([WEB], [python])
    assert not check.ok
    assert "No JavaScript test ran" in check.detail
    node = results("node --test", {"test.heavy": "passed"}, "web")
    assert scope_check([TARIFF, WEB], [combine_runs("both", [python, node])]).ok
    elsewhere = results("node --test", {"test.heavy": "passed"}, "admin")
    assert not scope_check([WEB], [combine_runs("both", [python, elsewhere])]).ok


def test_an_old_mocha_names_no_files_so_its_folder_must_have_run() -> None:
    titles: dict[str, Outcome] = {"Sum adds a.js": "passed"}
    assert scope_check([WEB], [results("npx mocha", titles, "web")]).ok
    assert not scope_check([WEB], [results("npx mocha", titles, "admin")]).ok
    other: dict[str, Outcome] = {"web/other.test.js::Sum adds": "passed"}
    assert not scope_check([WEB], [results("npx mocha", other, "web")]).ok


def test_a_test_that_passes_only_sometimes_is_no_ground_to_stand_on() -> None:
    good = results(PYTEST, {"tests/test_tariff.py::test_a": "passed"})
    bad = results(PYTEST, {"tests/test_tariff.py::test_a": "failed"})
    assert not scope_check([TARIFF], [good, bad]).ok


def test_a_repository_without_tests_has_only_the_reproduction() -> None:
    none = SuiteRun(command=PYTEST, exit_code=5, output="no tests ran in 0.01s")
    for before in ([], [none, none]):
        check = scope_check([TARIFF], before)
        assert not check.ok
        assert "the reproduction alone" in check.detail
        assert scope_check([TARIFF], before, without_tests=True).ok


def test_a_command_without_results_counts_where_nothing_else_could_be_meant() -> None:
    make = SuiteRun(command="make test", exit_code=0, output="ok")
    assert scope_check([TARIFF], [make]).ok
    said_nothing = make.model_copy(update={"output": "No tests found, exiting with code 0"})
    assert not scope_check([TARIFF], [said_nothing]).ok
    empty = SuiteRun(command=PYTEST, exit_code=0, output="")
    assert not scope_check([TARIFF], [empty]).ok


def test_an_environment_that_is_not_the_one_asked_for_proves_nothing() -> None:
    run = results(PYTEST, {"tests/test_tariff.py::test_a": "passed"})
    check = scope_check([TARIFF], [run], degraded="its Dockerfile could not be built.")
    assert not check.ok
    assert "Dockerfile" in check.detail


def test_unittest_names_tests_by_module() -> None:
    run = results("python3 -m unittest", {"tests.test_tariff.Tariff.test_light": "passed"})
    assert scope_check([TARIFF], [run]).ok
    failed = {
        "unittest.loader._FailedTest.tests.test_tariff": "error",
        "tests.test_zones.Z.a": "passed",
    }
    check = scope_check([TARIFF], [results("python3 -m unittest", failed)])
    assert not check.ok
    assert "cannot be read" in check.detail


def test_go_names_tests_by_package() -> None:
    touched = Touched(
        path="api/post/tariff.go",
        language="Go",
        project="api",
        of_project=("api/post/tariff_test.go", "api/zone/zone_test.go"),
    )
    other = results("go test ./...", {"example.org/api/zone::TestZone": "passed"}, "api")
    assert "No test of the package api/post" in scope_check([touched], [other]).detail
    own = results("go test ./...", {"example.org/api/post::TestPostage": "passed"}, "api")
    assert scope_check([touched], [own]).ok


async def test_tests_are_found_by_name_and_by_what_they_import() -> None:
    files = {
        "pyproject.toml": "[project]\nname = 'a'\n",
        "parcel/tariff.py": "",
        "tests/test_tariff.py": "",
        "tests/typing/tariff.py": "",
        "tests/test_counter.py": "from parcel import tariff\n",
        "tests/test_zones.py": "# tariff\n",
        "web/package.json": "{}",
        "web/tariff.js": "",
        "web/report.spec.js": 'const { postage } = require("./tariff");\n',
        "README.md": "",
    }
    box = LocalSandbox(files)
    try:
        python, web = await touched_by(
            box,
            ["parcel/tariff.py", "web/tariff.js", "README.md", "tests/test_zones.py"],
            files,
            PytestCollection(),
        )
    finally:
        await box.close()
    assert python.named == ("tests/test_tariff.py",)
    assert python.importing == ("tests/test_counter.py",)
    assert (web.project, web.importing) == ("web", ("web/report.spec.js",))
