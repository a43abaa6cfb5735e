"""Templates: text with fields in braces, `{{` and `}}` for braces themselves."""

from dataclasses import dataclass


class TemplateError(ValueError):
    """The template cannot be read."""


@dataclass(frozen=True)
class Text:
    value: str


@dataclass(frozen=True)
class Field:
    name: str
    filter: str = ""


def parse(template):
    """Split a template into texts and fields."""
    parts = []
    buffer = ""
    at = 0
    while at < len(template):
        char = template[at]
        if template[at : at + 2] in ("{{", "}}"):
            buffer += char
            at += 2
        elif char == "{":
            end = template.find("}", at)
            if end < 0:
                raise TemplateError(f"unclosed field at {at}")
            if buffer:
                parts.append(Text(buffer))
                buffer = ""
            name, _, filter_name = template[at + 1 : end].partition("|")
            if not name.strip():
                raise TemplateError(f"empty field at {at}")
            parts.append(Field(name.strip(), filter_name.strip()))
            at = end + 1
        elif char == "}":
            raise TemplateError(f"stray brace at {at}")
        else:
            buffer += char
            at += 1
    if buffer:
        parts.append(Text(buffer))
    return parts


def field_names(template):
    return sorted({p.name for p in parse(template) if isinstance(p, Field)})
