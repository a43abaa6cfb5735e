"""Which command runs a repository's tests, read off its files."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

MANIFESTS = (
    "package.json",
    "go.mod",
    "Cargo.toml",
    "pom.xml",
    "build.gradle",
    "build.gradle.kts",
    "mvnw",
    "gradlew",
    "pytest.ini",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "tox.ini",
    "noxfile.py",
)
"""Files at the root that say how tests are run."""

_COLLECTED = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")
_NAMED_TESTS = re.compile(r"(?:^|/)tests?\.py$|(?:^|/)tests?/[^/]+\.py$")
_HAS_TESTS = re.compile(r"^\s*(?:async\s+)?def test|^class \w*Test|\bTestCase\b", re.M)


def python_tests(files: Sequence[str]) -> tuple[str, ...]:
    """The Python files that look like tests by their names, most usual first."""
    usual = [f for f in files if _COLLECTED.search(f)]
    others = [f for f in files if f not in usual and _NAMED_TESTS.search(f)]
    return tuple(usual + [f for f in others if not f.endswith(("__init__.py", "conftest.py"))])


def detect(
    files: Sequence[str], contents: Mapping[str, str], *, have_pytest: bool = True
) -> str | None:
    """The test command of a repository, or None when nothing looks like tests.

    `files` are the paths below the root; `contents` holds manifests and Python test files.
    Python comes first in a mixed repository; tox and nox only where no test is in sight that
    could be run without them, because they make environments and need a network.
    """
    names = set(files)
    return (
        _python(files, contents, have_pytest)
        or _javascript(names, contents.get("package.json", ""))
        or ("go test ./..." if "go.mod" in names else None)
        or ("cargo test" if "Cargo.toml" in names else None)
        or _java(names)
        or ("tox" if "tox.ini" in names else None)
        or ("nox" if "noxfile.py" in names else None)
    )


def _python(files: Sequence[str], contents: Mapping[str, str], have_pytest: bool) -> str | None:
    tests = python_tests(files)
    if not tests:
        return None
    collected = [f for f in tests if _COLLECTED.search(f)]
    with_tests = [f for f in tests if _HAS_TESTS.search(contents.get(f, ""))]
    if not have_pytest:
        return _unittest(tests, contents)
    if any(f in with_tests for f in collected) or (collected and not contents):
        return "python3 -m pytest -q"
    if with_tests:
        return "python3 -m pytest -q " + shlex.join(with_tests)
    # No test functions at all: scripts of plain assertions.
    asserting = [f for f in tests if re.search(r"^\s*assert\b", contents.get(f, ""), re.M)]
    return " && ".join(f"python3 {shlex.quote(f)}" for f in asserting) or None


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


def _javascript(names: set[str], package: str) -> str | None:
    if "package.json" not in names:
        return None
    manifest = _object(package)
    script = _object(manifest.get("scripts")).get("test", "")
    script = script if isinstance(script, str) else ""
    dependencies = {
        **_object(manifest.get("dependencies")),
        **_object(manifest.get("devDependencies")),
    }
    for runner, call in (
        ("vitest", "npx --no-install vitest run"),
        ("jest", "npx --no-install jest"),
        ("mocha", "npx --no-install mocha"),
    ):
        if re.search(rf"\b{runner}\b", script) or (not script and runner in dependencies):
            return call
    if not script or "no test specified" in script:
        return None
    return "npm test --silent"


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def _java(names: set[str]) -> str | None:
    if "pom.xml" in names:
        return f"{'./mvnw' if 'mvnw' in names else 'mvn'} -B -o test"
    if names & {"build.gradle", "build.gradle.kts"}:
        return f"{'./gradlew' if 'gradlew' in names else 'gradle'} test --offline"
    return None
