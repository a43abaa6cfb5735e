"""Running one program so that nothing says that it is a test, and reading what it says.

A program gets a secret word on its standard input and says with it, on descriptor 3, which test
begins, what became of it, and that all is done. The descriptor is a pipe that leaves the sandbox's
process at once, so nothing that was said can be taken back; and what is said without the word does
not count. A program that ends without having said that it is done has ended before its tests.
"""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping, Sequence

from agent.gate.plain.records import ELSEWHERE, ENDED, PlainOutcome, some_user
from agent.model import Record
from sandbox.protocol import Sandbox

_KEPT = "PATH LD_LIBRARY_PATH JAVA_HOME GOROOT NODE_PATH"
_STOPPED = range(124, 256)
"""Exit codes of programs that were stopped from outside, or could not be started."""
_PROGRAM_S = 20.0
"""Of one program."""
_OUTCOMES = ("passed", "failed", "left out")


class Program(Record):
    """One program to run."""

    argv: tuple[str, ...]
    cwd: str
    names: Mapping[str, str]
    """The file of the tree for each name of a file that the program says, and a test's name in
    the tree for a whole name of one that it says under another."""
    elsewhere: bool = False


def in_both_places(program: Program, scratch: str, *, declared: bool) -> list[Program]:
    """The program where it is, and before that in a scratch folder if it has tests of the
    reproduction: what it leaves behind where it could know such a run helps it there only."""
    there = program.model_copy(update={"cwd": scratch, "elsewhere": True})
    return [there, program] if declared else [program]


async def run_programs(
    sandbox: Sandbox, programs: Sequence[Program], folder: str, timeout_s: float
) -> dict[str, PlainOutcome]:
    """The outcome of each test by its name, of the programs that ran; `folder` is a scratch one."""
    found: dict[str, PlainOutcome] = {}
    words = [secrets.token_hex(16) for _ in programs]
    lines = [f"mkdir -p {folder}/home"]
    user = some_user()
    for program, word in zip(programs, words, strict=True):
        own = " ".join(f'${{{name}:+{name}="${name}"}}' for name in _KEPT.split())
        call = (
            f"env -i {own} HOME={folder}/home USER={user} LOGNAME={user} LANG=C.UTF-8 "
            f"timeout -s KILL {_PROGRAM_S:.0f} {shlex.join(program.argv)}"
        )
        lines.append(
            f"( cd {shlex.quote(program.cwd)} && printf '%s\\n' {word} "
            f"| {call} 3>&1 >{folder}/shown 2>&1 ); echo {word} status $?"
        )
    ran = await sandbox.run("\n".join(lines), timeout_s=timeout_s)
    for program, word in zip(programs, words, strict=True):
        found |= read_said(ran.text, word, program.names, elsewhere=program.elsewhere)
    return found


def read_said(
    text: str, word: str, names: Mapping[str, str], *, elsewhere: bool = False
) -> dict[str, PlainOutcome]:
    """What the lines with this word say; a test that its process did not survive has failed."""
    found: dict[str, PlainOutcome] = {}
    begun: list[str] = []
    done = False
    status = -1
    for line in text.replace("\r\n", "\n").split("\n"):
        # A program may leave an unfinished line on the same pipe.
        _, mark, said = line.partition(word)
        if not mark:
            continue
        kind, *rest = said.strip(" ").split("\t")
        if kind.startswith("status "):
            status = int(kind[7:]) if kind[7:].isdigit() else -1
        elif kind == "start" and rest:
            begun.append(rest[0])
        elif kind == "end":
            done = True
        elif kind == "outcome" and len(rest) == 4 and rest[0] in begun and rest[1] in _OUTCOMES:
            name, outcome, raised, number = rest
            seen = PlainOutcome.model_validate(
                {"outcome": outcome, "raised": raised[:200], "line": int(number or 0)}
            )
            found.setdefault(name, seen)
    if not done and status >= 0 and status not in _STOPPED:
        for name in begun:
            found.setdefault(name, PlainOutcome(outcome="failed", raised=ENDED))
    return {f"{_renamed(name, names)}{ELSEWHERE * elsewhere}": seen for name, seen in found.items()}


def _renamed(name: str, names: Mapping[str, str]) -> str:
    if name in names:
        return names[name]
    file, colons, test = name.partition("::")
    return f"{names.get(file, file)}{colons}{test}"
