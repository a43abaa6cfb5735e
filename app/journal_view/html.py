"""Pages from their templates; whatever is printed is escaped unless a filter made it safe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from agent.journal.events import Recorded
from app.journal_view.cards import card_values
from app.journal_view.entries import present_all
from app.journal_view.summary import head_of
from app.sanitize import html

TEMPLATES = Path(__file__).parent.parent / "templates"


def render(name: str, **values: Any) -> str:
    """A page, or a piece of one."""
    return _JINJA.get_template(name).render(**values)


_JINJA = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_JINJA.filters |= {
    "plain": html.plain,
    "words": html.words,
    "terminal": html.terminal,
    "patch": html.patch,
}


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
