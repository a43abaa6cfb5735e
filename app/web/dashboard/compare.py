"""Two snapshots beside each other: per file, what each changed against the base."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import HTMLResponse

from app.web.dashboard.context import Context, Guest, ReadableRun
from app.web.dashboard.summaries import snapshot_names
from app.web.rendering import render

router = APIRouter()

_FILE = re.compile(r"^diff --git .*$", re.MULTILINE)
_NAME = re.compile(r"^diff --git (?:\"?a/.*?\"?) \"?b/(.*?)\"?$")


@dataclass(frozen=True, slots=True)
class FilePair:
    """A file in both snapshots; an empty side means that it is as in the base there."""

    path: str
    left: str
    right: str

    @property
    def same(self) -> bool:
        """Whether both changed it alike."""
        return self.left == self.right


def compare(left: str, right: str) -> list[FilePair]:
    """The files that either patch changes; those that differ come first."""
    a, b = sections(left), sections(right)
    pairs = [FilePair(path, a.get(path, ""), b.get(path, "")) for path in sorted(a | b)]
    return sorted(pairs, key=lambda pair: pair.same)


def sections(patch: str) -> dict[str, str]:
    """A patch's part per file."""
    starts = [found.start() for found in _FILE.finditer(patch)]
    ends = [*starts[1:], len(patch)][: len(starts)]
    parts = (patch[start:end] for start, end in zip(starts, ends, strict=True))
    return {_name(part.partition("\n")[0]): part for part in parts}


def _name(line: str) -> str:
    found = _NAME.match(line)
    return found[1] if found else line


@router.get("/runs/{run_id}/compare", response_class=HTMLResponse)
def compare_snapshots(
    dashboard: Context,
    visitor: Guest,
    run: ReadableRun,
    left: Annotated[str, Query(max_length=200)] = "",
    right: Annotated[str, Query(max_length=200)] = "",
) -> HTMLResponse:
    """Two of the run's snapshots beside each other; an empty `left` is the base."""
    head = dashboard.heads.of(run.id)
    known = {snapshot.key: snapshot for snapshot in head.snapshots.values()}
    if (left and left not in known) or right not in known:
        raise HTTPException(404, "There is no such snapshot.")

    def read(key: str) -> str:
        data = dashboard.journals.log(run.id, known[key].log_id) if key else b""
        return (data or b"").decode("utf-8", "replace")

    return HTMLResponse(
        render(
            "compare.html",
            visitor=visitor,
            run=run,
            names=snapshot_names(head),
            left=left,
            right=right,
            files=compare(read(left), read(right)),
        )
    )
