"""Proofs of pull requests: their list with its figures, and the page of each."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args
from urllib.parse import urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Depends, HTTPException, Query
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from agent.model import Record
from agent.proving.records import ProofVerdict
from app.proving.service import from_report
from app.proving.text_report import text_report
from app.storage.proofs import BUT_REPORTS, Proof, Proofs, UnknownProof, as_proof
from app.storage.tables import proofs, to_micros
from app.web.auth.visitors import Place, ReadableRuns
from app.web.dashboard.context import Context, Guest
from app.web.dashboard.run_list import PAGE, from_cursor
from app.web.rendering import render

router = APIRouter()

COUNTED = 200
"""The newest so many that are done are counted."""
MOST_LISTED = 12
Kind = Literal["person", "bot"]
_KINDS: dict[Kind, str] = {"person": "a person", "bot": "a bot"}


class ProofFilter(Record):
    """Which proofs to list; empty fields filter nothing."""

    repository: str = ""
    verdict: ProofVerdict | Literal[""] = ""
    kind: Kind | Literal[""] = ""
    """Who opened the pull request."""


@dataclass(frozen=True, slots=True)
class AuthorFigures:
    """What became of one author's pull requests."""

    author: str
    pulls: int
    verdicts: Counter[str]


@dataclass(frozen=True, slots=True)
class ProofFigures:
    """Figures over proofs that are done; times in minutes, medians."""

    proofs: int
    verdicts: Counter[str]
    """An empty one: the proof could not be made."""
    waited: float
    took: float
    authors: tuple[AuthorFigures, ...]
    missing: tuple[tuple[str, int], ...]
    """What was missing, most frequent first."""


def figures_of(done: Sequence[Proof]) -> ProofFigures:
    """The figures over some proofs that are done."""
    by_author: defaultdict[str, list[Proof]] = defaultdict(list)
    for proof in done:
        if proof.pull_number:
            by_author[proof.author].append(proof)
    ran = [(p.created_at, p.begun_at, p.ended_at) for p in done]
    times = [(asked, begun, ended) for asked, begun, ended in ran if begun and ended]
    missing = Counter(_kind_of(line) for proof in done for line in _lacks(proof))
    authors = [
        AuthorFigures(
            author,
            len({(proof.repository_id, proof.pull_number) for proof in own}),
            Counter(proof.verdict for proof in own),
        )
        for author, own in by_author.items()
    ]
    return ProofFigures(
        proofs=len(done),
        verdicts=Counter(proof.verdict for proof in done),
        waited=_median((begun - asked).total_seconds() / 60 for asked, begun, _ in times),
        took=_median((ended - begun).total_seconds() / 60 for _, begun, ended in times),
        authors=tuple(sorted(authors, key=lambda a: (-a.pulls, a.author))[:MOST_LISTED]),
        missing=tuple(missing.most_common(MOST_LISTED)),
    )


def _lacks(proof: Proof) -> list[str]:
    return [] if proof.verdict == "proven" else proof.reason.splitlines()


def _kind_of(sentence: str) -> str:
    """A sentence on what is missing, without the names that it ends with."""
    said, _, names = sentence.partition(": ")
    return said if "/" in names or "::" in names else sentence[:200]


def _median(values: Iterable[float]) -> float:
    known = list(values)
    return float(statistics.median(known)) if known else 0.0


def places(database: sa.Engine) -> list[Place]:
    """The repositories that have proofs, by name."""
    query = (
        sa.select(
            sa.func.max(proofs.c.installation_id),
            sa.func.max(proofs.c.repository).label("repository"),
            proofs.c.repository_id,
            sa.func.max(sa.cast(proofs.c.private, sa.Integer)),
        )
        .group_by(proofs.c.repository_id)
        .order_by("repository")
    )
    with database.execution_options(read_only=True).connect() as connection:
        return [
            Place(installation, name, number, has_private_runs=bool(private))
            for installation, name, number, private in connection.execute(query)
        ]


def read_proofs(
    database: sa.Engine,
    filters: ProofFilter,
    readable: ReadableRuns | None,
    *,
    cursor: str = "",
    done: bool = False,
    limit: int = PAGE,
) -> tuple[list[Proof], str]:
    """Proofs without their reports, newest first, and the cursor of the page after, if any."""
    query = sa.select(*BUT_REPORTS).order_by(proofs.c.created_at.desc(), proofs.c.id.desc())
    if filters.repository:
        query = query.where(proofs.c.repository == filters.repository)
    if filters.verdict:
        query = query.where(proofs.c.verdict == filters.verdict)
    if filters.kind:
        query = query.where(proofs.c.author_is_bot == (filters.kind == "bot"))
    if done:
        query = query.where(proofs.c.state == "done")
    if readable is not None:
        public = sa.not_(proofs.c.private)
        in_public = proofs.c.repository_id.in_(sorted(readable.without_private)) & public
        query = query.where(proofs.c.repository_id.in_(sorted(readable.whole)) | in_public)
    query = from_cursor(query, proofs, cursor)
    with database.execution_options(read_only=True).connect() as connection:
        found = [as_proof(row) for row in connection.execute(query.limit(limit + 1)).mappings()]
    if len(found) <= limit:
        return found, ""
    end = found[limit - 1]
    return found[:limit], f"{to_micros(end.created_at)}_{end.id}"


async def _readable(dashboard: Context, visitor: Guest) -> ReadableRuns | None:
    if not visitor.login:
        return None
    known = await run_in_threadpool(places, dashboard.store.database)
    return await dashboard.access.readable(visitor, known)


Readable = Annotated[ReadableRuns | None, Depends(_readable)]
"""The proofs that the visitor may see; None: all."""


@router.get("/proofs", response_class=HTMLResponse)
def list_proofs(
    dashboard: Context,
    visitor: Guest,
    readable: Readable,
    repository: Annotated[str, Query(max_length=201)] = "",
    verdict: Annotated[str, Query(max_length=16)] = "",
    kind: Annotated[str, Query(max_length=16)] = "",
    cursor: Annotated[str, Query(max_length=64)] = "",
) -> HTMLResponse:
    """A page of the list, with the figures over the newest ones that fit the filters."""
    database = dashboard.store.database
    filters = ProofFilter.model_validate(
        {
            "repository": repository,
            "verdict": verdict if verdict in get_args(ProofVerdict) else "",
            "kind": kind if kind in get_args(Kind) else "",
        }
    )
    found, following = read_proofs(database, filters, readable, cursor=cursor)
    counted, _ = read_proofs(database, filters, readable, done=True, limit=COUNTED)
    kept = {name: value for name, value in filters.model_dump().items() if value}
    known = [
        place.repository
        for place in places(database)
        if readable is None or place.repository_id in readable.whole | readable.without_private
    ]
    return HTMLResponse(
        render(
            "proofs.html",
            visitor=visitor,
            proofs=found,
            figures=figures_of(counted),
            older="/proofs?" + urlencode({**kept, "cursor": following}) if following else "",
            filters=filters,
            filtered=bool(kept),
            repositories=known,
            verdicts=get_args(ProofVerdict),
            kinds=_KINDS,
            label=dashboard.settings.prove_label,
        )
    )


@router.get("/proofs/{proof_id}", response_class=HTMLResponse)
def show_proof(
    dashboard: Context, visitor: Guest, readable: Readable, proof_id: str
) -> HTMLResponse:
    """One proof; to a visitor who may not see it, there is none (404)."""
    try:
        proof = Proofs(dashboard.store.database).get(proof_id)
    except UnknownProof:
        raise HTTPException(404, "There is no such proof.") from None
    if readable is not None:
        in_public = proof.repository_id in readable.without_private and not proof.private
        if proof.repository_id not in readable.whole and not in_public:
            raise HTTPException(404, "There is no such proof.")
    web = dashboard.settings.github_web_url.rstrip("/")
    where = f"pull/{proof.pull_number}" if proof.pull_number else f"commit/{proof.head_sha}"
    return HTMLResponse(
        render(
            "proof.html",
            visitor=visitor,
            proof=proof,
            text=text_report(from_report(proof.report)) if proof.report else "",
            address=f"{web}/{proof.repository}/{where}",
        )
    )
