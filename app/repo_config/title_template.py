"""Templates of pull requests' titles: text with named fields in braces, and nothing else."""

from __future__ import annotations

import string
from collections.abc import Mapping

FIELDS = ("title", "issue", "issue_title", "summary")
"""`title` is what it would be without a template, `issue` the issue's number, `issue_title` its
title, `summary` what the patch does."""


def check_title(template: str) -> str:
    """The template, if it can be filled in. Raises `ValueError` that names what is wrong."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:
        raise ValueError("a brace has no partner; braces themselves are {{ and }}") from None
    fields = [(name, form, conversion) for _, name, form, conversion in parts if name is not None]
    known = ", ".join(f"{{{name}}}" for name in FIELDS)
    for name, form, conversion in fields:
        if name not in FIELDS:
            raise ValueError(f"there is no field {{{name}}}; the fields are {known}")
        if form or conversion:
            raise ValueError(f"{{{name}}} takes no format or conversion")
    if template and not fields:
        raise ValueError(f"every title would be the same; the fields are {known}")
    return template


def fill_title(template: str, fields: Mapping[str, str]) -> str:
    """The template with its fields, which are not looked into: braces in them stay."""
    return template.format_map(fields)
