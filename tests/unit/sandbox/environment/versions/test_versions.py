"""Versions of toolchains: what files state, what a range allows, what can be had."""

from __future__ import annotations

import pytest

from sandbox.environment.versions.available import best, official_image, shortfall, unmet
from sandbox.environment.versions.probe import read_answer
from sandbox.environment.versions.ranges import allows
from sandbox.environment.versions.records import StatedVersion, Tool, Version
from sandbox.environment.versions.stated import is_workflow, stated_versions

CI = """\
jobs:
  test:
    strategy:
      matrix:
        python-version: ["3.12", '3.13']
        node-version:
          - 18
          - 20.x
    steps:
      - uses: actions/setup-python@v5
        with:
          python-version: ${{ matrix.python-version }}
      - uses: actions/setup-go@v5
        with: {}
      - name: Java
        with:
          java-version: 17 # the oldest
"""


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("pyproject.toml", '[project]\nrequires-python = ">=3.12"', [("python", ">=3.12", True)]),
        (
            "pyproject.toml",
            '[tool.poetry.dependencies]\npython = "^3.9"',
            [("python", "^3.9", True)],
        ),
        ("uv.lock", 'version = 1\nrequires-python = ">=3.10"\n', [("python", ">=3.10", True)]),
        ("setup.cfg", "[options]\npython_requires = >=3.8\n", [("python", ">=3.8", True)]),
        ("setup.py", "setup(python_requires='>=3.7')", [("python", ">=3.7", True)]),
        (".python-version", "3.10.4\n3.11\n", [("python", "3.10.4 || 3.11", False)]),
        ("Pipfile", '[requires]\npython_version = "3.9"\n', [("python", "3.9", False)]),
        ("environment.yml", "dependencies:\n  - python=3.10\n", [("python", "3.10", False)]),
        ("tox.ini", "[tox]\nenvlist = py39, py3{10,11}\n",
         [("python", "3.10 || 3.11 || 3.9", False)]),
        (
            "noxfile.py",
            'import nox\n@nox.session(python=["3.9", "3.12"])\ndef t(s): ...\n',
            [("python", "3.9 || 3.12", False)],
        ),
        (
            "package.json",
            '{"engines": {"node": ">=20"}, "packageManager": "pnpm@9.1.0"}',
            [("node", ">=20", True), ("pnpm", "9.1.0", False)],
        ),
        (".nvmrc", "v20.11\n", [("node", "20.11", False)]),
        (".node-version", "22\n", [("node", "22", False)]),
        (".tool-versions", "nodejs 20.1.0\njava temurin-21.0.2\n# x\n",
         [("node", "20.1.0", False), ("java", "21.0.2", False)]),
        ("mise.toml", '[tools]\npython = "3.12"\ngo = {version = "1.22"}\n',
         [("python", "3.12", False), ("go", "1.22", False)]),
        ("go.mod", "module x\n\ngo 1.22\n\ntoolchain go1.23.1\n",
         [("go", ">=1.22", True), ("go", ">=1.23.1", False)]),
        ("Cargo.toml", '[package]\nrust-version = "1.70"\nedition = "2021"\n',
         [("rust", ">=1.70", True), ("rust", ">=1.56", True)]),
        ("rust-toolchain.toml", '[toolchain]\nchannel = "1.80.0"\n', [("rust", "1.80.0", False)]),
        ("rust-toolchain", "nightly\n", []),
        ("pom.xml", "<maven.compiler.release>21</maven.compiler.release>",
         [("java", ">=21", True)]),
        ("pom.xml", "<java.version>1.8</java.version>", [("java", ">=8", True)]),
        ("build.gradle", "languageVersion = JavaLanguageVersion.of(17)", [("java", "17", True)]),
        (".ruby-version", "ruby-3.2.2\n", [("ruby", "3.2.2", False)]),
        ("Gemfile", 'source "x"\nruby ">= 3.1", "< 4"\n', [("ruby", ">= 3.1,< 4", True)]),
        ("global.json", '{"sdk": {"version": "8.0.100"}}', [("dotnet", ">=8", False)]),
        ("composer.json", '{"require": {"php": "^8.1"}}', [("php", "^8.1", True)]),
        (
            ".github/workflows/ci.yml",
            CI,
            [("python", "3.12 || 3.13", False), ("node", "18 || 20.x", False),
             ("java", "17", False)],
        ),
        ("pyproject.toml", "[project", []),
        ("package.json", "[]", []),
        (".nvmrc", "", []),
    ],
)  # fmt: skip
def test_each_file_states_its_versions(
    name: str, text: str, expected: list[tuple[Tool, str, bool]]
) -> None:
    assert [(s.tool, s.wanted, s.binding) for s in stated_versions({name: text})] == expected


def test_only_workflows_of_the_repository_itself_count() -> None:
    assert is_workflow(".github/workflows/ci.yml")
    assert not is_workflow("vendor/x/.github/workflows/ci.yml")
    assert not is_workflow(".github/workflows/scripts/run.yml")


@pytest.mark.parametrize(
    ("wanted", "version", "expected"),
    [
        (">=3.12", (3, 11, 2), False),
        (">=3.9,<4", (3, 11), True),
        (">=3.8, !=3.11.*", (3, 11), False),
        ("<3.13", (3, 13, 1), False),
        ("~=3.9", (3, 11), True),
        ("~=3.9", (4, 0), False),
        ("^3.9", (3, 11), True),
        ("^3.9", (4, 1), False),
        ("^0.2.3", (0, 3), False),
        ("~1.2.3", (1, 3), False),
        ("~> 3.1", (3, 4), True),
        ("3.11.4", (3, 11), True),
        ("3.10", (3, 11), False),
        ("==3.11.*", (3, 11, 9), True),
        ("18 || 20", (20, 19), True),
        ("18 || >=22", (20, 19), False),
        ("18.x", (18, 20, 4), True),
        ("16 - 18", (17,), True),
        (">= 0.4", (18, 20), True),
        ("lts/*", (18,), True),
        ("", (1,), True),
    ],
)
def test_a_range_allows_versions(wanted: str, version: Version, expected: bool) -> None:
    assert allows(wanted, version) is expected


def stated(tool: Tool, wanted: str, *, binding: bool = True) -> StatedVersion:
    return StatedVersion(tool, wanted, "a file", binding)


def test_the_highest_version_that_meets_everything_is_chosen() -> None:
    everything = [stated("python", ">=3.9"), stated("python", "3.10 || 3.11", binding=False)]
    assert best("python", everything, [(3, 9), (3, 10), (3, 11), (3, 13)]) == (3, 11)
    assert best("python", [stated("python", ">=3.12")], [(3, 9), (3, 13)]) == (3, 13)
    assert best("python", [stated("python", ">=3.15")], [(3, 13)]) is None
    assert official_image("go", [stated("go", ">=1.23"), stated("go", "1.23", binding=False)]) == (
        "golang:1.23"
    )


def test_what_is_lacking_is_said_with_what_would_help() -> None:
    wants = [stated("python", ">=3.12"), stated("node", ">=18"), stated("rust", ">=1.80")]
    has: dict[Tool, Version] = {"python": (3, 11, 2), "node": (18, 20)}
    lacking = unmet(wants, has)
    assert [one.tool for one in lacking] == ["python"]
    said = shortfall(lacking, has)
    assert said.startswith("The project needs Python >=3.12 (a file), and the sandbox has 3.11.")
    assert "`patchwright images build --python 3.14`" in said
    assert shortfall((), has) == ""


def test_an_image_says_what_it_has_and_what_its_packages_bring() -> None:
    answer = (
        'release bookworm\npython Python 3.11.2\njava openjdk version "1.8.0_392"\n'
        "node v20.1.0\nnonsense\n"
    )
    versions = read_answer(answer)
    assert versions["python"] == (3, 11, 2)
    assert versions["java"] == (8, 0)
    assert versions["node"] == (20, 1, 0)
    assert versions["go"] == (1, 19)
    assert read_answer("") == {}
