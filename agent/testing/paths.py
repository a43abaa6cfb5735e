"""What a path in a repository is: a test, source, test data, a lock file."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

_TEST_FOLDERS = frozenset({"test", "tests", "__tests__", "spec", "specs", "testing_tests"})
_TEST_NAME = re.compile(
    r"(?:test_[^/]*|[^/]*_tests?|conftest|tests?)\.py$"
    r"|[^/]*[._-](?:test|spec)\.[cm]?[jt]sx?$"
    r"|[^/]*_test\.go$"
    r"|(?:Test[A-Z][^/]*|[^/]*(?:Tests?|IT|Spec))\.(?:java|kt|groovy|scala|cs)$"
    r"|[^/]*_(?:test|spec)\.rb$"
)
_SOURCE = frozenset(
    {
        ".py",
        ".pyx",
        ".js",
        ".cjs",
        ".mjs",
        ".jsx",
        ".ts",
        ".tsx",
        ".go",
        ".rs",
        ".java",
        ".kt",
        ".scala",
        ".groovy",
        ".rb",
        ".php",
        ".c",
        ".h",
        ".cc",
        ".cpp",
        ".hpp",
        ".cs",
        ".swift",
        ".sh",
        ".lua",
        ".ex",
        ".exs",
        ".pl",
        ".vue",
        ".svelte",
    }
)


def is_test(path: str) -> bool:
    """Whether a file belongs to the tests: by its own name or that of a folder above it."""
    pure = PurePosixPath(path)
    in_folder = any(part.lower() in _TEST_FOLDERS for part in pure.parts[:-1])
    return in_folder or _TEST_NAME.match(pure.name) is not None


def is_code(path: str) -> bool:
    """Whether a file is program text in a known language."""
    return PurePosixPath(path).suffix in _SOURCE


def is_source(path: str) -> bool:
    """Whether a file is program text and no test."""
    return is_code(path) and not is_test(path)
