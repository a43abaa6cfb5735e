"""Pages from their templates; whatever is printed is escaped unless a filter made it safe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

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
