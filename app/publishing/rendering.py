"""Templates of reports, rendered so that what is not known to be safe is escaped."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.repo_config.schema import Language
from app.sanitize.markdown import Markdown, code, fenced, inline, prose

TEMPLATES = Path(__file__).parent.parent / "templates" / "reports"


def render(
    template: str, escape: Callable[[str], str], language: Language = "en", **context: object
) -> str:
    """A template of the language, else the English one. `escape` is for all that is printed."""

    def finalize(value: object) -> str:
        return str(value) if isinstance(value, Markdown | int) else escape(str(value))

    environment = Environment(  # noqa: S701 - the output is Markdown; `finalize` escapes it all
        loader=FileSystemLoader([TEMPLATES / language, TEMPLATES]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=finalize,
    )
    environment.filters |= {
        "prose": prose,
        "fenced": fenced,
        "code": code,
        "inline": inline,
        "ours": Markdown,
    }
    text = environment.get_template(template).render(**context)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
