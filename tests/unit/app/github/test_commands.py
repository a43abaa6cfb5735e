"""What comments say to the App."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.github.commands import Command, Mention, Unknown, parse


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
    ],
)
def test_comments_not_addressed_to_the_app_are_ignored(body: str) -> None:
    assert parse(body, "patchwright") is None


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
