"""The dashboard's routes put together: the runs, each run's journal live, queue, statistics."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from app.web.dashboard import (
    actions,
    alerts,
    compare,
    live,
    nights,
    onboarding,
    organisations,
    proofs,
    queue,
    run_list,
    run_page,
    statistics,
)
from app.web.dashboard.context import visitor

router = APIRouter(dependencies=[Depends(visitor)])
"""Each visitor sees what they may; `app.state.dashboard` has to be set."""
for _part in (
    run_list, run_page, live, compare, actions, proofs, queue, statistics, onboarding, alerts,
    organisations, nights,
):  # fmt: skip
    router.include_router(_part.router)
