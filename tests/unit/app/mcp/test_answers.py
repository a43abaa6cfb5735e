"""Answers as text: bounded, masked, visible."""

from __future__ import annotations

from app.mcp.answers import cleaned, text_of

KEY = "ghp_" + "aB3" * 12


def test_text_is_kept_and_all_else_is_described() -> None:
    blocks = [
        {"type": "text", "text": "one"},
        {"type": "image", "data": "A" * 4000, "mimeType": "image/png"},
        {"type": "resource_link", "name": "doc", "uri": "file:///etc/passwd"},
        {"type": "resource", "resource": {"uri": "a://b", "text": "two"}},
        {"type": "resource", "resource": {"uri": "a://c", "blob": "AAAA"}},
        {"type": "video"},
    ]
    told = text_of(blocks, {"ignored": True}, 10_000, ())
    assert told.split("\n") == [
        "one",
        "[image, image/png, 3,000 bytes: left out]",
        "[a link to doc: file:///etc/passwd; not followed]",
        "[a://b]",
        "two",
        "[a://c, not text: left out]",
        "[video: left out]",
    ]


def test_structured_content_counts_where_there_is_no_text() -> None:
    assert '"rows": 3' in text_of([], {"rows": 3}, 1000, ())
    assert text_of([], None, 1000, ()) == "(nothing)"


def test_secrets_are_masked_the_servers_own_and_those_of_known_forms() -> None:
    told = cleaned(f"token my-own-secret and {KEY}", 1000, ("my-own-secret",))
    assert told == "token [secret] and [secret]"
    assert cleaned("a cat", 1000, ("a",)) == "a cat"


def test_a_secret_across_the_cut_does_not_show_its_first_half() -> None:
    told = cleaned("x" * 90 + KEY + "y" * 5000, 100, ())
    assert "ghp_" not in told
    assert told.endswith("characters in all]")


def test_what_masking_makes_shorter_shows_no_half_of_a_secret_either() -> None:
    own = "s3cr3t" * 10
    told = cleaned(f"{own} " * 25 + "y" * 5000, 200, (own,))
    assert "s3cr3t" not in told


def test_what_moves_a_cursor_or_turns_words_is_spelt_out() -> None:
    assert cleaned("a\r\nb\x1b[31m\u202e\u200b", 1000, ()) == "a\nb<U+001B>[31m<U+202E><U+200B>"
