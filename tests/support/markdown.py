"""Markdown, as a reader of it sees it."""


def outside_code(markdown: str) -> str:
    """The text without its code blocks."""
    out, fence = [], ""
    for line in markdown.split("\n"):
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = line[: len(line) - len(line.lstrip("`"))]
        else:
            out.append(line)
    return "\n".join(out)
