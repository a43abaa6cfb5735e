"""What proven attempts used, read from the journals in the tables."""

from __future__ import annotations

from collections import Counter

import sqlalchemy as sa

from agent.journal.events import EVENT, GateJudged, ModelTurned
from app.storage.tables import events, runs

MOST_RUNS = 20
"""Runs that are read; each has some hundreds of turns."""


def tokens_of_proven(database: sa.Engine, model: str) -> tuple[int, ...]:
    """Tokens that each attempt took until it was proven, in the newest proven runs of a profile.

    As the server's `usage` said, cached ones included; attempts whose server said nothing are
    left out. What is in the archive is not read.
    """
    newest = (
        sa.select(runs.c.id)
        .where(runs.c.outcome == "proven", runs.c.model == model)
        .order_by(runs.c.created_at.desc(), runs.c.id)
        .limit(MOST_RUNS)
    )
    # The type is at the body's beginning: journals are mostly outputs, which need no parsing.
    kind = sa.func.substr(events.c.body, 1, 80)
    wanted = [kind.like(f'%"type":"{name}"%') for name in ("model_turned", "gate_judged")]
    found = []
    with database.execution_options(read_only=True).connect() as connection:
        for run_id in connection.execute(newest).scalars().all():
            query = (
                sa.select(events.c.body)
                .where(events.c.run_id == run_id, sa.or_(*wanted))
                .order_by(events.c.seq)
            )
            used: Counter[int] = Counter()
            proven = set[int]()
            for body in connection.execute(query).scalars():
                match EVENT.validate_json(body):
                    case ModelTurned(attempt=number, usage=usage) if number not in proven:
                        used[number] += usage.prompt_tokens + usage.completion_tokens
                    case GateJudged(attempt=number, verdict="proven"):
                        proven.add(number)
                    case _:
                        pass
            found += [used[number] for number in sorted(proven) if used[number]]
    return tuple(found)
