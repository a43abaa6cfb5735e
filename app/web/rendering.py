"""The service's pages from their templates; whatever is printed is escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from app.journal_view.html import environment

TEMPLATES = Path(__file__).parent / "templates"
_PAGES = environment(TEMPLATES)


def render(name: str, **values: Any) -> str:
    """A page, or a piece of one."""
    return _PAGES.get_template(name).render(**values)
