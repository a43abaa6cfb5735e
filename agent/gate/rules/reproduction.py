"""What a reproduction may be, before it is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath

from agent.gate.patch.changed_file import plain
from agent.gate.regression_test import normalised_path, tree_files
from agent.gate.rules.paths import file_path_refusal
from agent.journal.events import ReproductionDeclared
from agent.task import GatePolicy
from agent.testing.collection import PytestCollection
from agent.testing.paths import is_code, is_test
from agent.testing.runners import kind_of
from sandbox.protocol import WORKDIR

_USUAL = PytestCollection()
SCRATCH = "/tmp"  # noqa: S108 - in the sandbox

_LOOKS_ONLY = re.compile(
    r"^\s*(?:!\s*)?(?:grep|rg|egrep|fgrep|test|\[\[?|cat|head|tail|sed|awk|diff|cmp|git|ls|find|"
    r"md5sum|sha\d+sum|stat|wc)\b"
)


def reproduction_refusals(
    reproduction: ReproductionDeclared,
    base_files: Collection[str],
    patched: Mapping[str, str | None],
    policy: GatePolicy,
    said: Mapping[str, str],
    collection: PytestCollection = _USUAL,
) -> tuple[str, ...]:
    """Why a reproduction is refused; empty if it is not.

    `base_files` are the paths that exist before the patch; `patched` the texts that the patch
    gives to the files it touches (None: deleted); `said` what the reproduction's files say that
    the base's did not; `collection` is what pytest takes for tests.
    """
    return tuple(_reasons(reproduction, base_files, patched, policy, said, collection))


def _reasons(
    reproduction: ReproductionDeclared,
    base_files: Collection[str],
    patched: Mapping[str, str | None],
    policy: GatePolicy,
    said: Mapping[str, str],
    collection: PytestCollection,
) -> Iterator[str]:
    for path, text in tree_files(reproduction).items():
        refusal = file_path_refusal(path, policy)
        if refusal is not None:
            yield f"The reproduction: {refusal}"
        elif PurePosixPath(path).name == "conftest.py":
            yield f"The reproduction brings its own {path}, which could decide its outcome."
        elif path in base_files and not (is_test(path) or collection.takes_file(path)):
            yield f"The reproduction would overwrite {path}, which it is to test."
        elif path in base_files and path not in patched:
            yield f"The reproduction would replace the tests in {path}; give it a file of its own."
        elif path in patched and patched[path] != text:
            yield (
                f"The patch changes {path}, a file of the reproduction, after it was declared; "
                "declare the reproduction again."
            )
    for path in reproduction.files:
        if refusal := outside_path_refusal(path, policy):
            yield refusal
    commands = [c for c in re.split(r"&&|\|\||;|\||\n", reproduction.command) if c.strip()]
    looks = all(
        _LOOKS_ONLY.match(c) or re.match(r"\s*(?:cd|exit|echo|true|false)\b", c) for c in commands
    )
    if commands and looks and kind_of(reproduction.command) == "other":
        yield "The reproduction only looks at files and runs none of the repository's code."
    for path, text in said.items():
        if reading := _reads_code(path, text):
            yield (
                f"The reproduction reads program text (`{reading}` in {path}); it has to show the "
                "bug by running the code."
            )


def outside_path_refusal(path: str, policy: GatePolicy) -> str | None:
    """Why a reproduction may have no file at this path outside of the tree, or None.

    Elsewhere it could decide how all later tests run, and no reader of the pull request sees it.
    """
    whole = PurePosixPath(normalised_path(path))
    if whole.is_relative_to(WORKDIR) and whole != PurePosixPath(WORKDIR):
        return None
    if str(whole.parent) != SCRATCH:
        return (
            f"The reproduction has a file outside of the tree: {path}. Put it into the tree, or "
            f"directly into {SCRATCH}."
        )
    if whole.name == "conftest.py" or file_path_refusal(whole.name, policy) is not None:
        return f"The reproduction brings its own {path}, which could decide its outcome."
    return None


_SOURCE_READERS = (
    "getsource",
    "getsourcelines",
    "get_source",
    "findsource",
    "getblock",
    "linecache.getline",
    "linecache.getlines",
)
"""What gives the text of a module or function."""


def _reads_code(path: str, text: str) -> str:
    """The first call that reads program text, or what is compiled of it; or nothing."""
    tree = plain(text) if path.endswith(".py") else None
    if tree is None:
        return ""
    files = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_a_modules_file(node.value, frozenset())
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "__code__":
            return ast.unparse(node)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called.endswith(_SOURCE_READERS):
            return called
        if called.rpartition(".")[2] in ("open", "read_text", "read_bytes") and (
            _is_a_modules_file(node, files) or any(map(_names_code, ast.walk(node)))
        ):
            mode = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
            if not any(isinstance(m, str) and set(m) & set("wax") for m in mode):
                return " ".join(ast.unparse(node).split())[:80]
    return ""


def _names_code(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and is_code(node.value)


def _is_a_modules_file(node: ast.expr, names: Collection[str]) -> bool:
    """Whether an expression is about a module's own file (`shop.__file__`), and none beside it.

    `names` stand for such a file. A test's own `__file__` and files beside a module are data.
    """
    parts = list(ast.walk(node))
    beside = any(
        isinstance(n, ast.Constant) and isinstance(n.value, str) and "." in n.value for n in parts
    )
    return not beside and any(
        (isinstance(n, ast.Attribute) and n.attr == "__file__")
        or (isinstance(n, ast.Name) and n.id in names)
        for n in parts
    )
