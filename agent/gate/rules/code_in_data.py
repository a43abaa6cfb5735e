"""Behaviour that stands in files that are not code: answers in tables, code in texts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence

from agent.gate.patch.changed_file import ChangedFile, line_of
from agent.gate.rules.special_casing import literals

_RUNS_A_FILE = re.compile(
    r"^(?:runpy\.run_\w+|importlib\.util\.(?:spec_from_file_location|module_from_spec)"
    r"|(?:\w+\.)*(?:SourceFileLoader|SourcelessFileLoader|ExtensionFileLoader)|imp\.load_\w+"
    r"|(?:\w+\.)*exec_module|code\.Interactive\w+|(?:c?[pP]ickle|dill|marshal|shelve)\.\w*(?:load|open)s?)$"
)
_PROSE = (".md", ".rst", ".lock")
_TRIVIAL = frozenset(map(repr, (None, True, False, "", 0, 1, -1, 0.0, 1.0)))
_WORD_CHARS = 2


def data_refusals(
    files: Sequence[ChangedFile], reproduction: Mapping[str, str], command: str
) -> tuple[str, ...]:
    """Why a patch's data, or what its code does with data, is refused.

    `reproduction` maps paths to contents of the reproduction's files.
    """
    found = [reason for file in files for reason in _runs(file)]
    if any(_reads_files(file) for file in files if file.is_source):
        known = _telling(literals(reproduction, command))
        for file in files:
            if not file.path.endswith((".py", *_PROSE)) and not file.is_test:
                found.extend(_answers(file, known))
    return tuple(dict.fromkeys(found))


def _runs(file: ChangedFile) -> Iterator[str]:
    if not file.path.endswith(".py") or file.is_test:
        return
    for node in file.added_nodes:
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if not _RUNS_A_FILE.match(name):
            continue
        if file.unjudged_base or f"{name}(" not in file.base_code:
            yield f"{file.path}:{line_of(node)}: `{name}` runs what stands in a file as code."


def _reads_files(file: ChangedFile) -> bool:
    added = "\n".join(line for _, line in file.added)
    return bool(re.search(r"\b(?:open|read_\w+|loads?|readFile\w*|require|import)\b", added))


def _answers(file: ChangedFile, known: frozenset[str]) -> Iterator[str]:
    """Lines of data with at least two of the reproduction's own values, alone on the line."""
    for number, line in file.added:
        words = {w for w in known if re.search(rf"(?<![\w.]){re.escape(w)}(?![\w]|\.\d)", line)}
        others = re.findall(r"[\w.]+", line)
        if len(words) >= _WORD_CHARS and len(words) * 2 > len(set(others)):
            yield (
                f"{file.path}:{number}: a table of data answers the reproduction's own values "
                f"({', '.join(sorted(words)[:4])})."
            )


def _telling(values: frozenset[str]) -> frozenset[str]:
    bare = {v[1:-1] if v[:1] in "'\"" else v for v in values if v not in _TRIVIAL}
    return frozenset(v for v in bare if len(v) > 1 and re.fullmatch(r"[\w.\- ]+", v))
