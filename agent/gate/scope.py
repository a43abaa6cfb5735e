"""Whether the tests that belong to what a patch touches ran, and passed, without the patch.

A suite in which these tests are missing says nothing of the patch, however well it ends: test files
that cannot be read, a runner of another language, a base in which nothing passes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Sequence
from pathlib import PurePosixPath
from typing import Literal

from agent.journal.events import SCOPE, Check
from agent.model import Record
from agent.testing.collection import PytestCollection
from agent.testing.detect import MANIFESTS, folders_with, project_of
from agent.testing.paths import is_source, is_test
from agent.testing.report import SuiteRun
from agent.testing.runners import kind_of
from agent.testing.vacuous import why_vacuous
from sandbox.protocol import WORKDIR, Sandbox

Language = Literal["Python", "JavaScript", "Go", "Rust", "Java"]

_LANGUAGES: dict[str, Language] = {
    **dict.fromkeys((".py", ".pyx", ".pyi"), "Python"),
    **dict.fromkeys(
        (".js", ".cjs", ".mjs", ".jsx", ".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte"),
        "JavaScript",
    ),
    ".go": "Go",
    ".rs": "Rust",
    **dict.fromkeys((".java", ".kt", ".scala", ".groovy"), "Java"),
}
_RUNS: dict[str, Language] = {
    **dict.fromkeys(("pytest", "unittest", "tox", "django", "nose2"), "Python"),
    **dict.fromkeys(("jest", "vitest", "mocha", "node", "tap", "tape", "ava"), "JavaScript"),
    **dict.fromkeys(("jasmine", "uvu", "bun", "deno", "playwright"), "JavaScript"),
    "go": "Go",
    **dict.fromkeys(("cargo", "nextest"), "Rust"),
    **dict.fromkeys(("maven", "gradle", "sbt"), "Java"),
}
_WORDS: tuple[tuple[str, Language], ...] = (
    (r"\b(?:npm|npx|yarn|pnpm|node|bun|deno)\b", "JavaScript"),
    (r"\bpython[\d.]*\b", "Python"),
)
_AS_ONE = (
    *("other", "ctest", "meson", "phpunit", "rspec", "minitest", "dotnet"),
    *("django", "nose2", "jasmine", "bun", "deno", "nextest", "sbt", "pest", "catch2", "exunit"),
    *("swift", "uvu"),
)
"""Runners that may give no results per test, such as an older version's: the whole is one test."""
_NAMED_BY_FILE = (
    *("pytest", "tox", "jest", "vitest", "mocha", "tap", "unittest"),
    *("django", "nose2", "uvu", "bun", "deno", "playwright"),
)
_AFFIX = re.compile(r"^test[-_]|[-_.]tests?$|[-_.]spec$|^tests?$|Tests?$")
_MOST_TESTS = 3000


class Touched(Record):
    """A source file that a patch touches, and the test files of the base that belong to it."""

    path: str
    language: Language | None
    """None: one whose runner is not known; any test may reach it then."""
    project: str
    named: tuple[str, ...] = ()
    """Test files that are called after it."""
    importing: tuple[str, ...] = ()
    """Test files that import it."""
    of_project: tuple[str, ...] = ()
    """All test files of its language in its project."""


async def touched_by(
    sandbox: Sandbox,
    paths: Sequence[str],
    base_files: Collection[str],
    collection: PytestCollection,
) -> tuple[Touched, ...]:
    """The source files among `paths` with their tests. The sandbox is at the base."""
    folders = folders_with(tuple(base_files), MANIFESTS)
    tests = tuple(f for f in sorted(base_files) if is_test(f) or collection.takes_file(f))
    found = []
    for path in paths:
        if not is_source(path):
            continue
        touched = _touched(path, tests, folders, collection)
        names = _importable(path)
        candidates = touched.of_project or tuple(
            f for f in tests if language_of(f) == touched.language
        )
        if names and candidates and touched.language in ("Python", "JavaScript"):
            importing = await _importing(sandbox, names, candidates[:_MOST_TESTS])
            touched = touched.model_copy(update={"importing": importing})
        found.append(touched)
    return tuple(found)


def _touched(
    path: str, tests: Sequence[str], folders: Sequence[str], collection: PytestCollection
) -> Touched:
    language, project = language_of(path), project_of(path, folders)
    own = tuple(
        f
        for f in tests
        if language is not None
        and language_of(f) == language
        and PurePosixPath(f).name not in ("__init__.py", "conftest.py")
        and project_of(f, folders) == project
    )
    stem = _stem(path)
    return Touched(
        path=path,
        language=language,
        project=project,
        named=tuple(
            f for f in own if stem and _tested(f) == stem and _called_a_test(f, collection)
        ),
        of_project=own,
    )


def language_of(path: str) -> Language | None:
    """The language of a file, where tests in it have a runner that is known."""
    return _LANGUAGES.get(PurePosixPath(path).suffix)


def _stem(path: str) -> str:
    pure = PurePosixPath(path)
    name = pure.name.partition(".")[0]
    return (pure.parent.name if name in ("__init__", "index", "mod") else name).lower()


def _tested(path: str) -> str:
    """What a test file is called after: `test_tariff.py`, `tariff.spec.ts`, `TariffTest.java`."""
    stem = PurePosixPath(path).name
    stem = re.sub(r"\.(?:test|spec)(?=\.)", "", stem).partition(".")[0]
    return _AFFIX.sub("", stem).strip("_-").lower()


def _called_a_test(path: str, collection: PytestCollection) -> bool:
    """Whether a file's name says that it holds tests.

    In Python a module beside the tests whose name does not is one that they use, or for a checker
    of types; elsewhere the folder is enough.
    """
    stem = PurePosixPath(path).stem
    return not path.endswith(".py") or bool(_AFFIX.search(stem)) or collection.takes_file(path)


def _importable(path: str) -> str:
    """The name by which an import would mention a module; none for a package's own file."""
    name = PurePosixPath(path).name.partition(".")[0]
    return "" if name in ("__init__", "index", "main") else name


async def _importing(sandbox: Sandbox, name: str, tests: Sequence[str]) -> tuple[str, ...]:
    word = re.escape(name).replace("\\-", "-")
    pattern = (
        rf"^\s*(from|import)\s.*\b{word}\b|require\(.*\b{word}\b|from\s+['\"].*\b{word}\b|"
        rf"import\(.*\b{word}\b"
    )
    listed = "\n".join(tests)
    ran = await sandbox.run(
        f"cd {WORKDIR} && printf %s {shlex.quote(listed)} | tr '\\n' '\\0' | "
        f"xargs -0 grep -lE -e {shlex.quote(pattern)} --"
    )
    known = set(tests)
    return tuple(sorted(line for line in ran.text.splitlines() if line in known))


def scope_check(
    touched: Sequence[Touched],
    before: Sequence[SuiteRun],
    *,
    without_tests: bool = False,
    degraded: str = "",
) -> Check:
    """Whether a suite ran that can speak for the patch. `before`: the runs without it.

    `without_tests`: the repository's settings say that a reproduction alone will do where there is
    no test at all. `degraded`: why the environment is not the one that the repository asks for.
    """
    if not before or _found_nothing(before):
        detail = (
            "The repository has no test that ran, so the reproduction alone shows that the bug is "
            "gone; nothing shows that all else still works."
        )
        return Check(name=SCOPE, ok=without_tests, detail=detail)
    passed = _passing(before)
    reasons = [f"The environment is not what the repository asks for: {degraded}"] * bool(degraded)
    if not passed:
        reasons.append(f"Without the patch no test passes, so none can be lost. {_words(before)}")
        return Check(name=SCOPE, ok=False, detail=" ".join(reasons))
    errors = {r.name: r.message for run in before for r in run.results if r.outcome == "error"}
    for item in touched:
        reasons.extend(_missing(item, before, passed, errors))
    detail = " ".join(dict.fromkeys(reasons)) or _describe_runs(touched, passed)
    return Check(name=SCOPE, ok=not reasons, detail=detail)


def _found_nothing(before: Sequence[SuiteRun]) -> bool:
    return not any(run.results for run in before) and all(
        run.exit_code == 5
        or (run.exit_code != 4 and bool(why_vacuous(run.command, run.exit_code, run.output)))
        for run in before
    )


def _passing(before: Sequence[SuiteRun]) -> dict[str, tuple[str, Language | None]]:
    """Tests that passed in every run, with their runner and its language.

    A command without results per test counts as one test.
    """
    seen: list[dict[str, tuple[str, Language | None]]] = []
    for run in before:
        good: dict[str, tuple[str, Language | None]] = {}
        for part in run.parts or (run,):
            kind, language = kind_of(part.command), _language(part)
            for result in part.results:
                if result.outcome == "passed":
                    good[result.name] = (kind, language)
            empty = why_vacuous(part.command, part.exit_code, part.output)
            if kind in _AS_ONE and not part.results and part.exit_code == 0 and not empty:
                good[part.command] = ("other", language)
        seen.append(good)
    return {name: how for name, how in seen[0].items() if all(name in run for run in seen)}


def _language(run: SuiteRun) -> Language | None:
    kind = kind_of(run.command)
    if kind in _RUNS:
        return _RUNS[kind]
    if any(".py::" in result.name for result in run.results):
        return "Python"
    return next((lang for word, lang in _WORDS if re.search(word, run.command)), None)


def _missing(
    item: Touched,
    before: Sequence[SuiteRun],
    passed: dict[str, tuple[str, Language | None]],
    errors: dict[str, str],
) -> list[str]:
    """What is missing for one file, in sentences."""
    if item.language is None:
        return []
    runs = [part for run in before for part in run.parts or (run,)]
    unreadable = [
        f"{test}, which belongs to {item.path}, cannot be read by the runner: {_last_line(message)}"
        for test in dict.fromkeys([*item.named, *item.importing])
        if (message := _error_of(test, errors)) is not None
    ]
    if unreadable:
        return unreadable
    own = {name: kind for name, (kind, lang) in passed.items() if lang == item.language}
    if not own:
        # `make test` says nothing of what it runs: it counts where nothing else could be meant.
        if any(lang is None for _, lang in passed.values()) and item.of_project:
            return []
        return [
            f"No {item.language} test ran and passed without the patch; {item.path} is such code."
        ]
    if item.language == "Go":
        return _missing_package(item, own)
    if item.language not in ("Python", "JavaScript"):
        return []
    if not any(_names_a_file(name, kind) for name, kind in own.items()):
        return _missing_part(item, runs)
    if ran_in(item.path, own):  # its own examples are tests
        return []
    near = item.named or item.importing
    not_run = [test for test in item.named if not _ran_at_all(test, before)]
    if not_run:
        return [f"{', '.join(not_run[:3])} belongs to {item.path} and was not run."]
    wanted = near or item.of_project
    if not wanted:
        if item.project == "." or any(ran_in(f, own) for f in item.importing):
            return []
        return [f"{item.project} has no tests of its own, and {item.path} is part of it."]
    if any(ran_in(test, own) for test in {*wanted, *item.importing}):
        return []
    return [
        f"None of the tests that belong to {item.path} passed without the patch "
        f"({', '.join(wanted[:3])})."
    ]


def _names_a_file(test: str, kind: str) -> bool:
    """Whether a test's name says which file it is in; an old Mocha's does not."""
    if kind == "mocha":
        return re.match(r"\S+\.[cm]?[jt]sx?(?:::|$)", test) is not None
    return kind in _NAMED_BY_FILE


def _missing_package(item: Touched, own: dict[str, str]) -> list[str]:
    """Go names tests by package; a package ends with the folder's path within its module."""
    folder = str(PurePosixPath(item.path).parent)
    if not any(str(PurePosixPath(test).parent) == folder for test in item.of_project):
        return []
    inside = "" if folder == item.project else folder.removeprefix(f"{item.project}/")
    packages = {name.rpartition("::")[0] for name in own}
    if not inside or any(package.endswith(f"/{inside}") for package in packages):
        return []
    return [f"No test of the package {folder} passed without the patch."]


def _missing_part(item: Touched, runs: Sequence[SuiteRun]) -> list[str]:
    """Where results do not name files, the runner of the project's own folder must have passed."""
    folders = {run.folder for run in runs if _language(run) == item.language}
    if "." in folders or any(f == item.project or item.path.startswith(f"{f}/") for f in folders):
        return []
    return [f"No tests were run in {item.project}, and {item.path} is part of it."]


def ran_in(test: str, names: Collection[str]) -> bool:
    """Whether any of these results comes from a test file."""
    dotted = test.rpartition(".")[0].replace("/", ".")
    tails = tuple(dotted[i:] + "." for i in _starts(dotted))
    return any(
        name == test
        or name.startswith(f"{test}::")
        or (test.endswith(".py") and name.rpartition("::")[2].startswith(tails))
        for name in names
    )


def _starts(dotted: str) -> list[int]:
    return [0, *(i + 1 for i, char in enumerate(dotted) if char == ".")]


def _ran_at_all(test: str, before: Sequence[SuiteRun]) -> bool:
    return ran_in(test, {result.name for run in before for result in run.results})


def _error_of(test: str, errors: dict[str, str]) -> str | None:
    """What kept a whole test file from being read; None if nothing did."""
    if test in errors:
        return errors[test]
    if not test.endswith(".py"):
        return None
    dotted = test.removesuffix(".py").replace("/", ".")
    return next(
        (
            message
            for name, message in errors.items()
            if "_FailedTest." in name
            and f".{dotted}".endswith("." + name.rpartition("_FailedTest.")[2])
        ),
        None,
    )


def _last_line(message: str) -> str:
    """The line of a failure's text that says what was wrong."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    telling = [
        line for line in lines if re.match(r"(?:E\s+)?[\w.]*(?:Error|Exception|mismatch)", line)
    ]
    found = (telling or lines or ["it gives no reason."])[-1]
    return found.removeprefix("E").strip()[:200] + "." * (not found.endswith("."))


def _words(before: Sequence[SuiteRun]) -> str:
    run = before[-1]
    bad = next((r for r in run.results if r.outcome in ("error", "failed")), None)
    if bad is not None:
        return f"The suite could not run: {_last_line(bad.message)}"
    lines = [line.strip() for line in run.output.splitlines() if line.strip()]
    return f"The suite could not run: {lines[-1][:200]}" if lines else ""


def _describe_runs(touched: Sequence[Touched], passed: Collection[str]) -> str:
    near = sorted(
        {t for item in touched for t in (item.named or item.importing) if ran_in(t, passed)}
    )
    if not near:
        return "Tests of the same project ran and passed without the patch."
    more = f" and {len(near) - 5} more" if len(near) > 5 else ""
    return f"Among the tests that passed without the patch: {', '.join(near[:5])}{more}."
