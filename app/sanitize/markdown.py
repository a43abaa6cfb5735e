"""Untrusted text made safe to be in GitHub's Markdown and in commit messages.

Text of models, issues and sandboxes must not ping people, close or cross-reference issues, bring
HTML, images or links, break out of a code block, or hide itself behind control characters. The
way: every character with a meaning is escaped, and what may have a meaning (code spans, code
blocks, lists) is rewritten from its content. So nothing depends on reading the input as GitHub
would. Facts: CommonMark 0.31, GitHub Flavored Markdown 0.29, GitHub's pages on mentions, closing
keywords and skipping workflow runs.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from agent.text.visible import FILLERS, REPEATED
from app.sanitize.secret_scan import mask, mask_end, mask_start
from app.telemetry.logs import LONGEST_KEY

COMMENT_LIMIT = 65_536
"""Longest body that GitHub takes, in UTF-16 code units (the narrowest reading of its limit)."""

GAP = "\u200b"
"""Zero-width space: between `@` and a name it stops the mention and leaves the text readable."""

_MARGIN = 2 * LONGEST_KEY
"""Characters beyond those shown that are searched for secrets, too; not what comes after them."""

CUT_NOTE = "… (truncated; the full text is on the run's page)"


class Markdown(str):
    """Text that is safe Markdown already: made here, or a template's own."""

    __slots__ = ()


_TERMINAL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, hyperlinks
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|[\x1b\x9b]\[?[0-?]*[ -/]*[@-~]"  # CSI and two-byte escapes
)
_REFERENCE = re.compile(r"#(?=\d)|(?<![A-Za-z0-9])(?:GH|gh|Gh|gH)-(?=\d)")
_MENTION = re.compile(r"@(?=[^\s@])")
_URL = re.compile(r"(?:[a-z][a-z0-9+.-]{1,20}://|www\.|mailto:|xmpp:)[^\s<>`|]*", re.IGNORECASE)
_CODE = re.compile(r"(?<!`)(`+)(?!`)([^\n]+?)(?<!`)\1(?!`)")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})[ \t]*([A-Za-z0-9_+#.-]{0,20})[^`]*$")
_LIST = re.compile(r"(\s{0,8})([-*+]|\d{1,3}[.)])\s+(?=\S)")
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+(.*?)\s*#*$")
_LANGUAGES = frozenset(
    {
        "bash",
        "c",
        "c#",
        "c++",
        "console",
        "cpp",
        "csharp",
        "css",
        "diff",
        "dockerfile",
        "go",
        "html",
        "ini",
        "java",
        "javascript",
        "js",
        "json",
        "jsx",
        "kotlin",
        "makefile",
        "php",
        "py",
        "python",
        "rb",
        "ruby",
        "rust",
        "scala",
        "sh",
        "shell",
        "sql",
        "swift",
        "text",
        "toml",
        "ts",
        "tsx",
        "typescript",
        "xml",
        "yaml",
        "yml",
    }
)
"""What a code block may be called. GitHub draws others (mermaid, geojson) or, at a suggestion,
offers everybody a button that commits its text."""
_SPECIAL = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        "|": "&#124;",
        "\\": "\\\\",
        "`": "\\`",
        "[": "\\[",
        "]": "\\]",
        "!": "\\!",
        "_": "\\_",
        "*": "\\*",
        "~": "\\~",
        "$": "\\$",
    }
)


def visible(text: str, limit: int = 0) -> str:
    """Text without terminal escapes, with control, bidi and other unseen characters spelt out.

    Secrets are taken out: every untrusted text passes here. With a limit, of which there is to be
    shown not more, a much longer text may lack its end, with a sign that it does.
    """
    text = _strip_escapes(text)
    if limit and len(text) > limit + _MARGIN:
        return _spell_out(mask_start(text, limit + _MARGIN)) + " …"
    return _spell_out(mask(text))


def _strip_escapes(text: str) -> str:
    return _TERMINAL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _spell_out(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    text = _FILLER.sub(lambda run: "".join(f"<U+{ord(c):04X}>" for c in run[0]), text)
    return "".join(c if _is_visible(c) else f"<U+{ord(c):04X}>" for c in text)


_FILLER = re.compile(f"[{FILLERS}]|{REPEATED}")


def _is_visible(char: str) -> bool:
    if char in "\n\t":
        return True
    # Cc control, Cf format (bidi, zero-width, tags), Cs surrogate, Co private, Zl/Zp separators.
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters, with a sign that something is left out."""
    return text if len(text) <= limit else text[: max(0, limit - 2)].rstrip() + " …"


def head_and_tail(text: str, limit: int) -> str:
    """At most about `limit` characters of an output: its beginning and, more of, its end.

    They are visible and without secrets, as by `visible`.
    """
    text = _strip_escapes(text).strip("\n")
    looked_at = limit + _MARGIN
    if len(text) <= 2 * looked_at:
        first = last = _spell_out(mask(text))
        if len(first) <= limit:
            return first
    else:
        first, last = _spell_out(mask_start(text, looked_at)), _spell_out(mask_end(text, looked_at))
    head = limit // 3
    tail = limit - head
    left_out = max(len(text), len(first)) - limit
    return f"{first[:head]}\n… {left_out} characters left out …\n{last[-tail:]}"


def inline(text: object, limit: int = 300) -> Markdown:
    """One line of untrusted text: for a sentence, a list item or a cell of a table."""
    flat = " ".join(visible(str(text), limit).split())
    return Markdown(_spans(shorten(flat, limit)))


def prose(text: object, limit: int = 6000) -> Markdown:
    """Paragraphs of untrusted text; its code spans, code blocks and lists are kept."""
    out: list[str] = []
    block: list[str] | None = None
    closing = language = ""
    for line in shorten(visible(str(text), limit).strip(), limit).split("\n"):
        if block is not None:
            if line.strip().startswith(closing) and not line.strip().strip(closing[0]):
                out.append(fenced("\n".join(block), language, limit))
                block = None
            else:
                block.append(line)
        elif fence := _FENCE.match(line):
            closing, language, block = fence[1], fence[2], []
        else:
            out.append(_line(line))
    if block is not None:
        out.append(fenced("\n".join(block), language, limit))
    return Markdown("\n".join(out))


def fenced(text: object, language: str = "", limit: int = 4000) -> Markdown:
    """Untrusted text as a code block that nothing inside can end."""
    body = head_and_tail(str(text), limit)
    longest = max((len(run) for run in re.findall("`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    name = language if language.lower() in _LANGUAGES else ""
    # Blank lines around it, so that it is a block wherever it stands.
    return Markdown(f"\n{fence}{name}\n{body}\n{fence}\n")


def code(text: object, limit: int = 300) -> Markdown:
    """One line of untrusted text as a code span. With a `|` in it, plain text (for tables)."""
    flat = shorten(" ".join(visible(str(text), limit).split()), limit)
    return Markdown(_code_span(flat))


def commit_text(text: object, limit: int = 4000) -> str:
    """Untrusted text for a commit message: no mention, reference, trailer or skip mark."""
    clean = visible(str(text), limit).replace("\t", " ").strip()
    clean = shorten(clean, limit).replace("://", f":{GAP}//")
    clean = re.sub(
        r"\[(?=(?:skip|ci|no|actions)[ -](?:ci|skip|actions)\])", f"[{GAP}", clean, flags=re.I
    )
    # A line like "Co-authored-by: …" would be taken for a trailer; "---" and "diff" end a message
    # when it travels as mail.
    clean = re.sub(r"^(?=[A-Za-z][\w-]*-[\w-]+:|---|diff |Index: )", "| ", clean, flags=re.M)
    return _break_references(clean)


def title_text(text: object, limit: int = 120) -> str:
    """One line of untrusted text for a title or a commit's subject (no Markdown there)."""
    flat = " ".join(commit_text(text, limit * 4).split())
    return shorten(flat, limit)


def fit(markdown: str, limit: int = COMMENT_LIMIT, size: Callable[[str], int] | None = None) -> str:
    """A whole body within GitHub's limit: cut between lines, open blocks closed, with a note.

    `size` measures it; without one, in UTF-16 code units.
    """
    size = size or units
    if size(markdown) <= limit:
        return markdown
    room = limit - size(CUT_NOTE) - 200
    kept: list[str] = []
    used = 0
    for line in markdown.split("\n"):
        used += size(line) + 1
        if used > room:
            break
        kept.append(line)
    fence = ""
    folds = 0
    for line in kept:
        if fence:
            fence = "" if line == fence else fence
        elif opened := re.match(r"`{3,}", line):
            fence = opened[0]
        else:
            folds += line.count("<details>") - line.count("</details>")
    if len(fence) > 100:  # closing it would take the room; leave the whole block out
        del kept[max(i for i, line in enumerate(kept) if line.startswith(fence)) :]
        fence = ""
    closing = [fence] if fence else []
    return "\n".join([*kept, *closing, *["", "</details>"] * min(folds, 5), "", CUT_NOTE])


def units(text: str) -> int:
    """Length in UTF-16 code units."""
    return len(text) + sum(1 for c in text if ord(c) > 0xFFFF)


def octets(text: str) -> int:
    """Length in bytes of UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def without_links(markdown: str) -> str:
    """A maintainer's own Markdown as it is, but without pings, references and secrets."""
    return _break_references(mask(markdown))


def _line(line: str) -> str:
    if heading := _HEADING.fullmatch(line):
        return f"**{_spans(heading[1])}**" if heading[1] else ""
    if item := _LIST.match(line):
        mark = "-" if item[2] in "-*+" else item[2]
        indent = " " * len(item[1].expandtabs(4))
        return f"{indent}{mark} {_spans(line[item.end() :])}"
    # Less than four columns: more would make a code block, in which escapes show.
    return _spans(line.strip())


def _spans(text: str) -> str:
    """Code spans as code, addresses as code (so they are no links), everything else escaped."""
    out = []
    at = 0
    for match in _CODE.finditer(text):
        out += [_escape_outside_code(text[at : match.start()]), _code_span(match[2])]
        at = match.end()
    return _join_pieces([*out, _escape_outside_code(text[at:])])


def _escape_outside_code(text: str) -> str:
    out = []
    at = 0
    for match in _URL.finditer(text):
        out += [_escape(text[at : match.start()]), _code_span(match[0])]
        at = match.end()
    return _join_pieces([*out, _escape(text[at:])])


def _join_pieces(pieces: list[str]) -> str:
    """The pieces in one, kept apart where two runs of backticks would become one."""
    out = ""
    for piece in pieces:
        out += GAP + piece if out.endswith("`") and piece.startswith("`") else piece
    return out


def _code_span(content: str) -> str:
    content = content.strip()
    if not content:
        return ""
    if "|" in content:
        # No code span any more, so that what stands beside it could make a mention with it.
        text = _escape(content.replace("://", f":{GAP}//").replace("www.", f"www{GAP}."))
        return f"{GAP}{text}{GAP}"
    longest = max((len(run) for run in re.findall("`+", content)), default=0)
    ticks = "`" * (longest + 1)
    pad = " " if content[0] == "`" or content[-1] == "`" else ""
    return f"{ticks}{pad}{content}{pad}{ticks}"


def _escape(text: str) -> str:
    return _break_references(text).translate(_SPECIAL)


def _break_references(text: str) -> str:
    """Mentions and references that are none any more."""
    text = _MENTION.sub(f"@{GAP}", text)
    return _REFERENCE.sub(lambda match: match[0] + GAP, text)
