"""Fill templates with fields."""

from lettermerge.template import Field, Text, parse

FILTERS = {
    "upper": str.upper,
    "lower": str.lower,
    "title": str.title,
    "first": lambda s: s[:1],
}


class UnknownFilter(LookupError):
    """A field names a filter that there is none of."""


def _value(part, fields, default):
    """The text of one part.

    A field that is not known, or known as None, shows `default`.
    """
    if isinstance(part, Text):
        return part.value
    value = fields[part.name]
    if value is None:
        return default
    value = str(value)
    if part.filter:
        if part.filter not in FILTERS:
            raise UnknownFilter(part.filter)
        value = FILTERS[part.filter](value)
    return value


def render(template, fields, default=""):
    """The template as text."""
    return "".join(_value(part, fields, default) for part in parse(template))


def render_all(template, rows, default=""):
    return [render(template, row, default) for row in rows]


def missing(template, fields):
    """Names of fields that the template wants and nobody gave."""
    names = {p.name for p in parse(template) if isinstance(p, Field)}
    return sorted(n for n in names if fields.get(n) is None)
