"""A journal as HTML; whatever is printed is escaped unless a filter made it safe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2

from agent.journal.events import Recorded
from app.journal_view.cards import card_values
from app.journal_view.entries import present_all
from app.journal_view.summary import summarise_journal
from app.sanitize.html import patch, plain, terminal, words

TEMPLATES = Path(__file__).parent / "templates"
"""What the service's pages and a run's exported page share, style sheets among it."""
LONGEST = 200_000
"""Characters of one text; more is cut from its middle."""


def environment(*folders: Path) -> jinja2.Environment:
    """Templates of these folders, and of this package: values are escaped, none may be missing."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"plain": plain, "words": words, "terminal": terminal, "patch": patch}
    return made


def render(name: str, **values: Any) -> str:
    """A piece of a page that shows a run's journal."""
    return _PIECES.get_template(name).render(**values)


_PIECES = environment()


def trace_page(title: str, journal: Sequence[Recorded]) -> str:
    """A run's journal as one HTML file for a colleague: nothing is loaded, every text is escaped.

    It is the run's page with its style inside, without what needs the service.
    """
    return render(
        "trace.html",
        title=title,
        begun=f"{journal[0].at:%Y-%m-%d %H:%M} UTC" if journal else "",
        events=present_all(journal),
        shown=LONGEST,
        **card_values(summarise_journal(journal)),
    )
