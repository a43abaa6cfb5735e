"""What code reads out of an issue's text: whether it has a stack trace, and what it lacks."""

from __future__ import annotations

import time

import pytest

from app.nightly.issue_text import has_stack_trace, missing

PYTHON = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nKeyError: 1'
TRACES = {
    "python": PYTHON,
    "python without its header": '  File "a.py", line 44, in f\nAttributeError: no face',
    "javascript": "TypeError: x\n    at total (src/cart.js:4:3)\n    at main (src/a.js:1:1)",
    "browser": "total@https://shop.test/app.js:1:2\nmain@https://shop.test/app.js:3:4",
    "java": "java.lang.Error\n\tat a.B.c(B.java:3)\n\tat a.B.d(B.java:9)",
    "go": "panic: nil map\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:3 +0x1d",
    "rust": "thread 'main' panicked at src/a.rs:3:4:\nindex out of bounds",
    "ruby": "cart.rb:3:in `total': nil (NoMethodError)\n\tfrom cart.rb:9:in `main'",
    "php": "PHP Fatal error\n#0 /srv/cart.php(3): total()\n#1 /srv/a.php(4): main()",
    "c#": "System.Error\n   at Shop.Cart.Total(Int32 n) in /a.cs:line 3\n   at Shop.Main()",
    "gdb": "#0  0x00007f3a in total (n=1) at cart.c:3\n#1  0x00005555 in main () at cart.c:9",
    "sanitizer": "    #0 0x4f3 in total /a.c:3:4\n    #1 0x5f3 in main /a.c:9:1",
    "dart": "#0      total (package:shop/cart.dart:3:4)\n#1      main (package:shop/a.dart:1:1)",
}
NONE = {
    "a place": "The loop in `src/cart.js:4:3` is wrong.",
    "a compiler's message": "src/a.rs:3:4: error: expected `;`",
    "one frame": "    at total (src/cart.js:4:3)",
    "a list": "1. at home\n2. at work (10:30:00)",
    "only a template's comment": f"<!-- {PYTHON} -->\nIt is slow.",
    "a log": "2026-11-28T10:00:00Z INFO started\n2026-11-28T10:00:01Z INFO stopped",
}


@pytest.mark.parametrize("name", TRACES)
def test_stack_traces_of_many_languages(name: str) -> None:
    assert has_stack_trace(f"It crashed:\n```\n{TRACES[name]}\n```\n")


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_stack_trace(name: str) -> None:
    assert not has_stack_trace(NONE[name])


TEMPLATE = """\
### Steps to reproduce
<!-- How do we get there? -->
_No response_

### Expected behaviour

### Version
_No response_
"""


@pytest.mark.parametrize(
    ("title", "body", "lacks"),
    [
        ("It does not work", "Please fix", ("steps", "version")),
        ("Help", "", ("steps", "happened", "expected", "version")),
        ("Login broken", TEMPLATE, ("steps", "version")),
        ("Login broken", TEMPLATE.replace("Version\n_No response_", "Version\n1.2.3"), ("steps",)),
        ("Total is wrong", "`total([])` returns 1 instead of 0", ()),
        ("Crash", f"```\n{PYTHON}\n```", ()),
        ("Crash", "1. Open the cart\n2. Remove all items\n\nThe page is blank.", ()),
        ("Bug", "```python\ntotal([])\n```\nprints 1, should be 0", ()),
        (
            "Bug",
            "See https://codesandbox.io/s/abc123 : the list there should not be empty.",
            (),
        ),
    ],
)
def test_what_an_issue_lacks(title: str, body: str, lacks: tuple[str, ...]) -> None:
    assert missing(title, body) == lacks


@pytest.mark.parametrize(
    "text",
    [
        "a" * 65_536,
        "## " * 20_000,
        "```\n" * 16_000,
        "<!--" * 16_000,
        "    at " * 9_000,
        "#0 0x" * 12_000,
        " ." * 30_000,
        "`f(" * 20_000,
        "when " * 13_000,
        "@ " * 30_000,
    ],
)
def test_hostile_texts_are_read_at_once(text: str) -> None:
    begun = time.monotonic()
    has_stack_trace(text)
    missing(text[:200], text)
    assert time.monotonic() - begun < 2
