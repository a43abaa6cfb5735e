"""Secrets are masked in whatever leaves, and ordinary text is left alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.sanitize import markdown, secret_scan
from app.sanitize.markdown import code, commit_text, fenced, inline, prose, title_text
from app.sanitize.secret_scan import mask, mask_all, new_secrets
from app.telemetry.logs import LONGEST_KEY, redact
from tests.doubles.gate_case import patch

AWS = "AKIA" + "IOSFODNN7EXAMPLE"
SECRETS = [
    AWS,
    "ghp_" + "aB3d" * 9,
    "ghs_" + "aB3d" * 12,
    "github_pat_" + "aB3d" * 20,
    "glpat-" + "aB3d" * 5,
    "xoxb-123456789012-123456789012-" + "aB3d" * 6,
    "sk_live_" + "aB3d" * 6,
    "SG." + "a" * 22 + "." + "b" * 43,
    "12345678:" + "Ab_-3" * 7,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQss",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc=\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_is_masked_wherever_it_stands(secret: str) -> None:
    for text in (secret, f"key = '{secret}';", f"a\n\n  {secret}  \nb"):
        masked = mask(text)
        assert "[secret]" in masked
        assert not any(line in masked for line in secret.split("\n") if len(line) > 8)
    for way in (inline, prose, fenced, commit_text, title_text):
        assert secret.split("\n")[0] not in way(f"the key is {secret} here")


def test_only_the_password_is_removed_from_a_url() -> None:
    assert mask("postgres://app:hunter2@db/x") == "postgres://app:[secret]@db/x"
    for placeholder in ("${PASSWORD}", "<password>", "{password}", "****", "$PW"):
        assert mask(f"http://u:{placeholder}@h") == f"http://u:{placeholder}@h"


@pytest.mark.parametrize(
    "text",
    [
        "commit 9f8e7d6c5b4a39281706f5e4d3c2b1a098765432",
        "sha256:" + "0123456789abcdef" * 4,
        "def password_of(user): return user.password",
        "token = request.headers['Authorization']",
        "assert total([]) == 0  # see #7, http://127.0.0.1:8080/runs/ab12",
        "npm install //registry/pkg",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert mask(text) == text


def test_the_projects_own_code_has_no_holes() -> None:
    for path in sorted((Path(__file__).parents[4] / "agent").glob("*.py")):
        text = path.read_text()
        assert mask(text) == text, path


@given(st.text(), st.sampled_from(SECRETS), st.text())
def test_masking_again_changes_nothing(before: str, secret: str, after: str) -> None:
    once = mask(f"{before} {secret} {after}")
    assert mask(once) == once
    assert secret not in once


def test_a_secret_on_a_very_long_line_is_found_wherever_it_lies() -> None:
    for place in range(3400, 4100, 7):
        text = "x " * (place // 2) + AWS + " y" * 3000
        assert AWS not in mask(text), place


KEY_BEGIN, KEY_END = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
KEY = "\n".join([KEY_BEGIN, *["MIIEvQIBADAN" * 5] * 20])


def test_a_key_without_its_end_is_masked_and_a_beginning_alone_is_not() -> None:
    assert mask(f"read: {KEY}\nthen failed: x") == "read: [secret] failed: x" or "MII" not in mask(
        KEY
    )
    assert mask(KEY.replace("\n", "\\n")) == "[secret]"
    named = "a file begins with -----BEGIN PRIVATE KEY----- and ends\n" + "fine\n" * 5000
    assert mask(f"{named}{SECRETS[-1]}") == f"{named}[secret]"


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "bit",
    [
        "-----BEGIN PRIVATE KEY-----\n",
        "-----BEGIN ",
        "-----END PRIVATE KEY-----",
        "x-access-token:",
    ],
)
def test_many_beginnings_of_secrets_take_no_square_of_time(bit: str) -> None:
    text = bit * (2_000_000 // len(bit))
    assert redact(text) == text


LIMIT = 300
QUOTES = {way.__name__: way for way in (inline, prose, fenced, code, commit_text)}


QUOTED_KEY = '"\n + "'.join([KEY_BEGIN, *["BAAKCAQEA" * 4] * 40, KEY_END])


def keys(size: int) -> str:
    """Private keys of so many characters in all, of which masking leaves next to nothing."""
    head, foot = f"{KEY_BEGIN}\n", f"\n{KEY_END}\n"
    sizes = [size // 3, size // 3, size - 2 * (size // 3)]
    return "".join(head + "A" * (n - len(head) - len(foot)) + foot for n in sizes)


@pytest.mark.parametrize("way", [inline, prose, fenced])
@pytest.mark.parametrize("shrinking", [" ".__mul__, keys])
@pytest.mark.parametrize("secret", [AWS, SECRETS[1], QUOTED_KEY])
def test_no_secret_is_cut_in_two_where_text_is_shortened(
    way: Callable[..., str], shrinking: Callable[[int], str], secret: str
) -> None:
    # What stands beside it becomes so much shorter that the place of the cut would be seen.
    looked_at = LIMIT + 2 * LONGEST_KEY
    much = " y" * 2 * looked_at
    for kept in (9, len(secret) // 2, len(secret) - 4):
        beside = shrinking(looked_at - kept)
        shown = way(f"{beside}{secret}{much}", limit=LIMIT)
        shown += way(f"{much}{secret}{beside}", limit=LIMIT)
        for part in (AWS[:9], AWS[-9:], "aB3daB3d", "BAAKCAQEA"):
            assert part not in shown


def test_of_a_long_text_only_what_is_near_to_what_is_shown_is_searched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    searched = 0

    def counted(text: str) -> str:
        nonlocal searched
        searched += len(text)
        return mask(text)

    for module in (secret_scan, markdown):
        monkeypatch.setattr(module, "mask", counted)
    for way in QUOTES.values():
        searched = 0
        assert "…" in way("some words " * 300_000, limit=LIMIT)
        assert searched <= 2 * (LIMIT + 2 * LONGEST_KEY), way


def test_hostile_lines_cost_little() -> None:
    began = time.perf_counter()
    for text in (
        "/" * 65536,
        "//_authToken" * 5000,
        "://a:" * 13000,
        "eyJa." * 13000,
        "AC" * 30000,
    ):
        mask(text)
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("bit", ["eyJ", "eyJa.", "sk-", "sk-aT3BlbkFJ"])
def test_many_beginnings_of_tokens_on_a_line_cost_no_more_than_on_many(bit: str) -> None:
    def cost(text: str) -> float:
        times = []
        for _ in range(3):
            began = time.process_time()
            mask(text)
            times.append(time.process_time() - began)
        return min(times)

    line = (bit * 16_000)[:16_000]
    lines = "\n".join(line[at : at + 200] for at in range(0, len(line), 200))
    assert cost(line) < 2 * cost(lines)


def test_tokens_of_the_web_and_of_openai_are_found_among_their_beginnings() -> None:
    openai = "a1" * 10 + "T3BlbkFJ" + "b2" * 10
    for text, masked in (
        ("x eyJ. eyJa.b-c.d/e=, y", "x eyJ. [secret], y"),
        ("eyJeyJa.eyJb.c eyJ.eyJ", "[secret] eyJ.eyJ"),
        (f"ask-sk-proj_{openai}/x sk-{openai[1:]}", f"a[secret] sk-{openai[1:]}"),
    ):
        assert mask(text) == masked


def test_json_is_masked_all_through() -> None:
    assert mask_all({"a": [AWS, 1, None, {"b": f"x {AWS}"}], "c": True}) == {
        "a": ["[secret]", 1, None, {"b": "x [secret]"}],
        "c": True,
    }


def test_only_secrets_that_a_patch_brings_count() -> None:
    key = f"key = '{AWS}'\n"
    assert new_secrets(patch({"x": key}, {"x": "a\n"})) == 1
    assert new_secrets(patch({"x": key})) == 1
    assert new_secrets(patch({"x": "a\n"}, {"x": key})) == 0
    assert new_secrets(patch({"x": f"{key}b\n"}, {"x": f"{key}a\n"})) == 0
    assert new_secrets(patch({"x": f"    {key}"}, {"x": f"  {key}"})) == 0  # moved
    assert new_secrets(patch({"x": f"a\n{SECRETS[-1]}\n"}, {"x": "a\n"})) == 1


@pytest.mark.parametrize("before", ["++", "++ ", "x\x0c", "x\x0b", "x\x85", "x\u2028", "x\r", "@@"])
def test_no_spelling_hides_an_added_secret(before: str) -> None:
    line = f"{before}key = '{AWS}'\n"
    sound = (
        "diff --git a/x b/x\nindex 1111111..2222222 100644\n"
        f"--- a/x\n+++ b/x\n@@ -1 +1,2 @@\n a\n+{line}"
    )
    assert new_secrets(sound) == 1
    # Nor one that no parser takes, with a removal made up before it.
    for odd in (f"-{line}+{line}", f"-{line}{sound}", sound.replace("@@ -1 ", "@@ -9,9 ", 1)):
        assert new_secrets(odd) == 1
