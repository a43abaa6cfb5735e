"""Which command runs a repository's tests, read off its files.

A repository may hold several projects, side by side or below one another, in several languages.
Each has its tests run in its own folder (`agent.testing.projects`).
"""

from __future__ import annotations

import configparser
import json
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from agent.model import Record
from agent.testing.npm_scripts import script_of_tests
from agent.testing.projects import Part, join
from agent.text.globs import matches
from agent.text.toml import toml_table

_PYTHON_MANIFESTS = (
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "tox.ini",
    "noxfile.py",
    "Pipfile",
    "environment.yml",
    "manage.py",
)
MANIFESTS = (
    "package.json",
    "go.mod",
    "go.work",
    "Cargo.toml",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "mvnw",
    "gradlew",
    "build.sbt",
    "deno.json",
    "deno.jsonc",
    "mix.exs",
    "Package.swift",
    *_PYTHON_MANIFESTS,
)
"""Files that say what a project is and how its tests are run."""
_AT_ROOT = ("CMakeLists.txt", "meson.build", "Rakefile", "composer.json")
"""More such files, of which only the root's are looked at."""

NEXTEST_SETTINGS = ".config/nextest.toml"
"""Of cargo-nextest, at a Cargo workspace's root (https://nexte.st/docs/configuration/)."""

_MOST_MANIFESTS = 200
_MOST_TEST_FILES = 200
_MOST_PARTS = 12

_COLLECTED = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")
_NAMED_TESTS = re.compile(r"(?:^|/)tests?\.py$|(?:^|/)[^/]+_tests\.py$|(?:^|/)tests?/[^/]+\.py$")
_HAS_TESTS = re.compile(r"^[^\S\n]*(?:async\s+)?def test|^class \w*Test|\bTestCase\b", re.M)
_NO_PROJECTS = frozenset(
    {"node_modules", "vendor", "third_party", "testdata", "fixtures", "examples", "example", "docs"}
    | {"test", "tests", "__tests__", "spec", "samples", "templates", "benchmarks"}
)
"""Projects below such folders are data of another project, or show how it is used."""

_RUNNERS_OF_JAVASCRIPT = {
    "vitest": "npx --no-install vitest run",
    "jest": "npx --no-install jest",
    "mocha": "npx --no-install mocha",
    "tap": "npx --no-install tap",
    "tape": "npx --no-install tape",
    "ava": "npx --no-install ava",
    "jasmine": "npx --no-install jasmine",
    "uvu": "npx --no-install uvu",
}
_COMPONENTS = "@playwright/experimental-ct-"
"""How the packages begin that test components in a browser (https://playwright.dev/docs/test-components)."""
_COMPONENT_SETTINGS = re.compile(r"playwright-ct\.config\.[cm]?[jt]s$")
_TESTS_OF_BUN = re.compile(r"[._](?:test|spec)\.[cm]?[jt]sx?$")
_TESTS_OF_DENO = re.compile(r"(?:^|/)(?:[^/]*[._])?test\.[cm]?[jt]sx?$")
_WORKSPACES = re.compile(
    r"\bworkspaces?\b|\s-ws?\b|\blerna\b|\bturbo\b|\bnx\b|\s-r\s|--prefix|\bcd\s"
)


class PytestOptions(Record):
    """What a project's own configuration says about what pytest collects."""

    testpaths: tuple[str, ...] = ()
    python_files: tuple[str, ...] = ()
    addopts: str = ""

    @property
    def doctests(self) -> bool:
        """Whether examples in docstrings or text files are tests."""
        return "--doctest" in self.addopts


def python_tests(files: Sequence[str]) -> tuple[str, ...]:
    """The Python files that look like tests by their names, most usual first."""
    usual = [f for f in files if _COLLECTED.search(f)]
    seen = set(usual)
    others = [f for f in files if f not in seen and _NAMED_TESTS.search(f)]
    return tuple(usual + [f for f in others if not f.endswith(("__init__.py", "conftest.py"))])


def files_to_read(files: Sequence[str]) -> tuple[str, ...]:
    """The files whose contents `detect` needs: manifests, test files, their packages."""
    manifests = sorted(
        (f for f in files if PurePosixPath(f).name in MANIFESTS and not _is_data(f)),
        key=lambda f: (f.count("/"), f),
    )
    tests = python_tests(files)[:_MOST_TEST_FILES]
    packages = {f"{PurePosixPath(f).parent}/__init__.py" for f in tests} & set(files)
    at_root = [f for f in _AT_ROOT if f in files]
    return tuple(dict.fromkeys([*at_root, *manifests[:_MOST_MANIFESTS], *tests, *sorted(packages)]))


def detect(
    files: Sequence[str],
    contents: Mapping[str, str],
    *,
    have_pytest: bool = True,
    have_nextest: bool = False,
) -> str | None:
    """The test command of a repository, or None when nothing looks like tests.

    `files` are the paths below the root; `contents` holds what `files_to_read` names. tox and nox
    only where no test is in sight that could be run without them, because they make environments
    and need a network. cargo-nextest only where it is installed: Cargo does not bring it.
    """
    parts = [
        *_python(files, contents, have_pytest),
        *_javascript(files, contents),
        *_go(files),
        *_rust(files, contents, have_nextest),
        *_java(files),
        *_elixir(files),
        *_swift(files),
    ]
    if parts:
        return join(parts[:_MOST_PARTS])
    if command := _ruby(files, contents) or _php(files, contents) or _native(files, contents):
        return command
    names = set(files)
    return "tox" if "tox.ini" in names else "nox" if "noxfile.py" in names else None


def project_of(path: str, folders: Iterable[str]) -> str:
    """The nearest of these folders that holds the path; "." if none does."""
    known = set(folders)
    return next((str(p) for p in PurePosixPath(path).parents if str(p) in known), ".")


def folders_with(files: Sequence[str], names: Iterable[str]) -> tuple[str, ...]:
    """The folders in which a file of such a name stands, the root first."""
    wanted_names = set(names)
    found = {
        str(PurePosixPath(f).parent)
        for f in files
        if PurePosixPath(f).name in wanted_names and not _is_data(f)
    }
    return tuple(sorted(found, key=lambda f: (f != ".", f)))


def pytest_options(folder: str, contents: Mapping[str, str]) -> PytestOptions | None:
    """pytest's configuration in a folder; None where it has none."""

    def text(name: str) -> str:
        return contents.get(name if folder == "." else f"{folder}/{name}", "")

    for name in (".pytest.ini", "pytest.ini"):
        if (name if folder == "." else f"{folder}/{name}") in contents:
            return _options(_ini(text(name), "pytest"))
    for name in ("pytest.toml", ".pytest.toml"):
        if text(name):
            return _options(_table(_toml(text(name)).get("pytest")))
    tool = _table(_table(_toml(text("pyproject.toml")).get("tool")).get("pytest"))
    if tool:
        return _options({**tool, **_table(tool.get("ini_options"))})
    for name, section in (("tox.ini", "pytest"), ("setup.cfg", "tool:pytest")):
        if found := _ini(text(name), section):
            return _options(found)
    return None


def _options(table: Mapping[str, Any]) -> PytestOptions:
    return PytestOptions(
        testpaths=_words(table.get("testpaths")),
        python_files=_words(table.get("python_files")),
        addopts=" ".join(_words(table.get("addopts"))),
    )


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return tuple(value.split())
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def _ini(text: str, section: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return dict(parser.items(section)) if parser.has_section(section) else {}


def _python(
    files: Sequence[str], contents: Mapping[str, str], have_pytest: bool
) -> tuple[Part, ...]:
    """The Python projects; a nested one is separate where the root does not speak for it."""
    tests = python_tests(files)
    folders = [f for f in _python_projects(files, contents) if f != "."]
    nested: dict[str, Part] = {}
    for folder in folders:
        own = tuple(f.removeprefix(f"{folder}/") for f in files if project_of(f, folders) == folder)
        command = _python_command(own, _below(folder, contents), have_pytest)
        if command is not None:
            nested[folder] = Part(folder=folder, command=command)
    rest = tuple(f for f in files if project_of(f, folders) == ".")
    root = _python_command(rest, contents, have_pytest)
    if root is None:
        return tuple(nested.values())
    if nested and "pytest" in root:
        root = " ".join([root, *(f"--ignore={shlex.quote(f)}" for f in nested)])
    split = () if nested or "pytest" not in root else _same_names(tests, files, contents)
    if split:
        return tuple(Part(folder=f, command="python3 -m pytest -q") for f in split)
    return (Part(folder=".", command=root), *nested.values())


def _python_projects(files: Sequence[str], contents: Mapping[str, str]) -> tuple[str, ...]:
    above = pytest_options(".", contents) is not None
    found = []
    for folder in folders_with(files, _PYTHON_MANIFESTS):
        own = _below(folder, contents)
        configured = pytest_options(".", own) is not None
        # Where only the root configures pytest, it collects from the projects below as well.
        if folder == "." or configured or (not above and _is_python_project(own)):
            found.append(folder)
    return tuple(found)


def _is_python_project(own: Mapping[str, str]) -> bool:
    project = _toml(own.get("pyproject.toml", ""))
    return (
        "project" in project
        or "build-system" in project
        or "poetry" in _table(project.get("tool"))
        or any(name in own for name in ("setup.py", "Pipfile", "noxfile.py", "tox.ini"))
        or "DJANGO_SETTINGS_MODULE" in own.get("manage.py", "")
        or "[metadata]" in own.get("setup.cfg", "")
    )


def _same_names(
    tests: Sequence[str], files: Sequence[str], contents: Mapping[str, str]
) -> tuple[str, ...]:
    """Folders to run one by one, where pytest cannot read two test files of one name in one run.

    That is so without `__init__.py` beside them and without `--import-mode=importlib`.
    """
    options = pytest_options(".", contents)
    if options is not None and ("importlib" in options.addopts or options.testpaths):
        return ()
    there = set(files)
    collected = [f for f in tests if _COLLECTED.search(f)]
    by_name = defaultdict(list)
    for path in collected:
        if f"{PurePosixPath(path).parent}/__init__.py" not in there:
            by_name[PurePosixPath(path).name].append(PurePosixPath(path).parts)
    doubled = [paths for paths in by_name.values() if len(paths) > 1]
    if not doubled:
        return ()
    # The first folder in which the paths of one name differ.
    depth = max(
        next((i for i, parts in enumerate(zip(*paths, strict=False)) if len(set(parts)) > 1), 0)
        for paths in doubled
    )
    found = {
        str(PurePosixPath(*PurePosixPath(f).parts[: depth + 1]))
        if f.count("/") > depth
        else str(PurePosixPath(f).parent)
        for f in collected
    }
    apart = all(a == b or not a.startswith(f"{b}/") for a in found for b in found)
    return tuple(sorted(found)) if apart and "." not in found else ()


def _python_command(
    files: Sequence[str], contents: Mapping[str, str], have_pytest: bool
) -> str | None:
    """The command for one Python project, in its folder."""
    tests = python_tests(files)
    options = pytest_options(".", contents)
    if options is None and tests and "DJANGO_SETTINGS_MODULE" in contents.get("manage.py", ""):
        return "python3 manage.py test"
    if options is None and tests and {"nose2.cfg", "unittest.cfg"} & set(files):
        return "python3 -m nose2"
    if have_pytest and options is not None and _configured(files, options):
        return "python3 -m pytest -q"
    if not tests:
        return None
    collected = [f for f in tests if _COLLECTED.search(f)]
    with_tests = [f for f in tests if _HAS_TESTS.search(contents.get(f, ""))]
    if not have_pytest:
        return _unittest(tests, contents)
    read = any(f in contents for f in collected)
    if any(f in with_tests for f in collected) or (collected and not read):
        return "python3 -m pytest -q"
    if with_tests:
        return "python3 -m pytest -q " + shlex.join(with_tests)
    # No test functions at all: scripts of plain assertions.
    asserting = [f for f in tests if re.search(r"^[^\S\n]*assert\b", contents.get(f, ""), re.M)]
    return " && ".join(f"python3 {shlex.quote(f)}" for f in asserting) or None


def _configured(files: Sequence[str], options: PytestOptions) -> bool:
    """Whether there is something that this configuration, and not pytest's own, collects."""
    inside = [
        f
        for f in files
        if not options.testpaths or any(_under(f, path) for path in options.testpaths)
    ]
    if options.python_files and any(matches(f, options.python_files) for f in inside):
        return True
    if options.doctests:
        return any(f.endswith(".py") for f in inside)
    return bool(options.testpaths) and any(_COLLECTED.search(f) for f in inside)


def _under(path: str, folder: str) -> bool:
    plain = folder.rstrip("/").removeprefix("./")
    return plain in ("", ".") or path == plain or path.startswith(f"{plain}/") or "*" in plain


def _unittest(tests: Sequence[str], contents: Mapping[str, str]) -> str | None:
    cases = [f for f in tests if "unittest" in contents.get(f, "")]
    if not cases:
        return None
    folders = {str(PurePosixPath(f).parent) for f in cases}
    prefix = next(iter(folders)) if len(folders) == 1 else "."
    pattern = "test*.py" if all(PurePosixPath(f).name.startswith("test") for f in cases) else "*.py"
    where = "" if prefix == "." else f" -s {shlex.quote(prefix)} -t ."
    if where and f"{prefix}/__init__.py" not in contents:
        where = f" -s {shlex.quote(prefix)}"
    return f"python3 -m unittest discover{where} -p {shlex.quote(pattern)}"


def _javascript(files: Sequence[str], contents: Mapping[str, str]) -> list[Part]:
    found: list[Part] = []
    root = ""
    for folder in folders_with(files, ("package.json", "deno.json", "deno.jsonc")):
        own = [f.removeprefix(f"{folder}/") for f in files if _inside(f, folder)]
        command = _javascript_command(own, _below(folder, contents))
        if folder == ".":
            root = command or ""
        elif root and _speaks_for(root, contents.get("package.json", ""), folder):
            continue
        if command is not None:
            found.append(Part(folder=folder, command=command))
    return found


def _speaks_for(root: str, manifest: str, folder: str) -> bool:
    """Whether the root's test command runs the tests of a package below as well."""
    script = _object(_object(manifest).get("scripts")).get("test", "")
    script = script if isinstance(script, str) else ""
    bare = (
        re.fullmatch(r"npx --no-install (?:jest|vitest run)|(?:bun|deno) test.*", root) is not None
    )
    return bare or _WORKSPACES.search(script) is not None or folder in script


def _javascript_command(files: Sequence[str], contents: Mapping[str, str]) -> str | None:
    """The command for one JavaScript project, in its folder: npm's, else Deno's."""
    by_npm = _npm_command(files, contents.get("package.json", ""))
    return by_npm or _deno_command(files, contents)


def _deno_command(files: Sequence[str], contents: Mapping[str, str]) -> str | None:
    """Its own task if that is a call of the runner alone; all permissions if it names none."""
    settings = next((n for n in ("deno.json", "deno.jsonc") if n in contents), None)
    if settings is None:
        return None
    text = re.sub(r"^\s*//.*$", "", contents[settings], flags=re.M)
    task = _object(_object(text).get("tasks")).get("test", "")
    if isinstance(task, dict):
        task = task.get("command", "")
    if isinstance(task, str) and re.match(r"deno\s+test(?![^;&|]*[;&|])", task):
        return task
    return "deno test -A" if any(_TESTS_OF_DENO.search(f) for f in files) else None


def _npm_command(files: Sequence[str], package: str) -> str | None:
    manifest = _object(package)
    script = script_of_tests(_object(manifest.get("scripts")))
    dependencies = {
        **_object(manifest.get("dependencies")),
        **_object(manifest.get("devDependencies")),
    }
    for runner, call in _RUNNERS_OF_JAVASCRIPT.items():
        if not script and runner in dependencies:
            return call
        if (
            re.search(rf"(?<!run)(?<!reporter)(?<!-R)(?:^|[\s/]){runner}(?=\s|$)", script)
            and _npm_only(script) is None
        ):
            return _script(script, runner, call)
    if re.search(r"(?:^|[\s/])playwright\s+test(?=\s|$)", script) and _npm_only(script) is None:
        return _script(script, "playwright", "npx --no-install playwright")
    if re.search(r"(?:^|\s)(?:bun|deno)\s+test(?=\s|$)", script) and _npm_only(script) is None:
        return script
    if not script or "no test specified" in script:
        return _without_script(files, dependencies)
    if re.search(r"(?:^|\s)node\s(?:\S+\s+)*?--test(?=\s|$)", script) and ")" not in script:
        return script
    # A program of the project's own that calls a runner: these take all they need from their own
    # configuration, and only they themselves say what became of each test.
    hidden = next((runner for runner in ("vitest", "jest") if runner in dependencies), "")
    if hidden and not _WORKSPACES.search(script) and _npm_only(script) is None:
        return _RUNNERS_OF_JAVASCRIPT[hidden]
    return "npm test --silent"


def _without_script(files: Sequence[str], dependencies: Mapping[str, Any]) -> str | None:
    """What runs tests without a script that says so: Bun by its lock, Playwright's components."""
    own = [f for f in files if "node_modules/" not in f]
    if {"bun.lock", "bun.lockb"} & set(own) and any(_TESTS_OF_BUN.search(f) for f in own):
        return "bun test"
    settings = next((f for f in own if _COMPONENT_SETTINGS.fullmatch(f)), None)
    if settings and any(name.startswith(_COMPONENTS) for name in dependencies):
        return f"npx --no-install playwright test -c {settings}"
    return None


def _npm_only(script: str) -> re.Match[str] | None:
    """What only npm itself understands in a script: its variables, and other shells' words."""
    return re.search(r"\$npm_|%npm_|\$\(|`", script)


def _script(script: str, runner: str, call: str) -> str:
    """The script as it is, with its runner called so that nothing is fetched."""
    words = "|".join((r"npx(?:\s+--\S+)*\s+", r"(?:\./)?node_modules/\.bin/", ""))
    own = r"(?:\s+run(?=\s|$))?" if runner == "vitest" else ""
    watch = re.sub(r"\s--watch(?:All)?(?:=\S+)?(?=\s|$)", "", script)
    return re.sub(rf"(?<![^\s])(?:{words}){runner}{own}(?=\s|$)", call, watch, count=1)


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _go(files: Sequence[str]) -> list[Part]:
    """Every module by itself: `./...` ends where another go.mod begins."""
    return [
        Part(folder=folder, command="go test ./...")
        for folder in folders_with(files, ("go.mod",))
        if any(f.endswith(".go") and _inside(f, folder) for f in files) or folder == "."
    ]


def _rust(files: Sequence[str], contents: Mapping[str, str], have_nextest: bool) -> list[Part]:
    folders, there = folders_with(files, ("Cargo.toml",)), frozenset(files)

    def command(folder: str) -> str:
        settings = NEXTEST_SETTINGS if folder == "." else f"{folder}/{NEXTEST_SETTINGS}"
        return "cargo nextest run" if have_nextest and settings in there else "cargo test"

    if "." in folders:
        workspace = " --workspace" if "[workspace" in contents.get("Cargo.toml", "") else ""
        return [Part(folder=".", command=command(".") + workspace)]
    return [Part(folder=folder, command=command(folder)) for folder in _tops(folders)]


def _java(files: Sequence[str]) -> list[Part]:
    names = set(files)
    folders = folders_with(files, ("pom.xml", "build.gradle", "build.gradle.kts", "build.sbt"))
    found = []
    for folder in _tops(folders):
        own = {f.removeprefix(f"{folder}/") for f in names if _inside(f, folder)}
        if "pom.xml" in own:
            command = f"{'./mvnw' if 'mvnw' in own else 'mvn'} -B -o test"
        elif "build.sbt" in own and not {"build.gradle", "build.gradle.kts"} & own:
            command = "sbt test"
        else:
            command = f"{'./gradlew' if 'gradlew' in own else 'gradle'} test --offline"
        found.append(Part(folder=folder, command=command))
    return found


def _elixir(files: Sequence[str]) -> list[Part]:
    """Mix projects; an umbrella runs the tests of its applications itself."""
    tops = _tops(folders_with(files, ("mix.exs",)))
    tested = (f for f in tops if any(p.endswith("_test.exs") and _inside(p, f) for p in files))
    return [Part(folder=folder, command="mix test") for folder in tested]


def _swift(files: Sequence[str]) -> list[Part]:
    tops = _tops(folders_with(files, ("Package.swift",)))
    below = {f: f"{'' if f == '.' else f'{f}/'}Tests/" for f in tops}
    tested = (f for f in tops if any(p.startswith(below[f]) for p in files))
    return [Part(folder=folder, command="swift test") for folder in tested]


def _tops(folders: Sequence[str]) -> list[str]:
    """The folders that are below none of the others."""
    return [f for f in folders if not any(_inside(f, o) for o in folders if o != f)]


def _ruby(files: Sequence[str], contents: Mapping[str, str]) -> str | None:
    by = "bundle exec " if "Gemfile" in files else ""
    if any(f.startswith("spec/") and f.endswith("_spec.rb") for f in files):
        return f"{by}rspec"
    tasks = re.search(r"\bTestTask\b", contents.get("Rakefile", "")) is not None
    return f"{by}rake test" if tasks else None


def _php(files: Sequence[str], contents: Mapping[str, str]) -> str | None:
    wanted = _object(_object(contents.get("composer.json", "")).get("require-dev"))
    if "pestphp/pest" in wanted:
        return "vendor/bin/pest"
    if "phpunit/phpunit" in wanted:
        return "vendor/bin/phpunit"
    configured = {"phpunit.xml", "phpunit.xml.dist"} & set(files)
    return "phpunit" if configured and "composer.json" not in files else None


_MESON_TESTS = re.compile(r"(?:^|/)tests?/meson\.build$")


def _native(files: Sequence[str], contents: Mapping[str, str]) -> str | None:
    """C and C++: what CMake's or Meson's own files say of tests, built in a folder of its own."""
    taken = any(f.startswith("build/") for f in files)
    build = "_build" if taken else "build"
    if re.search(r"enable_testing\s*\(|include\s*\(\s*CTest", contents.get("CMakeLists.txt", "")):
        return (
            f"cmake -S . -B {build} && cmake --build {build} --parallel 2 && "
            f"ctest --test-dir {build} --output-on-failure"
        )
    tested = re.search(r"\btest\s*\(", contents.get("meson.build", "")) is not None
    if tested or ("meson.build" in files and any(_MESON_TESTS.search(f) for f in files)):
        return f"meson setup {build} && meson test -C {build}"
    return None


def _is_data(path: str) -> bool:
    folders = path.split("/")[:-1]
    # The tools of Go and others leave out what begins so.
    return bool(_NO_PROJECTS & set(folders)) or any(name.startswith("_") for name in folders)


def _inside(path: str, folder: str) -> bool:
    return folder == "." or path.startswith(f"{folder}/")


def _below(folder: str, contents: Mapping[str, str]) -> dict[str, str]:
    if folder == ".":
        return dict(contents)
    prefix = f"{folder}/"
    return {p.removeprefix(prefix): text for p, text in contents.items() if p.startswith(prefix)}


def _toml(text: str) -> dict[str, Any]:
    try:
        return toml_table(text)
    except ValueError:
        return {}


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
