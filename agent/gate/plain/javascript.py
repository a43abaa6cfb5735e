"""JavaScript tests as plain programs: one script of Node per file, without any runner."""

from __future__ import annotations

import re
import secrets
import shlex
from pathlib import PurePosixPath

from agent.gate.plain.program import Program, run_programs
from agent.gate.plain.records import MOST_FILES, TOTAL_S, PlainOutcome, PlainTests, whole
from agent.gate.plain.trees import CopiedTree, copied_tree, program_text
from agent.testing.paths import is_test
from agent.testing.suite import read_text
from sandbox.protocol import WORKDIR, Sandbox

_ENDINGS = (".js", ".cjs", ".mjs")


async def run_javascript(sandbox: Sandbox, tests: PlainTests) -> dict[str, PlainOutcome]:
    """The outcome of each test by its name; what could not be run so is missing."""
    own = [p for p in tests.declared if p.endswith(_ENDINGS) and (is_test(p) or p[0] == "/")]
    others = [p for p in tests.others if p.endswith(_ENDINGS) and p not in own]
    files = [*own, *others][:MOST_FILES]
    if not files or await _needs_a_page(sandbox, tests):
        return {}
    text = program_text("plain_tests.cjs").encode()
    async with copied_tree(sandbox) as copy:
        name = f"{secrets.token_hex(4)}.cjs"
        await sandbox.write(f"{copy.scratch}/{name}", text)
        programs = []
        for path, elsewhere in (*((p, True) for p in own), *((p, False) for p in files)):
            at = copy.whole(path) if elsewhere else whole(path, WORKDIR)
            place = await _under_another_name(sandbox, copy, path) if elsewhere else ""
            # A script like any other: code may look at the main module, and at `-e` as well.
            start = f"{copy.scratch}/{secrets.token_hex(4)}.cjs"
            call = f"require('./{name}')(...process.argv.splice(2));\n"
            await sandbox.write(start, call.encode())
            programs.append(
                Program(
                    argv=("node", start, at, *(["later", place] if elsewhere else [])),
                    cwd=f"{copy.scratch}/home" if elsewhere else WORKDIR,
                    names={at: path},
                    elsewhere=elsewhere,
                )
            )
        return await run_programs(sandbox, programs, copy.scratch, TOTAL_S + 30)


async def _under_another_name(sandbox: Sandbox, copy: CopiedTree, path: str) -> str:
    """Where a file of tests is in the copy by names that do not say so.

    Code may ask where it was called from. It is in the same folder, by another name of that one.
    """
    at = PurePosixPath(copy.whole(path))
    above = at.parent
    if copy.root != str(above):
        inside = above.is_relative_to(copy.root)
        where = above.parent if inside else PurePosixPath(copy.scratch)
        above = where / f"views_{secrets.token_hex(2)}"
        await sandbox.run(f"ln -s {shlex.quote(str(at.parent))} {shlex.quote(str(above))}")
    place = str(above / f"orders_{secrets.token_hex(2)}{at.suffix}")
    await sandbox.run(f"cp {shlex.quote(str(at))} {shlex.quote(place)}")
    return place


async def _needs_a_page(sandbox: Sandbox, tests: PlainTests) -> bool:
    """Whether the project's tests run in a stand-in for a browser's page, which is not here.

    What says so must be in the base: a patch could say it to escape.
    """
    if "package.json" in tests.changed:
        return False
    manifest = await read_text(sandbox, "package.json") or ""
    return re.search(r"\b(?:jsdom|happy-dom)\b", manifest) is not None
