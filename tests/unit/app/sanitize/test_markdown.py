"""Text that is quoted on GitHub: properties that hold for every text, and the known tricks."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from app.sanitize.markdown import (
    COMMENT_LIMIT,
    GAP,
    Markdown,
    code,
    commit_text,
    fenced,
    fit,
    inline,
    prose,
    title_text,
    units,
    visible,
)

BITS = st.sampled_from(
    [
        *"@#`~<>[]()!\\|&*_$-+=:/. \n\t\r\x1b\x00\u202e\u200b",
        "```",
        "~~~",
        "````",
        "@octocat",
        "@org/team",
        "#1",
        "o/r#12",
        "GH-7",
        "fixes #3",
        "https://e.example/?d=s",
        "HTTPS://E.example",
        "www.e.example",
        "mailto:a@b.c",
        "![x](https://e.example/i.png)",
        "[x](javascript:alert(1))",
        "[r]: https://e.example",
        "<img src=x onerror=y>",
        "<!--",
        "-->",
        "</details>",
        "<details>",
        "&#64;octocat",
        "&lt;",
        "\\@octocat",
        "    ",
        "- ",
        "1. ",
        "# ",
        "> ",
        "a",
        "é",
        "\U0001f600",
    ]
)
HOSTILE = st.one_of(st.lists(BITS, max_size=40).map("".join), st.text(max_size=200))
GFM = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
CLOSES = re.compile(r"(?:#|\bGH-)\d", re.IGNORECASE)


def live(markdown: str) -> tuple[str, list[str]]:
    """The text that GitHub would look at for mentions and the like, and the kinds of all parts."""
    words, kinds = [], []
    for token in GFM.parse(markdown):
        kinds.append(token.type)
        for child in token.children or []:
            kinds.append(child.type)
            if child.type in ("text", "text_special"):
                words.append(child.content)
            elif child.type in ("softbreak", "hardbreak", "code_inline"):
                words.append("\n")
        if token.type == "inline":
            words.append("\n")
    return "".join(words), kinds


def assert_inert(markdown: str) -> None:
    text, kinds = live(markdown)
    assert not {"html_block", "html_inline", "image", "link_open"} & set(kinds)
    assert not re.search(r"@[^\s@\u200b]", text), text
    assert not CLOSES.search(text), text
    assert not re.search(r"(?:[a-z]+://|www\.)[^\s]", text, re.IGNORECASE), text


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_prose_is_inert_whatever_comes(text: str) -> None:
    assert_inert(prose(text))


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_a_line_is_inert_and_stays_one_line(text: str) -> None:
    line = inline(text)
    assert "\n" not in line
    assert_inert(line)
    assert_inert(f"x {code(text)} y")


@pytest.mark.parametrize("text", ["@`octo|x`", "`x|@`octo", "#`1|x`", "`x|#`1", "fixes #`1|`"])
def test_code_with_a_bar_makes_no_reference_with_what_stands_beside_it(text: str) -> None:
    assert_inert(inline(text))
    assert_inert(prose(text))


@settings(max_examples=200, deadline=None)
@given(HOSTILE, HOSTILE)
def test_a_cell_never_breaks_its_table(one: str, two: str) -> None:
    table = f"| a | b |\n|---|---|\n| {inline(one)} | {inline(two)} |\n| {code(one)} | end |"
    tokens = GFM.parse(table)
    rows = [t for t in tokens if t.type == "tr_open"]
    cells = [t for t in tokens if t.type == "td_open"]
    assert (len(rows), len(cells)) == (3, 4)
    assert tokens[-1].type == "table_close"
    assert "|" not in inline(one)


@settings(max_examples=300, deadline=None)
@given(HOSTILE, HOSTILE)
def test_nothing_inside_a_code_block_ends_it(text: str, after: str) -> None:
    tokens = [t for t in GFM.parse(f"{fenced(text)}\nafter\n") if t.type != "paragraph_close"]
    assert [t.type for t in tokens] == ["fence", "paragraph_open", "inline"]
    assert tokens[-1].content == "after"


@settings(max_examples=200, deadline=None)
@given(HOSTILE)
def test_what_follows_prose_is_never_swallowed(text: str) -> None:
    tokens = GFM.parse(f"{prose(text)}\n\n## Ours\n")
    assert [t.content for t in tokens[-3:]] == ["", "Ours", ""]
    assert tokens[-3].type == "heading_open"


@settings(max_examples=300, deadline=None)
@given(HOSTILE)
def test_a_commit_message_pings_closes_and_skips_nothing(text: str) -> None:
    message = commit_text(text)
    assert not re.search(r"@[^\s@\u200b]", message)
    assert not CLOSES.search(message)
    assert "://" not in message
    assert not re.search(r"^[A-Za-z]\w*-\w+:", message, re.MULTILINE)
    assert "\n" not in title_text(text)


@settings(max_examples=200, deadline=None)
@given(HOSTILE)
def test_unseen_characters_are_shown(text: str) -> None:
    shown = visible(text)
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", shown
    )


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 3000), st.sampled_from(["`", "~", "\U0001f600", "x\n", "```\n", "<details>\n"])
)
def test_a_body_fits_and_closes_what_it_opened(times: int, bit: str) -> None:
    body = f"intro\n{fenced(bit * times, limit=50_000)}\n" * 12
    cut = fit(body)
    assert units(cut) <= COMMENT_LIMIT
    if cut != body:
        assert cut.endswith("run's page)")
        assert GFM.parse(cut)[-2].type == "inline"


def test_closing_folds_when_cut() -> None:
    body = "<details>\n<summary>x</summary>\n\n" + fenced("line\n" * 20_000, limit=200_000)
    cut = fit(body)
    lines = cut.split("\n")
    assert lines[-3] == "</details>"
    assert lines[-5] == "```"
    assert fit("short") == "short"


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("@octocat", f"@{GAP}octocat"),
        ("fixes #3", f"fixes #{GAP}3"),
        ("Closes o/r#12", f"Closes o/r#{GAP}12"),
        ("resolves GH-9", f"resolves GH-{GAP}9"),
        ("see https://e.example/x", "see `https://e.example/x`"),
        ("<b>", "&lt;b&gt;"),
        ("&#64;octocat", f"&amp;#{GAP}64;octocat"),
        ("![i](u)", "\\!\\[i\\](u)"),
        ("call `f(x)` now", "call `f(x)` now"),
        ("`` a`b ``", "``a`b``"),
        ("a|b", "a&#124;b"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("a\u202eb", "a&lt;U+202E&gt;b"),
        ("\x1b]8;;http://e.example\x07text\x1b]8;;\x07", "text"),
    ],
)
def test_known_tricks_in_a_line(given: str, safe: str) -> None:
    assert inline(given) == safe


def test_prose_keeps_what_is_harmless() -> None:
    text = "Cause:\n\n- one `a[0]`\n2. two\n\n~~~py\nx = '```'\n~~~\n## Next"
    assert prose(text) == (
        "Cause:\n\n- one `a[0]`\n2. two\n\n\n````py\nx = '```'\n````\n\n**Next**"
    )


@pytest.mark.parametrize(
    "name",
    [
        "suggestion",
        "Suggestion",
        "mermaid",
        "math",
        "geojson",
        "topojson",
        "stl",
        "suggestion:-0+1",
    ],
)
def test_no_block_is_more_than_text(name: str) -> None:
    for mark in ("```", "~~~~"):
        assert prose(f"x\n{mark}{name}\nevil()\n{mark}") == "x\n\n```\nevil()\n```\n"
        assert prose(f"x\n{mark} {name} js\nevil()") == "x\n\n```\nevil()\n```\n"
    assert fenced("evil()", name) == "\n```\nevil()\n```\n"


@pytest.mark.parametrize("name", ["py", "Python", "c++", "C#", "yaml", "sh", "diff"])
def test_code_keeps_its_language(name: str) -> None:
    assert f"```{name}\n" in prose(f"~~~{name}\nx\n~~~")


@pytest.mark.parametrize("quote", [inline, prose, fenced, code, commit_text, title_text])
def test_tokens_do_not_leave(quote: Callable[[str], str]) -> None:
    token = "ghs_" + "a1B2" * 9
    assert "a1B2" not in quote(f"push with {token} failed")
    assert "a1B2" not in quote(f"push with gh\x1b[0ms_{'a1B2' * 9} failed")


def test_long_output_keeps_its_end() -> None:
    text = "\n".join(str(n) for n in range(5000))
    cut = fenced(text, limit=1000)
    assert "characters left out" in cut
    assert cut.rstrip().endswith("4999\n```")
    assert len(cut) < 1200


@pytest.mark.parametrize(
    "line",
    ["Co-authored-by: Eve <eve@e.example>", "Signed-off-by: Eve <e>", "---", "diff --git a/x b/x"],
)
def test_a_commit_message_has_no_line_with_a_meaning(line: str) -> None:
    assert line not in commit_text(f"first\n{line}\nlast").split("\n")


@pytest.mark.parametrize("mark", ["[skip ci]", "[CI skip]", "[no ci]", "[skip actions]"])
def test_no_text_stops_the_workflows_of_others(mark: str) -> None:
    assert mark not in commit_text(f"x {mark}")
    assert mark not in title_text(f"x {mark}")


def test_marked_text_is_still_a_string() -> None:
    assert isinstance(prose("x"), Markdown)
    assert inline(None) == "None"
