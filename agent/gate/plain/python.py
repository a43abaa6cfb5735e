"""Python tests as plain programs: in forked children of `python -c`, without any runner."""

from __future__ import annotations

import json
import re
import secrets
import shlex
from collections.abc import Collection, Sequence

from agent.gate.plain.records import (
    LIMIT_S,
    MOST_FILES,
    TOTAL_S,
    PlainOutcome,
    PlainTests,
    some_user,
    whole,
)
from agent.gate.plain.trees import copied_tree, program_text
from agent.model import Record
from agent.testing.paths import is_source, is_test
from sandbox.protocol import WORKDIR, Sandbox

_SCRIPT = re.compile(
    r"\s*(?:cd\s+[\w./-]+\s*&&\s*)?(?:(?:env\s+)?[A-Za-z_]\w*=\S*\s+)*(?:timeout\s+\d+s?\s+)?"
    r"(?:\S*/)?python[\d.]*\s+(?:-(?:[BEIsqudO]+|[XW]\s*\S+)\s+)*(\S+\.py)\s*(?:2>&1\s*)?"
)
_ENDINGS = (".py",)


class PlainJob(Record):
    """What is run: test files of the tree, and a reproduction that is a script."""

    files: tuple[str, ...]
    scripts: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    """Those of them that run once more in another folder: the reproduction's own."""
    seed: int = 1
    """Of hashes, in another folder; the same on both sides of a patch."""
    watched: tuple[str, ...] = ()
    """Files of which it is told when their code reaches for who runs it."""


def plain_job(command: str, declared: Collection[str], tests: Sequence[str]) -> PlainJob | None:
    """The job for a reproduction (its command and its files) and further test files.

    None where there is nothing to run so: another language, no test in Python.
    """
    script = _SCRIPT.fullmatch(command)
    scripts = [script[1]] if script is not None and script[1] in declared else []
    own = [p for p in declared if p.endswith(_ENDINGS) and is_test(p) and p not in scripts]
    others = [p for p in tests if p.endswith(_ENDINGS) and p not in own]
    files = tuple([*own, *others][:MOST_FILES])
    if not files and not scripts:
        return None
    return PlainJob(files=files, scripts=tuple(scripts), elsewhere=(*scripts, *own))


async def run_python(sandbox: Sandbox, tests: PlainTests) -> dict[str, PlainOutcome]:
    """The outcome of each test by its name; what could not be run so is missing."""
    job = plain_job(tests.command, tests.declared, tests.others)
    if job is None:
        return {}
    watched = tuple(p for p in tests.changed if p.endswith(".py") and is_source(p))
    return await run_plainly(
        sandbox, job.model_copy(update={"watched": watched, "seed": tests.seed})
    )


async def run_plainly(sandbox: Sandbox, job: PlainJob) -> dict[str, PlainOutcome]:
    """The outcome of each test by its name; what could not be run so is missing."""
    found: dict[str, PlainOutcome] = {}
    if job.elsewhere:
        # First: what code leaves behind where it could know that it is run so helps it there only.
        async with copied_tree(sandbox) as copy:
            found |= await _run_in(sandbox, job, copy.root, elsewhere=True)
    return found | await _run_in(sandbox, job, WORKDIR, elsewhere=False)


async def _run_in(
    sandbox: Sandbox, job: PlainJob, root: str, *, elsewhere: bool
) -> dict[str, PlainOutcome]:
    """The outcomes of a job's files in the tree, or of those for elsewhere in a copy of it.

    What tells one such process from others (how it was started, its environment, its hashes) is
    different in the two.
    """
    mark = secrets.token_hex(16)
    folder = f"/tmp/{secrets.token_hex(6)}"  # noqa: S108 - inside the sandbox
    text = program_text("plain_tests.py").encode()
    chosen = {"elsewhere": job.elsewhere} if elsewhere else {"files": (*job.scripts, *job.files)}
    lists = {"files": (), "elsewhere": (), **chosen}
    said = {
        "mark": mark,
        "total_s": TOTAL_S,
        "limit_s": LIMIT_S,
        **{name: [whole(path, root) for path in paths] for name, paths in lists.items()},
        "scripts": [whole(path, root) for path in job.scripts],
        "watched": [whole(path, root) for path in job.watched],
    }
    driver = secrets.token_hex(4)
    await sandbox.write(f"{folder}/{driver}", text)
    opened = f"open(sys.path[0] + '/{driver}')" if elsewhere else f"open('{folder}/{driver}')"
    # Two copies of it, of which no module knows: tests get names of the second one only.
    start = (
        "import json, sys\n(lambda s: (lambda g, h: (exec(s, g), exec(s, h), "
        "g['main'](json.load(sys.stdin), h['RUNNER'])))({}, {}))"
        f"(compile({opened}.read(), '{folder}/{driver}', 'exec'))"
    )
    user = some_user()
    program, own = f"-c {shlex.quote(start)}", f"PYTHONPYCACHEPREFIX={folder}/cache"
    if elsewhere:
        name = secrets.choice(("app", "cli", "jobs", "main", "run", "serve", "worker"))
        program = f"{folder}/{name}.py"
        await sandbox.write(program, start.encode())
        own = "SHELL=/bin/bash TERM=xterm-256color HOSTNAME=web-1 SHLVL=1 LC_ALL=C.UTF-8 EDITOR=vi"
    ran = await sandbox.run(
        f"cd {root} && printf %s {shlex.quote(json.dumps(said))} | "
        f'env -i PATH="$PATH" HOME={folder} USER={user} LOGNAME={user} LANG=C.UTF-8 '
        f'PYTHONPATH="$PYTHONPATH" {own} PYTHONHASHSEED={job.seed if elsewhere else 0} '
        f"python3 {program}",
        timeout_s=TOTAL_S + 30,
    )
    return read_outcomes(ran.text, mark, root)


def read_outcomes(text: str, mark: str, root: str = WORKDIR) -> dict[str, PlainOutcome]:
    """The lines that carry the mark of this run; `root` is where the tree was."""
    found = {}
    for line in text.split("\n"):
        head, _, rest = line.partition(" ")
        if head != mark:
            continue
        try:
            name, outcome, raised, number = json.loads(rest)
            seen = PlainOutcome(outcome=outcome, raised=raised, line=number)
        except ValueError:
            continue
        found[str(name).removeprefix(f"{root}/")] = seen
    return found
