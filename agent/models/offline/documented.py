"""Examples that the sources document (`>>> f(3)`): a repair that contradicts one is no repair."""

from __future__ import annotations

import ast
import doctest
from collections.abc import Iterator, Mapping

from agent.models.offline.issue_examples import Example
from agent.models.offline.repository_view import Tree
from agent.models.offline.reproduce import bound_names, free_names

MOST_DOCUMENTED = 40
_NAMES = "globals().update(vars(__import__('importlib').import_module({module!r})))"
"""In the sandbox an example sees the names of its module, as doctest has it."""


def documented_examples(sources: Mapping[str, str], tree: Tree) -> list[Example]:
    """The examples in strings of these modules (path, text) whose result is one value.

    Without those that use names which nothing defines (`>>> distance(north, south)`): they show
    how a call looks, and could never be run.
    """
    found = [e for path, text in sources.items() for e in _in_module(text, tree.module_of(path))]
    return found[:MOST_DOCUMENTED]


def _in_module(text: str, module: str) -> Iterator[Example]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    known = bound_names(tree)
    for node in ast.walk(tree):
        value = node.value if isinstance(node, ast.Expr) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            for example in _in_string(value.value, module):
                if "*" in known or set(free_names(example)) <= known:
                    yield example


def _in_string(text: str, module: str) -> Iterator[Example]:
    try:
        examples = doctest.DocTestParser().get_examples(text)
    except ValueError:
        return
    setup = [_NAMES.format(module=module)]
    for example in examples:
        source = example.source.strip()
        if not example.want:
            setup.append(source)
            continue
        try:
            ast.parse(source, mode="eval")
            ast.literal_eval(example.want.strip())
        except (SyntaxError, ValueError):
            continue
        yield Example(source, tuple(setup), (example.want.strip(),))
