"""Several projects of one tree: which are found, and how their runs are one."""

from __future__ import annotations

import json

import pytest

from agent.testing.detect import detect
from agent.testing.projects import Part, combine_runs, join, named_from_root, route, split
from agent.testing.report import SuiteRun, TestResult
from agent.testing.suite import cannot_start, find_test_command, run_suite
from tests.doubles.local_sandbox import LocalSandbox

PYTEST = "python3 -m pytest -q"
TEST = "def test_a():\n    assert True\n"
OWN = "[project]\nname = 'a'\n[tool.pytest.ini_options]\ntestpaths = ['tests']\n"
SCRIPT = json.dumps({"scripts": {"test": "node --test web/"}})


@pytest.mark.parametrize(
    ("contents", "command"),
    [
        (
            {
                "a/pyproject.toml": OWN,
                "a/tests/test_x.py": TEST,
                "b/pyproject.toml": OWN,
                "b/tests/test_x.py": TEST,
                "pyproject.toml": "[tool.ruff]\n",
            },
            f"(cd a && {PYTEST}) && (cd b && {PYTEST})",
        ),
        (
            {"a/tests/test_x.py": TEST, "b/tests/test_x.py": TEST},
            f"(cd a && {PYTEST}) && (cd b && {PYTEST})",
        ),
        (
            {"tests/test_x.py": TEST, "package.json": SCRIPT},
            f"(cd . && {PYTEST}) && (cd . && node --test web/)",
        ),
        (
            {"tests/test_x.py": TEST, "lib/setup.py": "", "lib/tests/test_y.py": TEST},
            f"(cd . && {PYTEST} --ignore=lib) && (cd lib && {PYTEST})",
        ),
        (
            {"pytest.ini": "[pytest]\n", "lib/setup.py": "", "lib/tests/test_y.py": TEST},
            PYTEST,
        ),
        (
            {"services/api/go.mod": "", "services/api/a.go": ""},
            "(cd services/api && go test ./...)",
        ),
        (
            {
                "checks/check_tariff.py": "def check_a(): pass\n",
                "pytest.ini": "[pytest]\npython_files = check_*.py\ntestpaths = checks\n",
            },
            PYTEST,
        ),
        (
            {"parcel.py": '">>> 1"\n', "setup.cfg": "[tool:pytest]\naddopts = --doctest-modules\n"},
            PYTEST,
        ),
        ({"parcel_tests.py": TEST}, f"{PYTEST} parcel_tests.py"),
        ({"tests/data/pyproject.toml": OWN, "tests/test_x.py": TEST}, PYTEST),
    ],
)
def test_every_project_has_its_tests_run_in_its_folder(
    contents: dict[str, str], command: str
) -> None:
    assert detect(sorted(contents), contents) == command


@pytest.mark.parametrize(
    ("script", "command"),
    [
        (
            "TZ=Europe/Berlin mocha --recursive spec/unit",
            "TZ=Europe/Berlin npx --no-install mocha --recursive spec/unit",
        ),
        ("npm run build && jest --ci", "npm run build && npx --no-install jest --ci"),
        ("vitest --watch", "npx --no-install vitest run"),
        ("node_modules/.bin/mocha x", "npx --no-install mocha x"),
        ("mocha $(cat list)", "npm test --silent"),
    ],
)
def test_a_script_keeps_its_words(script: str, command: str) -> None:
    contents = {"package.json": json.dumps({"scripts": {"test": script}})}
    assert detect(["package.json"], contents) == command


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("ts-scripts test && npm run size", "npx --no-install vitest run"),
        ("turbo run test", "npm test --silent"),
        ("own-test $npm_package_name", "npm test --silent"),
    ],
)
def test_a_runner_behind_a_program_of_the_projects_own_is_called_itself(
    script: str, command: str
) -> None:
    manifest = {"scripts": {"test": script}, "devDependencies": {"vitest": "3"}}
    assert detect(["package.json"], {"package.json": json.dumps(manifest)}) == command


def test_modules_in_folders_that_go_leaves_out_are_no_projects() -> None:
    assert detect(["go.mod", "_examples/rest/go.mod", "_examples/rest/a.go"], {}) == "go test ./..."


@pytest.mark.parametrize(
    ("scripts", "command"),
    [
        ({"test": "npm run lint && npm run mocha", "mocha": "mocha -R dot"}, "M -R dot"),
        ({"pretest": "npm run lint && tsc", "test": "c8 mocha x"}, "tsc && c8 M x"),
        ({"test": "pnpm lint && pnpm vitest run --dir a"}, "V --dir a"),
        ({"test": "yarn build && mocha", "build": "node make.js"}, "node make.js && M"),
        ({"test": "npm run unit -- -b", "preunit": "tsc -b", "unit": "mocha"}, "tsc -b && M -b"),
        ({"test": "mocha && npm audit"}, "M"),
        ({"test": "cross-env CI=1 npm run mocha", "mocha": "mocha"}, "npm test --silent"),
        ({"test": "npm run test", "pretest": "npm run pretest"}, "npm test --silent"),
        ({"test": "npm run lint && nyc tape", "lint": "eslint ."}, "nyc T"),
        ({"test": "npm run lint && nyc ava", "lint": "eslint ."}, "nyc A"),
        ({"test": "xo && ava && tsd"}, "A"),
        ({"test": "npm run lint && nyc unheard-of", "lint": "eslint ."}, "npm test --silent"),
    ],
)
def test_scripts_that_call_others_are_reduced_to_what_tests_need(
    scripts: dict[str, str], command: str
) -> None:
    contents = {"package.json": json.dumps({"scripts": scripts})}
    for letter, call in {"M": "mocha", "V": "vitest run", "T": "tape", "A": "ava"}.items():
        command = command.replace(letter, f"npx --no-install {call}")
    assert detect(["package.json"], contents) == command


def test_a_command_of_parts_is_read_as_it_was_written() -> None:
    parts = (Part(folder="a", command="pytest -k '(x)'"), Part(folder="b/c", command="npm test"))
    assert split(join(parts)) == parts
    for other in ("pytest", "(cd a && x) || true", "(cd ../x && y)", "cd a && (pytest)"):
        assert split(other) == (Part(folder=".", command=other),)


def test_a_selection_goes_to_the_project_that_it_names() -> None:
    api, web = Part(folder="api", command=PYTEST), Part(folder="web", command="npx jest")
    chosen = route((api, web), "api/tests/test_a.py::test_b\nweb/a.test.ts::adds up")
    assert chosen == ((api, "tests/test_a.py::test_b"), (web, "a.test.ts::adds up"))
    assert route((api, web), "-k x") == ((api, "-k x"), (web, "-k x"))
    assert route((api, web), "") == ((api, ""), (web, ""))


def test_a_part_without_results_is_one_test() -> None:
    good = SuiteRun(
        command=PYTEST,
        exit_code=0,
        output="",
        results=(named_from_root(TestResult(name="tests/a.py::b", outcome="passed"), "api"),),
        folder="api",
    )
    bad = SuiteRun(command="npm test", exit_code=1, output="not ok", folder="web")
    assert combine_runs("both", [good, bad]).outcomes == {
        "api/tests/a.py::b": "passed",
        "web: npm test": "error",
    }


async def test_two_projects_run_with_results_under_their_own_paths() -> None:
    test = "import lib\n\n\ndef test_a():\n    assert lib.X\n"
    box = LocalSandbox(
        {
            "a/pyproject.toml": OWN,
            "a/src/lib.py": "X = 1\n",
            "a/tests/test_x.py": test,
            "b/pyproject.toml": OWN,
            "b/src/lib.py": "X = 0\n",
            "b/tests/test_x.py": test,
        }
    )
    try:
        command = await find_test_command(box)
        run = await run_suite(box, command)
        assert run.outcomes == {
            "a/tests/test_x.py::test_a": "passed",
            "b/tests/test_x.py::test_a": "failed",
        }
        one = await run_suite(box, command, "b/tests/test_x.py")
        assert one.outcomes == {"b/tests/test_x.py::test_a": "failed"}
    finally:
        await box.close()


async def test_a_suite_that_cannot_start_is_told_with_the_runners_words() -> None:
    box = LocalSandbox({"pytest.ini": "[pytest]\naddopts = --no-such-option\n", "test_a.py": TEST})
    try:
        run = await run_suite(box, PYTEST)
    finally:
        await box.close()
    assert cannot_start(run)
    assert "unrecognized arguments: --no-such-option" in run.output
