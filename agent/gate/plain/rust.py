"""Rust integration tests as plain programs: an example of the crate that calls them.

It is built with optimised settings, without debug assertions and without libtest, and runs under
another name from another folder. Unit tests inside the crate's own modules cannot be called from
outside and are left out.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import PurePosixPath

from agent.gate.plain.program import Program, in_both_places, run_programs
from agent.gate.plain.records import BUILD_S, TOTAL_S, PlainOutcome, PlainTests, built
from agent.gate.plain.trees import TestFile, copied_tree, program_text, read_tests
from sandbox.protocol import Sandbox

MOST_PROGRAMS = 4
"""Each is linked by itself."""
_TEST = re.compile(
    r"^#\[test\][ \t]*\n(?P<more>(?:#\[[^\n]*\n)*)(?P<head>fn (?P<name>\w+)\(\) \{)", re.M
)


async def run_rust(sandbox: Sandbox, tests: PlainTests) -> dict[str, PlainOutcome]:
    """The outcome of each test by its name; what could not be built so is missing."""
    read = await read_tests(sandbox, tests, ".rs")
    files = [f for f in read if PurePosixPath(f.path).parent.name == "tests"]
    if not files:
        return {}
    found: dict[str, PlainOutcome] = {}
    async with copied_tree(sandbox) as copy:
        for file in files[:MOST_PROGRAMS]:
            root = await copy.nearest(file.path, "Cargo.toml")
            if root is None or not _TEST.search(file.text):
                continue
            word = f"p{secrets.token_hex(6)}"
            await copy.write(rust_program(file, root, word))
            program = f"{copy.scratch}/{word}"
            made = f"{copy.scratch}/out/release/examples/{word}"
            line = (
                f"CARGO_TARGET_DIR={copy.scratch}/out CARGO_PROFILE_RELEASE_OPT_LEVEL=0 "
                f"cargo build --release --offline --example {word} && mv {made} {program}"
            )
            ok = await copy.build(root, line, BUILD_S)
            found |= built([file.path], ok=ok)
            if not ok:
                continue
            names = {file.path: file.path}
            here = Program(argv=(program,), cwd=copy.whole(root), names=names)
            programs = in_both_places(here, copy.scratch, declared=file.declared)
            found |= await run_programs(sandbox, programs, copy.scratch, TOTAL_S + 10)
    return found


def rust_program(file: TestFile, root: str, word: str) -> Mapping[str, str]:
    """The example to add to a copy of the tree; lines of the test stay where they are."""
    names = [m["name"] for m in _TEST.finditer(file.text) if not m["more"]]
    text = re.sub(r"^#\[test\]", "", file.text, flags=re.M)
    cases = ", ".join(f'("{file.path}::{name}", {name} as fn())' for name in names)
    main = program_text("plain_tests.rs").replace("CASES", cases).replace("WORD", word)
    return {str(PurePosixPath(root) / "examples" / f"{word}.rs"): text + main}
