"""Detection of runners and their command lines: pure functions."""

from __future__ import annotations

import json

import pytest

from agent.testing.detect import detect
from agent.testing.projects import split
from agent.testing.runners import invocation, kind_of
from agent.testing.selection import quote_selection, without_paths, words

FUNCTIONS = "def test_a():\n    assert True\n"
CASES = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n"


@pytest.mark.parametrize(
    ("contents", "have_pytest", "command"),
    [
        ({"tests/test_a.py": FUNCTIONS}, True, "python3 -m pytest -q"),
        ({"tests/test_a.py": CASES}, True, "python3 -m pytest -q"),
        ({"tests/test_a.py": CASES}, False, "python3 -m unittest discover -s tests -p 'test*.py'"),
        (
            {"tests/test_a.py": CASES, "tests/__init__.py": ""},
            False,
            "python3 -m unittest discover -s tests -t . -p 'test*.py'",
        ),
        ({"tests/test_a.py": FUNCTIONS}, False, None),
        ({"tests/checks.py": FUNCTIONS}, True, "python3 -m pytest -q tests/checks.py"),
        ({"test_a.py": "assert 1 + 1 == 2\n"}, True, "python3 test_a.py"),
        ({"tests/__init__.py": "", "tests/conftest.py": ""}, True, None),
        ({"go.mod": "module x\n"}, True, "go test ./..."),
        ({"Cargo.toml": "[package]\n"}, True, "cargo test"),
        ({"pom.xml": "<project/>"}, True, "mvn -B -o test"),
        ({"pom.xml": "<project/>", "mvnw": ""}, True, "./mvnw -B -o test"),
        ({"build.gradle.kts": "", "gradlew": ""}, True, "./gradlew test --offline"),
        ({"tox.ini": "[tox]\n"}, True, "tox"),
        ({"noxfile.py": ""}, True, "nox"),
        ({"tox.ini": "[tox]\n", "tests/test_a.py": FUNCTIONS}, True, "python3 -m pytest -q"),
        ({"README.md": "assert"}, True, None),
    ],
)
def test_the_command_is_read_off_the_files(
    contents: dict[str, str], have_pytest: bool, command: str | None
) -> None:
    assert detect(sorted(contents), contents, have_pytest=have_pytest) == command


@pytest.mark.parametrize(
    ("contents", "commands"),
    [
        ({"Cargo.toml": "[workspace]\n", ".config/nextest.toml": ""},
         ["cargo nextest run --workspace"]),
        ({"a/Cargo.toml": "", "a/.config/nextest.toml": "", "b/Cargo.toml": ""},
         ["cargo nextest run", "cargo test"]),
        ({"Cargo.toml": "", "a/Cargo.toml": "", "a/.config/nextest.toml": ""}, ["cargo test"]),
    ],
)  # fmt: skip
def test_nextest_is_called_where_its_settings_stand_and_it_is_installed(
    contents: dict[str, str], commands: list[str]
) -> None:
    found = detect(sorted(contents), contents, have_nextest=True)
    assert [part.command for part in split(found or "")] == commands
    without = detect(sorted(contents), contents, have_nextest=False) or ""
    assert "nextest" not in without


@pytest.mark.parametrize(
    ("manifest", "command"),
    [
        ({"scripts": {"test": "jest --ci"}}, "npx --no-install jest --ci"),
        ({"scripts": {"test": "vitest"}}, "npx --no-install vitest run"),
        ({"devDependencies": {"mocha": "^10"}}, "npx --no-install mocha"),
        ({"scripts": {"test": "node check.js"}}, "npm test --silent"),
        ({"scripts": {"test": 'echo "Error: no test specified" && exit 1'}}, None),
        ({"scripts": ["hostile"]}, None),
    ],
)
def test_javascript_runners_come_from_package_json(manifest: object, command: str | None) -> None:
    contents = {"package.json": json.dumps(manifest)}
    assert detect(["package.json"], contents) == command


def test_a_broken_manifest_is_no_crash() -> None:
    assert detect(["package.json"], {"package.json": "{" * 100_000}) is None


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("python3 -m pytest -q", "pytest"),
        (".venv/bin/pytest tests", "pytest"),
        ("python -m unittest discover", "unittest"),
        ("tox -e py312", "tox"),
        ("npx --no-install vitest run", "vitest"),
        ("cargo +nightly test --all", "cargo"),
        ("./gradlew test", "gradle"),
        ("make test", "other"),
        ("go vet ./...", "other"),
    ],
)
def test_kinds(command: str, kind: str) -> None:
    assert kind_of(command) == kind


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("", ()),
        ("a.py::t[x y] b.py", ("a.py::t[x y]", "b.py")),
        ("a.py::t[x y]\nb.py::u[[]", ("a.py::t[x y]", "b.py::u[[]")),
        ("-k 'a or b'", ("-k", "a or b")),
        ("-k 'unbalanced", ("-k", "'unbalanced")),
    ],
)
def test_selections_are_split_into_names(selection: str, expected: tuple[str, ...]) -> None:
    assert words(selection) == expected


def test_a_selection_cannot_become_shell() -> None:
    assert quote_selection("$(touch x);rm") == "'$(touch' 'x);rm'"


@pytest.mark.parametrize(
    ("command", "bare"),
    [
        ("python3 -m pytest -q tests/a.py tests", "python3 -m pytest -q"),
        ("pytest -k 'a b' -p no:x tests", "pytest -k 'a b' -p no:x"),
        ("cd sub && pytest tests", "cd sub && pytest tests"),
    ],
)
def test_a_selection_takes_the_place_of_the_paths(command: str, bare: str) -> None:
    assert without_paths(command) == bare


@pytest.mark.parametrize(
    ("command", "selection", "part"),
    [
        ("go test ./...", "", "go test -json ./..."),
        ("go test -race ./...", "x/y::TestA/b", "go test -json -race x/y -run '^TestA$/^b$'"),
        ("go test ./...", "x::TestA\nx::TestB", "go test -json x -run '^TestA$|^TestB$'"),
        ("cargo test", "a::b", "cargo test --no-fail-fast -- --exact a::b"),
        ("npx jest", "a.test.ts::sum adds", "npx jest --json --outputFile=/t/report a.test.ts -t"),
        ("npx vitest run", "", "npx vitest run --reporter=json --outputFile=/t/report"),
        ("mvn test", "a.B#c", "-Dtest=a.B#c"),
        ("./gradlew test", "a.B#c", "./gradlew test --continue --tests a.B.c"),
        ("python3 -m unittest", "t.A.b", "python3 /t/unittest_report.py /t/report t.A.b"),
        ("tox -e py312", "tests/a.py", "tox -e py312 -- tests/a.py"),
        ("python3 -m pytest tests", "a.py::b", "python3 -m pytest a.py::b"),
    ],
)
def test_commands_ask_for_results_of_a_selection(command: str, selection: str, part: str) -> None:
    assert part in invocation(command, selection, "/t").command
