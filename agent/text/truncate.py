"""Long outputs cut to head and tail, with the whole kept under a log id."""

from __future__ import annotations

HEAD = 6_000
TAIL = 6_000
LONGEST_LINE = 2_000


def cut(text: str, log_id: str, head: int = HEAD, tail: int = TAIL) -> str:
    """The text as the model sees it: at most `head + tail` characters and a line that says so."""
    lines = text.split("\n")
    if any(len(line) > LONGEST_LINE for line in lines):
        text = "\n".join(_cut_line(line) for line in lines)
    if len(text) <= head + tail:
        return text
    first, last = text[:head], text[-tail:]
    hidden = text[head : len(text) - tail]
    note = (
        f"\n[… {len(hidden)} characters, {hidden.count(chr(10))} lines left out; "
        f"the whole is log {log_id}: use the log tool …]\n"
    )
    return first + note + last


def _cut_line(line: str) -> str:
    if len(line) <= LONGEST_LINE:
        return line
    kept = LONGEST_LINE // 2
    return f"{line[:kept]}[… {len(line) - 2 * kept} characters …]{line[-kept:]}"


def log_id_of(call_id: str) -> str:
    """The id under which a call's whole output is kept: `functions.bash:12` → `bash:12`."""
    return call_id.removeprefix("functions.")
