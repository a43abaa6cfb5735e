"""What comments say to the App."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.github.commands import (
    Command,
    Mention,
    Unknown,
    answer_in,
    asked_budget,
    parse,
    plain_answer,
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("/patchwright fix", Command("fix")),
        ("  /Patchwright FIX  look at `a > b` ", Command("fix", "look at `a > b`")),
        ("I saw it too.\r\n\r\n/patchwright stop\r\nthanks", Command("stop", "thanks")),
        (
            "/patchwright hint one\ntwo\n```\nthree\n```",
            Command("hint", "one\ntwo\n```\nthree\n```"),
        ),
        ("/patchwright retry", Command("retry")),
        ("/patchwright publish", Command("publish")),
        ("/patchwright explain", Command("explain")),
        ("/patchwright", Command("help")),
        ("/patchwright help", Command("help")),
        ("/patchwright fixx", Unknown("fixx")),
        ("/patchwright\nfix", Command("fix")),
        ("@patchwright fix it soon", Command("fix", "it soon", mentioned=True)),
        ("@patchwright: stop", Command("stop", "", mentioned=True)),
        ("@patchwright[bot] explain", Command("explain", "", mentioned=True)),
        ("@patchwright keep", Command("keep", "", mentioned=True)),
        ("@patchwright keep this open, please!", Command("keep", "this open, please!", True)),
        ("/patchwright keep it for Anna", Command("keep", "it for Anna")),
        ("@patchwright keep the old name", Mention("keep the old name")),
        ("@patchwright reopen the file if it moved", Mention("reopen the file if it moved")),
        ("@patchwright please look at this", Mention("please look at this")),
        ("Could @Patchwright, do that?", Mention("Could do that?")),
        ("Thanks @patchwright stop", Mention("Thanks stop")),
        ("(@patchwright)", Mention("()")),
        ("Ask @patchwright.", Mention("Ask .")),
    ],
)
def test_comments_addressed_to_the_app_are_parsed(body: str, said: object) -> None:
    assert parse(body, "patchwright") == said


@pytest.mark.parametrize(
    "body",
    [
        "",
        "It breaks.",
        "> /patchwright fix",
        ">> @patchwright fix",
        "```\n/patchwright fix\n```",
        "~~~\n/patchwright fix\n",
        "`/patchwright fix`",
        "Say ``@patchwright fix`` to it",
        "    /patchwright fix",
        "<!-- /patchwright fix -->",
        "<!--\n/patchwright fix\n",
        "see /patchwright fix",
        "/patchwrighter fix",
        "/patchwright-two fix",
        "/other fix",
        "mail me@patchwright.com",
        "@patchwright-fan hello",
        "@patchwright/team hello",
        "@patchwright.io",
        "https://example.org/@patchwright",
        "@@patchwright",
        # Code, quotes and unseen text in other forms.
        "- ```\n  /patchwright fix\n  ```",
        "1. ~~~sh\n   /patchwright stop\n   ~~~",
        "- a\n  - ```\n    x\n  /patchwrighter\n    @patchwright stop\n",
        "- ```\ntext\n```\n/patchwright fix\n```",
        "```a`\n```\n/patchwright fix\n```",
        "```\n      ```\n/patchwright fix\n```",
        "1. > @patchwright stop",
        "`a\n/patchwright fix\nb`",
        "\\``@patchwright stop`",
        "`a\n<!-- `\n/patchwright fix\n-->",
        "`<a b`c>` @patchwright stop `",
        "<pre>\n/patchwright fix\n</pre>",
        "<PRE lang=a>@patchwright stop</PRE >",
        "<blockquote>\n\n/patchwright fix\n\n</blockquote>",
        "<?php\n/patchwright fix\n?>",
        "<![CDATA[\n/patchwright fix\n]]>",
        "<a title='\n/patchwright fix\n'>x</a>",
        "[//]: # (\n/patchwright fix\n)",
    ],
)
def test_comments_not_addressed_to_the_app_are_ignored(body: str) -> None:
    assert parse(body, "patchwright") is None


@pytest.mark.parametrize(
    "body",
    [
        "The <code> is wrong, and `this.\n\n/patchwright fix",
        "- one\n- ```\n  x\n  ```\n\n/patchwright fix",
        "```\n<!--\n```\n/patchwright fix",
        "> said\n\n</details>\n/patchwright fix",
    ],
)
def test_words_after_code_and_quotes_are_the_authors_own(body: str) -> None:
    assert parse(body, "patchwright") == Command("fix")


@pytest.mark.parametrize(
    "piece",
    ["`{}a", "<code>", "<!--", "<a ", "<", "[a]:", "- ", "\\`", "```\n", "- ```\n", "\n", "> "],
)
def test_a_strangers_comment_takes_no_time(piece: str) -> None:
    runs = "".join(piece.replace("{}", "`" * (n % 300)) for n in range(65_000 // len(piece)))
    begun = time.process_time()
    parse(f"{runs[:65_000]} patchwright", "patchwright")
    assert time.process_time() - begun < 1


def test_a_long_hint_is_cut() -> None:
    said = parse("/patchwright hint " + "x" * 100_000, "patchwright")
    assert isinstance(said, Command)
    assert len(said.text) == 8000


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "/patchwright",
                "@patchwright",
                " ",
                "\n",
                "`",
                "```",
                ">",
                "<!--",
                "-->",
                "fix",
                "é",
                "\r",
            ]
        ),
        max_size=25,
    )
)
def test_any_text_is_read(parts: list[str]) -> None:
    body = "".join(parts)
    said = parse(body, "patchwright")
    assert said is None or isinstance(said, Command | Unknown | Mention)
    if "patchwright" not in body:
        assert said is None
    quoted = "\n".join(f"> {line}" for line in body.replace("\r", "\n").split("\n"))
    assert parse(quoted, "patchwright") is None, "quoting never commands"


OPTIONS = ("An error", "A free article, as before.")


@pytest.mark.parametrize(
    ("body", "option"),
    [
        ("2", 2),
        (" 1. ", 1),
        ("#2", 2),
        ("Option 2", 2),
        ("option #1!", 1),
        ("an  ERROR", 1),
        ("A free article, as before", 2),
        ("3", 0),
        ("0", 0),
        ("12", 0),
        ("", 0),
        ("2 or 1", 0),
        ("> 2", 0),
        ("`2`", 0),
        ("2\n\n> 1", 0),
        ("<!-- x -->2", 0),
        ("an error, I think", 0),
        ("2" + " " * 300 + "!", 0),
    ],
)
def test_a_comment_is_an_answer_if_it_is_nothing_else(body: str, option: int) -> None:
    assert plain_answer(body, OPTIONS) == option


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2", (2, "")),
        ("2 as in the docs", (2, "as in the docs")),
        ("1: because", (1, "because")),
        ("an error", (1, "")),
        ("an error because", (0, "error because")),
        ("7", (0, "")),
        ("", (0, "")),
    ],
)
def test_the_words_of_an_answer(text: str, said: tuple[int, str]) -> None:
    assert answer_in(text, OPTIONS) == said


@pytest.mark.parametrize(
    ("text", "budget", "others"),
    [
        ("budget=5 look at cart.py", "5", "look at cart.py"),
        ("budget=5", "5", ""),
        ("Budget=2,50\nmore", "2,50", "more"),
        ("budget=", "", ""),
        ("look at budget=5", None, "look at budget=5"),
        ("budget = 5", None, "budget = 5"),
        ("budgets=5", None, "budgets=5"),
        ("", None, ""),
    ],
)
def test_a_budget_stands_right_after_the_command(
    text: str, budget: str | None, others: str
) -> None:
    assert asked_budget(text) == (budget, others)
