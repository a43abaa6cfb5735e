"""A run's journal as one HTML file for a colleague: nothing is loaded, every text is escaped.

It is the run's page with its style inside, without what needs the service.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.journal.events import Recorded
from app.dashboard_cards import card_values
from app.journal_view.entries import present_all
from app.journal_view.html import render
from app.web.dashboard.summaries import head_of

LONGEST = 200_000
"""Characters of one text; more is cut from its middle."""


def trace_page(title: str, journal: Sequence[Recorded]) -> str:
    """The page of a run. Pure."""
    return render(
        "trace.html",
        title=title,
        begun=f"{journal[0].at:%Y-%m-%d %H:%M} UTC" if journal else "",
        events=present_all(journal),
        run_id="",
        shown=LONGEST,
        **card_values(head_of(journal)),
    )
