"""What `patchwright doctor` says about signed commits."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from app.cli.signatures import BranchSignatures, told_signatures, wrong_with_key
from app.git.mirror import Identity
from app.git.signing import SigningKey
from app.publishing.commits import Signing

STRICT = BranchSignatures("acme/shop", "main", required=True)
FREE = BranchSignatures("acme/toys", "main", required=False)
KEY = SigningKey(Path("/key"), Identity("Pat", "pat@example.com"))


def test_nothing_is_needed_where_no_ruleset_asks_for_it() -> None:
    assert told_signatures([FREE], Signing("never")) == (
        True,
        "no ruleset of 1 repositories requires signed commits",
    )
    assert (
        "not all could be asked: GitHub answered 502"
        in told_signatures([], Signing(), incomplete="GitHub answered 502")[1]
    )


def test_it_says_what_signs_and_what_is_missing() -> None:
    ok, text = told_signatures([STRICT, FREE], Signing("never"))
    assert not ok and text.startswith("acme/shop (main) take signed commits only")
    assert "set PATCHWRIGHT_SIGNED_COMMITS" in text
    ok, text = told_signatures([STRICT] * 7, Signing())
    assert ok and "and 2 more" in text and "set PATCHWRIGHT_SIGNING_KEY_FILE" in text
    assert "signed with the key" in told_signatures([STRICT], Signing("always", KEY))[1]


@pytest.mark.parametrize(("kind", "words"), [("ed25519", ""), ("ecdsa", "make one of Ed25519")])
def test_a_key_must_sign_without_chance_and_passphrase(
    tmp_path: Path, kind: str, words: str
) -> None:
    key = tmp_path / "key"
    made = ("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(key))
    subprocess.run(made, check=True)
    assert words in wrong_with_key(key) if words else wrong_with_key(key) == ""
    key.write_text("no key")
    assert "is no private SSH key" in wrong_with_key(key)
