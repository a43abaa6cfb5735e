"""Tests that fail on the base only as they use a name that the change brings.

Such a test is red and then green like one that shows a bug, but what it shows is that something is
new: on the base no behaviour was wrong, there was none.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator, Sequence

from agent.gate.patch.changed_file import ChangedFile, Function, parsed

_PYTHON = (
    re.compile(
        r"AttributeError: (?:partially initialized )?module '[^'\n]*' has no attribute '(\w+)'"
    ),
    re.compile(r"AttributeError: (?:type object )?'[^'\n]*' (?:object )?has no attribute '(\w+)'"),
    re.compile(r"NameError: name '(\w+)' is not defined"),
    re.compile(r"ImportError: cannot import name '(\w+)'"),
    re.compile(r"ModuleNotFoundError: No module named '(?:[\w.]*\.)?(\w+)'"),
)
_KEYWORD = re.compile(
    r"TypeError: (?:[\w.<>]*\.)?(\w+)\(\) got an unexpected keyword argument '(\w+)'"
)
_OF_NOTHING = re.compile(r"AttributeError: 'NoneType' object has no attribute")
"""Where something should have been, there was nothing: that is a bug, whatever is new beside it."""
_SCRIPT = (
    re.compile(r"TypeError: (?:[^\n]*?[.)])?([\w$]+)\)? is not a (?:function|constructor)"),
    re.compile(r"ReferenceError: ([\w$]+) is not defined"),
    re.compile(r"does not provide an export named '([\w$]+)'"),
)
_RAISED_AT = re.compile(r"^([^\s:][^:\n]*\.py):\d+: \w", re.MULTILINE)
"""How pytest says where an exception was raised, the last time where it was raised first."""
_DEFINED = (
    r"(?:\b(?:function\*?|class|const|let|var|async)\s+|\.|^\s*|[{{,]\s*){0}\s*(?:[(=:<,}}]|$)"
)
"""A script's line that gives a name a meaning."""


class NewNames:
    """The names that a change brings: what it defines and the base's version of its files does not.

    Names of Python are told apart by where they stand, so a method `close` of one class is new
    though another class has one.
    """

    def __init__(self, files: Sequence[ChangedFile]) -> None:
        self._names: set[str] = set()
        self._keywords: set[tuple[str, str]] = set()
        self._added: list[str] = []
        self._scripts = ""
        for file in files:
            if not file.is_source or file.patched is None:
                continue
            if not file.path.endswith(".py"):
                self._added += [line for _, line in file.added]
                self._scripts += f"{file.base or ''}\n"
                continue
            old, new = _definitions(file.base), _definitions(file.patched)
            self._names |= {name.rpartition(".")[2] for name in new - old}
            self._keywords |= _keywords(file.patched) - _keywords(file.base)
            if file.base is None:
                self._names.add(_module_name(file.path))

    def explain(self, message: str, test_files: Collection[str]) -> str:
        """The new name for want of which a test failed; empty if it failed for another reason.

        `message` is the runner's text of the failure. Where it says that the exception was raised
        outside of the tests, it is the base's own code that lacks the name, which is a bug.
        """
        places = _RAISED_AT.findall(message)
        if places and places[-1] not in test_files:
            return ""
        if _OF_NOTHING.search(message):
            return ""
        found = _last(message, _PYTHON)
        if found and not _is_protocol(found) and found in self._names:
            return found
        for function, keyword in reversed(_KEYWORD.findall(message)):
            return keyword if (function, keyword) in self._keywords else ""
        found = _last(message, _SCRIPT)
        return found if found and self._is_new_in_scripts(found) else ""

    def _is_new_in_scripts(self, name: str) -> bool:
        if re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", self._scripts):
            return False
        defined = re.compile(_DEFINED.format(re.escape(name)))
        return any(defined.search(line) for line in self._added)


def _last(message: str, patterns: Sequence[re.Pattern[str]]) -> str:
    """The name in the last line that one of the patterns fits: what was raised in the end."""
    found = [match for pattern in patterns for match in pattern.finditer(message)]
    return max(found, key=lambda match: match.start())[1] if found else ""


def _is_protocol(name: str) -> bool:
    """Whether a name has a meaning of the language's own: that it was missing can be a bug."""
    return name.startswith("__") and name.endswith("__")


def _module_name(path: str) -> str:
    folder, _, file = path.removesuffix(".py").rpartition("/")
    return folder.rpartition("/")[2] if file == "__init__" else file


def _definitions(text: str | None) -> set[str]:
    """What a Python text defines or imports in modules and classes, with the class in front, and
    the attributes that methods set (`Kind.attribute`)."""
    tree = parsed(text)
    return set(_defined(tree, "")) if tree is not None else set()


def _defined(node: ast.AST, where: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield f"{where}{child.name}"
            yield from (f"{where}{name}" for name in _set_on_self(child))
        elif isinstance(child, ast.ClassDef):
            yield f"{where}{child.name}"
            yield from _defined(child, f"{where}{child.name}.")
        elif isinstance(child, ast.Import | ast.ImportFrom):
            yield from (f"{where}{alias.asname or alias.name}" for alias in child.names)
        elif isinstance(child, ast.Assign | ast.AnnAssign):
            targets = child.targets if isinstance(child, ast.Assign) else [child.target]
            named = (name for target in targets for name in ast.walk(target))
            yield from (f"{where}{name.id}" for name in named if isinstance(name, ast.Name))
        elif not isinstance(child, ast.expr):
            yield from _defined(child, where)


def _set_on_self(function: Function) -> Iterator[str]:
    """The attributes that a method gives the object that it is called on."""
    for node in ast.walk(function):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("self", "cls")
        ):
            yield node.attr


def _keywords(text: str | None) -> set[tuple[str, str]]:
    """The parameters of a Python text's functions, each with what the caller calls; those of a
    class's construction with the class, and with `__init__`, as messages have either."""
    tree = parsed(text)
    if tree is None:
        return set()
    found: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, Function):
            found |= {(node.name, name) for name in _parameters(node)}
        elif isinstance(node, ast.ClassDef):
            for part in node.body:
                names: Sequence[str] = ()
                if isinstance(part, Function) and part.name in ("__init__", "__new__"):
                    names = _parameters(part)
                elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    names = [part.target.id]
                elif isinstance(part, ast.Assign):
                    names = [t.id for t in part.targets if isinstance(t, ast.Name)]
                made = (node.name, "__init__", "__new__")
                found |= {(maker, name) for maker in made for name in names}
    return found


def _parameters(function: Function) -> list[str]:
    of = function.args
    return [argument.arg for argument in (*of.posonlyargs, *of.args, *of.kwonlyargs)]
