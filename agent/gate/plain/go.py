"""Go tests as plain programs: a `main` that calls them, in which `testing` is not linked.

Test files are copied as files of the package, or as a package of their own where they are outside
of it; where they import `testing` they get a small package with the same names instead.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from agent.gate.plain.program import Program, in_both_places, run_programs
from agent.gate.plain.records import (
    BUILD_S,
    MOST_FILES,
    TOTAL_S,
    PlainOutcome,
    PlainTests,
    built,
)
from agent.gate.plain.trees import CopiedTree, TestFile, copied_tree, program_text, read_tests
from sandbox.protocol import Sandbox

_TEST = re.compile(r"^func (Test\w*)\(\w+ \*testing\.T\) \{", re.M)
_PACKAGE = re.compile(r"^package (\w+)", re.M)
_MODULE = re.compile(r"^module\s+\"?([^\s\"]+)", re.M)
_TESTING = re.compile(r'^([ \t]*(?:import[ \t]+)?)"testing"[ \t]*$', re.M)


async def run_go(sandbox: Sandbox, tests: PlainTests) -> dict[str, PlainOutcome]:
    """The outcome of each test by its name; what could not be built so is missing."""
    files = [f for f in await read_tests(sandbox, tests, "_test.go") if _PACKAGE.search(f.text)]
    if not files:
        return {}
    found: dict[str, PlainOutcome] = {}
    async with copied_tree(sandbox) as copy:
        for group in _packages(files[:MOST_FILES]):
            root = await copy.nearest(group[0].path, "go.mod")
            manifest = await copy.text(f"{root}/go.mod") if root is not None else None
            module = _MODULE.search(manifest or "")
            if root is None or module is None:
                continue
            seen = await _run_package(copy, group, root, module[1])
            own = [file for file in group if file.declared]
            if seen is None and 0 < len(own) < len(group):
                # The files beside it may use what is not here.
                group = own
                seen = await _run_package(copy, group, root, module[1])
            found |= built((file.path for file in group), ok=seen is not None)
            found |= seen or {}
    return found


async def _run_package(
    copy: CopiedTree, group: list[TestFile], root: str, module: str
) -> dict[str, PlainOutcome] | None:
    """The outcomes of the tests in some files of one package; None: they cannot be built."""
    word = f"p{secrets.token_hex(6)}"
    program = f"{copy.scratch}/{word}"
    files = go_program(group, root, module, word)
    await copy.write(files)
    ok = await copy.build(root, f"go build -o {program} ./{word}", BUILD_S)
    await copy.remove(files)
    if not ok:
        return None
    names = {PurePosixPath(file.path).name: file.path for file in group}
    where = str(PurePosixPath(group[0].path).parent)
    here = Program(argv=(program,), cwd=copy.whole(where), names=names)
    declared = any(file.declared for file in group)
    programs = in_both_places(here, copy.scratch, declared=declared)
    return await run_programs(copy.sandbox, programs, copy.scratch, TOTAL_S + 10)


def _packages(files: Iterable[TestFile]) -> list[list[TestFile]]:
    """The files by folder and package clause: each such group is one program."""
    groups: dict[tuple[str, str], list[TestFile]] = defaultdict(list)
    for file in files:
        clause = _PACKAGE.search(file.text)
        groups[str(PurePosixPath(file.path).parent), clause[1] if clause else ""].append(file)
    return list(groups.values())


def go_program(group: list[TestFile], root: str, module: str, word: str) -> Mapping[str, str]:
    """The files to add to a copy of the tree for one program; `root` holds `go.mod`.

    `word` names the new folder; nothing of the tree has such a name.
    """
    clause = _PACKAGE.search(group[0].text)
    package = clause[1] if clause else ""
    folder = PurePosixPath(group[0].path).parent
    outside = package.endswith("_test")
    below = folder.relative_to(root) if root != "." else folder
    new, top = str(PurePosixPath(root) / word), {}
    own_name = "outside" if outside else package
    for number, file in enumerate(group):
        text = _PACKAGE.sub(f"package {own_name}", file.text, count=1)
        text = _TESTING.sub(rf'\1testing "{module}/{word}/given"', text, count=1)
        place = f"{new}/outside" if outside else str(folder)
        top[f"{place}/{word}{number}.go"] = text
    listing = word.capitalize()
    calls: list[str] = []
    for number, file in enumerate(group):
        name, place = PurePosixPath(file.path).name, f"{new}/outside" if outside else str(folder)
        at = f"{place}/{word}{number}.go"
        for test in _TEST.findall(file.text):
            # Code may look at the functions that called it: none is named as a test.
            plain = f"Handle{listing}{len(calls)}"
            top[at] = re.sub(rf"(?<![\w.\"]){test}\b(?!\")", plain, top[at])
            calls.append(f'\t{{"{name}::{test}", "{name}", {plain}}},')
    listed = "\n".join(calls)
    place = f"{new}/outside" if outside else str(folder)
    top[f"{place}/{word}.go"] = (
        f'package {own_name}\n\nimport "{module}/{word}/given"\n\n'
        f"var {listing} = []given.Case{{\n{listed}\n}}\n"
    )
    imported = f"{module}/{word}/outside" if outside else str(PurePosixPath(module) / below)
    top[f"{new}/given/given.go"] = program_text("plain_tests.go").replace("WORD", word)
    top[f"{new}/main.go"] = (
        f'package main\n\nimport (\n\t"{module}/{word}/given"\n\ttested "{imported}"\n)\n\n'
        f"func main() {{\n\tgiven.Run(tested.{listing})\n}}\n"
    )
    return top
