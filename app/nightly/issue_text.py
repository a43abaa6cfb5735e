"""What an issue's text holds: a stack trace, and what it takes to try what it reports.

Pure, and linear in the text, which is a stranger's. Decided by code and not by a model, so that the
same text gets the same answer, and no words in it can change what is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from typing import Literal

from agent.text.tracebacks import frames

MOST_LOOKED_AT = 200_000
"""Characters; GitHub takes 65,536 in an issue."""

_PYTHON = "Traceback (most recent call last)"
_PYTHON_FRAME = re.compile(r'^\s{0,12}File "[^"\n]{1,400}", line \d{1,7}, in ', re.MULTILINE)
_PYTHON_ERROR = re.compile(r"^[\w.]{1,80}(?:Error|Exception|Warning): ", re.MULTILINE)
_OTHER_FRAMES = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        # Ruby: lib/shop.rb:12:in `total'
        r"^[\s#>]{0,12}(?:from |\[\d+\] )?[^\s:]{1,300}\.rb:\d{1,6}:in ['`]",
        # PHP: #0 /srv/shop.php(12): total()
        r"^[\s>]{0,8}#\d{1,4} [^\s(]{1,300}\.php\(\d{1,6}\)",
        # C#: at Shop.Cart.Total(Int32 n) in /src/Cart.cs:line 12
        r"^\s{0,12}at [\w.`<>+\[\],]{1,300}\([^)\n]{0,400}\)(?: in [^\n]{1,300}:line \d{1,6})?\s*$",
        # C and C++ in gdb, lldb and sanitizers: #0 0x0000 in total (n=1) at cart.c:12
        r"^[\s>*]{0,12}(?:frame )?#\d{1,4}:? {1,4}(?:0x[0-9a-fA-F]{3,16}|[\w:~<>]{2,200} ?\()",
        # JavaScript in browsers: at total (https://shop.example/app.js?x=1:12:3); total@app.js:12:3
        r"^\s{0,20}(?:\d{1,3}\. )?at [^\n(]{0,200}\(?[^\s()]{1,300}:\d{1,7}:\d{1,7}\)?\s*$",
        r"^\s{0,8}[\w$./<>\[\]*]{0,120}@[^\s@]{3,300}:\d{1,7}:\d{1,7}\s*$",
        # TensorFlow and others: @     0x7f tensorflow::Run()
        r"^\s{0,8}@ {1,8}0x[0-9a-fA-F]{6,16} ",
        # Windows: 00007FF shop.dll!total+0x12
        r"^\s{0,12}(?:[0-9a-fA-F`]{8,17} ){0,3}[\w.-]{1,80}(?:\.dll|\.exe)?!"
        r"[\w:~<>.]{2,200}(?:\(|\+0x|$)",
        # Elixir, Erlang: (shop 1.0) lib/cart.ex:12: Shop.total/1
        r"^\s{0,12}(?:\([\w. -]{1,60}\) )?[^\s:]{1,200}\.(?:ex|exs|erl):\d{1,6}: ",
        # Dart and Swift: #0      total (package:shop/cart.dart:12:3)
        r"^#\d{1,4} {2,8}[^\n(]{1,200}\([\w:/.-]{1,200}\.dart:\d{1,6}",
    )
)
_GO = re.compile(r"^(?:goroutine \d{1,9} \[|panic: )", re.MULTILINE)
_RUST = re.compile(
    r"^(?:thread '[^'\n]{0,200}' .{0,20}panicked at |stack backtrace:)", re.MULTILINE
)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)


def has_stack_trace(text: str) -> bool:
    """Whether a text shows a stack trace of a program: at least two of its frames, or its header.

    One frame alone is a compiler's message or a place that somebody names.
    """
    said = _without_comments(text)
    if _PYTHON in said or _GO.search(said) or _RUST.search(said):
        return True
    if _PYTHON_FRAME.search(said) and _PYTHON_ERROR.search(said):  # its header was left out
        return True
    by_language = Counter(frame.language for frame in frames(said))
    if any(count > 1 for count in by_language.values()):
        return True
    return any(_count_to_two(pattern, said) == 2 for pattern in _OTHER_FRAMES)


def _count_to_two(pattern: re.Pattern[str], text: str) -> int:
    return sum(1 for _, _ in zip(range(2), pattern.finditer(text), strict=False))


def _without_comments(text: str) -> str:
    """The text without HTML comments, which are what an issue's template explains."""
    return _COMMENT.sub("", text[:MOST_LOOKED_AT].replace("\r\n", "\n"))


Missing = Literal["steps", "happened", "expected", "version"]
"""What an issue may lack: how to get there, what happens then, what should happen, and where."""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n(.*?)(?:^ {0,3}\1|\Z)", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(
    r"^ {0,3}(?:#{1,6}[ \t]+(?P<a>[^\n]{1,160})|\*\*(?P<b>[^*\n]{2,120})\*\*:?[ \t]*$"
    r"|(?P<c>[A-Z][\w /()'-]{2,60}):[ \t]*$)",
    re.MULTILINE,
)
_NO_ANSWER = re.compile(
    r"(?:_?no response_?|n/?a|none|todo|tbd|null|\.{1,3}|-|\?|\*|\[ ?x?\]|yes|no)\.?", re.IGNORECASE
)
_STEPS_HEADING = re.compile(r"repro|steps|example|code|how to", re.IGNORECASE)
_LINK_TO_CODE = re.compile(
    r"https?://(?:[\w-]{1,60}\.){0,4}(?:codesandbox\.io|stackblitz\.com|jsfiddle\.net|codepen\.io|"
    r"gist\.github\.com|colab\.research\.google\.com|colab\.google|replit\.com|plnkr\.co|jsbin\.com|"
    r"godbolt\.org|play\.[\w.-]{1,60}|github\.com/[\w.-]{1,60}/[\w.-]{1,60}(?:/(?:blob|tree)/\S{1,300})?)"
    r"(?=[/\s)\]]|$)",
    re.IGNORECASE | re.MULTILINE,
)
_LIST_ITEM = re.compile(
    r"^ {0,4}(?:\d{1,2}[.)]|step \d{1,2}:?)[ \t]+\S", re.MULTILINE | re.IGNORECASE
)
_COMMAND = re.compile(
    r"^\s{0,8}(?:\$|>>>|In \[\d+\]:)[ \t]+\S|`[^`\n]{1,80}\([^`\n]{0,200}\)[^`\n]{0,80}`",
    re.MULTILINE,
)
_LONG_CODE = re.compile(r"`[^`]{20,2000}`")
"""A command or a line of code within a sentence."""
_SITUATION = re.compile(
    r"\b(?:when(?:ever)?|if|after|while|once|upon|by|as soon as|every time|start(?:ed|ing)? with)"
    r"\b[ \t]+(?:\w+[ \t]+){0,3}?(?:i|you|we|the|a|an|there|\w{3,}ing)\b",
    re.IGNORECASE,
)
_FAULT = (
    r"errors?|exceptions?|crash\w*|fail\w*|panic\w*|segfault\w*|hang\w*|fr[eo]ez\w*|froze\w*|"
    r"leak\w*|cannot|can'?t|can not|unable|won'?t|doesn'?t|does not|didn'?t|did not|isn'?t|is not|"
    r"no longer|not work\w*|nothing happens|throws?|thrown|raise[sd]?|stuck|broken|breaks?|"
    r"wrong\w*|incorrect\w*|invalid|disappear\w*|lost|missing"
)
_BROKEN = re.compile(rf"\b(?:{_FAULT})\b", re.IGNORECASE)
_HAPPENED = re.compile(
    rf"\b(?:{_FAULT}|return(?:s|ed)?|prints?|printed|outputs?|shows?|display(?:s|ed)?|warn(?:s|ing)|"
    r"instead|aren'?t|are not|never|ignor\w+|duplicat\w+|slow\w*|stops?|stopped|gives?|gets?|"
    r"happens|says|said|result\w*|unexpected\w*|blank|empty|flicker\w*|appears?)\b",
    re.IGNORECASE,
)
_EXPECTED = re.compile(
    r"\b(?:expect\w*|should\w*|supposed|instead|rather than|ought|want\w*|would like|intended|"
    r"correct(?:ly)?|must)\b",
    re.IGNORECASE,
)
_VERSION = re.compile(
    r"(?<![\w.])v?\d{1,4}\.\d{1,6}(?:\.\d{1,6}){0,2}\b|\b[0-9a-f]{7,40}\b"
    r"|\b(?:version|release|build)[ \t:]{1,4}\w{0,12}\d"
    r"|\b(?:latest|nightly|main|master|canary|trunk|HEAD)\b",
)
_MACHINE = re.compile(
    r"<details>\s{0,20}<summary>[^<]{0,40}(?:system info|extensions|experiments|environment)"
    r"[^<]{0,40}</summary>.*?(?:</details>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
"""What a program says of the machine, which shows nothing of what went wrong."""
_LEAST_WORDS = 8
"""Fewer words of one's own say too little to go by, whatever they are."""


def missing(title: str, body: str) -> tuple[Missing, ...]:
    """What has to be known before the report can be tried, and stands nowhere in it.

    Empty where there is enough to go by. A stack trace says what happened, and that it should not;
    a version alone is not worth a question.
    """
    text = _answers(_MACHINE.sub("", _without_comments(body)))
    prose = f"{title}\n{_FENCE.sub(' ', text)}"
    traced = has_stack_trace(body)
    found: list[Missing] = []
    if not (_shows_steps(title, text) or traced):
        found.append("steps")
    if not (traced or _HAPPENED.search(prose) or _has_code(text)):
        found.append("happened")
    if not (traced or _BROKEN.search(prose) or _EXPECTED.search(prose)):
        found.append("expected")
    if not {"steps", "happened"} & set(found):  # what should happen can be told from the rest
        if traced or _has_code(text) or len(prose.split()) >= _LEAST_WORDS:
            return ()
        found = ["steps", *found]
    if not _VERSION.search(f"{title}\n{text}"):
        found.append("version")
    return tuple(found)


def _shows_steps(title: str, text: str) -> bool:
    """Whether a text tells how to get there: code, commands, a list of steps, or the situation."""
    if _has_code(text) or any(
        pattern.search(text) for pattern in (_LINK_TO_CODE, _COMMAND, _LONG_CODE)
    ):
        return True
    if len(_LIST_ITEM.findall(text)) > 1:
        return True
    prose = _FENCE.sub(" ", text)
    answered = any(
        _STEPS_HEADING.search(heading) and len(answer.split()) > 4
        for heading, answer in _sections(text)
    )
    return answered or (len(prose.split()) >= 25 and bool(_SITUATION.search(f"{title}\n{prose}")))


def _has_code(text: str) -> bool:
    return any(found[2].strip() for found in _FENCE.finditer(text))


def _answers(text: str) -> str:
    """The text without the headings of a template under which nothing was written."""
    parts = []
    for heading, answer in _sections(text):
        if heading and (not answer.strip() or _NO_ANSWER.fullmatch(answer.strip())):
            continue
        parts.append(f"{heading}\n{answer}" if heading else answer)
    return "\n".join(parts)


def _sections(text: str) -> Iterator[tuple[str, str]]:
    """Headings with what stands below each; what is before the first one has none."""
    fenced = [found.span() for found in _FENCE.finditer(text)]
    heads = []
    at = 0
    for head in _HEADING.finditer(text):
        while at < len(fenced) and fenced[at][1] <= head.start():
            at += 1
        if at >= len(fenced) or head.start() < fenced[at][0]:  # a comment in code is no heading
            heads.append(head)
    yield "", text[: heads[0].start() if heads else len(text)]
    for here, after in zip_longest(heads, heads[1:]):
        name = here["a"] or here["b"] or here["c"] or ""
        yield f"# {name}", text[here.end() : after.start() if after else len(text)]
