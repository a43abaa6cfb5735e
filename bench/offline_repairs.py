"""How far the offline model gets on the repositories of `tests/repos`: one row for each.

Every repair goes through the real entry `agent.session.debug`: the loop, the tools and the gate.
`python -m bench.offline_repairs [--sandbox docker|local] [--trace] [NAME …]`. Of the tests that
judge a fix (`hidden/`) neither the model nor the gate sees anything.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import tarfile
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.bisection.bisect import Past
from agent.journal.state import AttemptState
from agent.journal.store import MemoryStore
from agent.models.offline import OfflineModel
from agent.session import debug
from agent.task import Issue, Task
from sandbox.docker.engine import DockerEngine
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits, Sandbox
from sandbox.spec import SandboxSpec
from tests.doubles.local_sandbox import LocalSandbox

REPOS = Path(__file__).resolve().parent.parent / "tests" / "repos"

Open = Callable[[dict[str, bytes]], Awaitable[Sandbox]]
"""Opens a sandbox that holds the given files."""


@dataclass(frozen=True)
class Case:
    """One repository with its issue."""

    name: str
    kind: str
    fixable: bool
    layout: str
    part: int
    issue: Issue
    files: dict[str, bytes]
    hidden: dict[str, bytes]


@dataclass(frozen=True)
class Row:
    """What became of one case."""

    case: Case
    outcome: str
    right: bool
    """Whether the hidden tests pass with the patch."""
    calls: int
    seconds: float
    patch: str
    diagnosis: str
    state: AttemptState

    @property
    def fixed(self) -> bool:
        """Proven before the gate."""
        return self.outcome == "proven"


def cases(names: Iterable[str] = ()) -> list[Case]:
    """The repositories, by part and name."""
    wanted = set(names)
    found = [_case(p) for p in sorted(REPOS.iterdir()) if (p / "meta.json").is_file()]
    return sorted(
        (c for c in found if not wanted or c.name in wanted), key=lambda c: (c.part, c.name)
    )


def _case(folder: Path) -> Case:
    meta = json.loads((folder / "meta.json").read_text())
    title, _, body = (folder / "issue.md").read_text().partition("\n")
    return Case(
        name=folder.name,
        kind=meta["kind"],
        fixable=meta["fixable"],
        layout=meta["layout"],
        part=meta["set"],
        issue=Issue(title=title.lstrip("# ").strip(), body=body.strip()),
        files=_files(folder / "repo"),
        hidden=_files(folder / "hidden"),
    )


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and "__pycache__" not in p.parts
    }


async def open_local(files: dict[str, bytes]) -> Sandbox:
    """A sandbox over a temporary folder."""
    return LocalSandbox(dict(files))


@asynccontextmanager
async def sandboxes(kind: str) -> AsyncIterator[Open]:
    """How sandboxes are opened: in Docker, from the base image, or in temporary folders."""
    if kind == "local":
        yield open_local
        return
    engine = DockerEngine()
    await engine.check()
    installation = f"bench-{uuid.uuid4().hex[:8]}"
    with tempfile.TemporaryDirectory() as folder:

        async def open_docker(files: dict[str, bytes]) -> Sandbox:
            tree = Path(folder) / f"{uuid.uuid4().hex}.tar"
            with tarfile.open(tree, "w") as archive:
                for name, data in files.items():
                    info = tarfile.TarInfo(name)
                    info.size, info.mode = len(data), 0o644
                    archive.addfile(info, io.BytesIO(data))
            spec = SandboxSpec(
                image=BASE_IMAGE,
                limits=Limits(),
                run_id=installation,
                purpose="bench",
                installation=installation,
            )
            return await engine.open(spec, tree)

        try:
            yield open_docker
        finally:
            await engine.close()


async def repair(
    case: Case,
    open_with: Open,
    trace: bool = False,
    past: Past | None = None,
    store: MemoryStore | None = None,
) -> Row:
    """Run one case to its end and judge the patch by the hidden tests.

    With `past`, the case's files hold the history as `.git`.
    """
    store = store or MemoryStore()
    task = Task(
        run_id=case.name,
        repository=f"local/{case.name}",
        base_commit="0" * 40,
        issue=case.issue,
        history_commits=len(past.commits) if past is not None else 0,
    )

    async def fresh() -> Sandbox:
        return await open_with(case.files)

    async def attach(_: str) -> Sandbox | None:
        return None

    started = time.monotonic()
    state = await debug(
        task,
        model=OfflineModel(),
        store=store,
        open_sandbox=fresh,
        attach=attach,
        open_fresh=fresh,
        past=past,
    )
    seconds = time.monotonic() - started
    if trace:
        for recorded in store.events(case.name):
            print(shown(recorded.event.model_dump()))
    patch = state.verdict.patch if state.verdict is not None and state.outcome == "proven" else ""
    right = bool(patch) and await holds(case, patch, open_with)
    outcome = state.outcome or "none"
    return Row(case, outcome, right, state.calls_used, seconds, patch, state.diagnosis, state)


def shown(event: dict[str, object]) -> str:
    """One event in a few lines."""
    keep = {k: v for k, v in event.items() if v and k not in ("attempt", "usage", "digest")}
    return " ".join(f"{k}={str(v)[:1500]}" for k, v in keep.items())


async def holds(case: Case, patch: str, open_with: Open) -> bool:
    """Whether the hidden tests pass on the patched tree."""
    sandbox = await open_with(case.files)
    try:
        await sandbox.apply(patch)
        for path, data in case.hidden.items():
            await sandbox.write(f"/workspace/{path}", data)
        paths = " ".join(case.hidden)
        roots = "PYTHONPATH=/workspace:/workspace/src"
        run = await sandbox.run(
            f"cd /workspace && {roots} python3 -m pytest -q {paths}", timeout_s=120
        )
        return run.ok
    finally:
        await sandbox.close()


def table(rows: Iterable[Row]) -> str:
    """The rows as text."""
    lines = [
        f"{'repository':<20} {'kind':<34} {'fixable':<8} {'outcome':<10} {'hidden':<7} "
        f"{'calls':>5} {'s':>6}"
    ]
    for r in rows:
        hidden = "-" if not r.fixed else "pass" if r.right else "FAIL"
        lines.append(
            f"{r.case.name:<20} {r.case.kind[:34]:<34} {'yes' if r.case.fixable else 'no':<8} "
            f"{r.outcome:<10} {hidden:<7} {r.calls:>5} {r.seconds:>6.1f}"
        )
    return "\n".join(lines)


async def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--sandbox", choices=("docker", "local"), default="docker")
    parser.add_argument("--trace", action="store_true", help="print the journal too")
    parser.add_argument("--patches", action="store_true", help="print patches and diagnoses too")
    options = parser.parse_args()
    rows = []
    async with sandboxes(options.sandbox) as open_with:
        for case in cases(options.names):
            row = await repair(case, open_with, options.trace)
            rows.append(row)
            print(table([row]).split("\n")[1], flush=True)
            if options.patches:
                print(row.patch or row.diagnosis)
    print("\n" + table(rows))
    for part in sorted({r.case.part for r in rows}):
        own = [r for r in rows if r.case.part == part]
        right = sum(r.right for r in own)
        print(
            f"part {part}: {sum(r.fixed for r in own)} proven of {len(own)}, {right} of them right"
        )


if __name__ == "__main__":
    asyncio.run(main())
