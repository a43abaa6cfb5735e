"""Java tests by Maven as plain programs: one that calls test methods, without runner or platform.

The classes are compiled by Maven as usual; the program gets the same class path from Maven's own
messages. The classes of the assertions are there, those that find and run tests are not used.
Where they run in another folder, the class and its test methods have names that do not say so.
"""

from __future__ import annotations

import re
import secrets
import shlex
from pathlib import PurePosixPath

from agent.gate.plain.program import Program, in_both_places, run_programs
from agent.gate.plain.records import BUILD_S, MOST_FILES, TOTAL_S, PlainOutcome, PlainTests, built
from agent.gate.plain.trees import CopiedTree, TestFile, copied_tree, program_text, read_tests
from agent.testing.runners import kind_of
from sandbox.protocol import Sandbox

_PACKAGE = re.compile(r"^[^\S\n]*package\s+([\w.]+)\s*;", re.M)
_ELEMENTS = re.compile(r"\(f\) (?:classpathElements|testPath) = \[(.*)\]")
_TREE = "src/test/java/"
_TEST = re.compile(r"@Test\b[^;{}]*?\bvoid\s+(\w+)\s*\(\s*\)")


async def run_java(sandbox: Sandbox, tests: PlainTests) -> dict[str, PlainOutcome]:
    """The outcome of each test by its name; what could not be built so is missing."""
    tool = maven_of(tests.command) or maven_of(tests.suite)
    read = await read_tests(sandbox, tests, ".java")
    files = [f for f in read if _TREE in f"/{f.path}"]
    if not files or tool is None:
        return {}
    async with copied_tree(sandbox) as copy:
        root = await copy.nearest(files[0].path, "pom.xml")
        if root is None:
            return {}
        inside = [f for f in files[:MOST_FILES] if f.path.startswith(f"{root}/") or root == "."]
        await copy.write({f.path: f.text for f in inside if f.declared})
        said = await copy.run(root, f"{tool} -X test-compile", BUILD_S)
        elements = _ELEMENTS.findall(said or "")
        if not elements:
            return built((f.path for f in inside), ok=False)
        path = [part.strip() for part in elements[-1].split(",")]
        word = f"P{secrets.token_hex(6)}"
        await sandbox.write(
            f"{copy.scratch}/{word}.java",
            program_text("plain_tests.java").replace("WORD", word).encode(),
        )
        if not await copy.build(root, f"javac -d {copy.scratch} {copy.scratch}/{word}.java", 60):
            return {}  # No compiler, which is not the patch's doing.
        classes = {class_of(f): f.path for f in inside}
        found = built(classes.values(), ok=True)
        for name, file in classes.items():
            declared = any(f.path == file and f.declared for f in inside)
            argv = ("java", "-cp", ":".join([*path, copy.scratch]), word, name)
            here = Program(argv=argv, cwd=copy.whole(root), names={name: file})
            programs = in_both_places(here, copy.scratch, declared=declared)
            if declared:
                given = next(f for f in inside if f.path == file)
                programs[0] = (
                    await _under_other_names(copy, given, programs[0], path) or programs[0]
                )
            found |= await run_programs(sandbox, programs, copy.scratch, TOTAL_S + 10)
        return found


async def _under_other_names(
    copy: CopiedTree, file: TestFile, program: Program, path: list[str]
) -> Program | None:
    """The program with the file's tests under other names; None: they cannot be built so.

    `path` is the class path of the tests.
    """
    word = f"Handle{secrets.token_hex(6)}"
    text, names = under_other_names(file, word)
    folder = f"{copy.scratch}/{word.lower()}"
    await copy.sandbox.write(f"{folder}/{word}.java", text.encode("utf-8", "surrogateescape"))
    classes = shlex.quote(":".join(path))
    build = f"javac -nowarn -encoding UTF-8 -cp {classes} -d {folder} {folder}/{word}.java"
    if not await copy.build(".", build, 60):
        return None
    argv = ("java", "-cp", ":".join([folder, *path, copy.scratch]), program.argv[3])
    package = class_of(file).rpartition(".")[0]
    own = f"{package}.{word}" if package else word
    return program.model_copy(update={"argv": (*argv, own), "names": names})


def under_other_names(file: TestFile, word: str) -> tuple[str, dict[str, str]]:
    """A file's text in which its class is called `word` and its test methods are numbered; and
    the test's name in the tree for each name of the new ones. Lines stay where they are."""
    package, _, old = class_of(file).rpartition(".")
    own = f"{package}.{word}" if package else word
    names = {own: file.path}
    text = re.sub(rf"(?<![\w.\"]){re.escape(old)}\b(?!\")", word, file.text)
    for number, test in enumerate(dict.fromkeys(_TEST.findall(file.text))):
        new = f"{word.lower()}{number}"
        text = re.sub(rf"(?<![\w.\"]){test}(?=\s*\()", new, text)
        names[f"{own}::{new}"] = f"{file.path}::{test}"
    return text, names


def maven_of(command: str) -> str | None:
    """Maven with the options of a test command, without its goals; None where it is another."""
    if kind_of(command) != "maven" or re.search(r"[;&|<>`$()]", command):
        return None
    words = shlex.split(command)
    at = next((i for i, w in enumerate(words) if re.fullmatch(r"(?:\S*/)?mvnw?", w)), None)
    if at is None:
        return None
    kept = [words[at]]
    for before, word in zip(words[at:], words[at + 1 :], strict=False):
        value = before in ("-f", "--file", "-s", "--settings", "-P")
        if (word.startswith("-") or value) and not re.match(r"-Dtest=|-q$|--quiet$", word):
            kept.append(word)
    return shlex.join(kept)


def class_of(file: TestFile) -> str:
    """The class that a file of tests is about, with its package."""
    package = _PACKAGE.search(file.text)
    return ".".join([*([package[1]] if package else []), PurePosixPath(file.path).stem])
