"""Tokens of vendors are masked wherever they stand; what only looks similar is not."""

from __future__ import annotations

import random
import string

import pytest

from app.sanitize.secret_scan import mask, new_secrets

RANDOM = random.Random(7)
WORD = string.ascii_letters + string.digits
HEX = "0123456789abcdef"


def word(length: int, letters: str = WORD) -> str:
    return "".join(RANDOM.choice(letters) for _ in range(length))


BASE32 = string.ascii_uppercase + "234567"
TOKENS = {
    "age": "AGE-SECRET-KEY-1" + word(58, BASE32),
    "anthropic": "sk-ant-api03-" + word(93) + "AA",
    "atlassian": "ATATT3xFfGF0" + word(180),
    "aws": "AKIA" + word(16, BASE32),
    "aws secret": "aws_secret_access_key = " + word(40),
    "basic": "Authorization: Basic " + word(40),
    "bearer": '{"Authorization": "Bearer ' + word(40) + '"}',
    "brevo": "xkeysib-" + word(64, HEX) + "-" + word(16),
    "buildkite": "bkua_" + word(40, HEX),
    "crates": "cio" + word(32),
    "databricks": "dapi" + word(32, HEX),
    "digitalocean": "dop_v1_" + word(64, HEX),
    "docker": "dckr_pat_" + word(27),
    "doppler": "dp.pt." + word(43),
    "figma": "figd_" + word(40),
    "gcp": '"private_key": "-----BEGIN PRIVATE KEY-----\\n' + word(64) + "\\n" + word(64) + '"',
    "github": "ghp_" + word(36),
    "github fine-grained": "github_pat_" + word(22) + "_" + word(59),
    "gitlab": "glpat-" + word(20),
    "google": "AIza" + word(35),
    "google oauth": "GOCSPX-" + word(28),
    "grafana": "glsa_" + word(32) + "_" + word(8, HEX),
    "groq": "gsk_" + word(52),
    "hugging face": "hf_" + word(34),
    "linear": "lin_api_" + word(40),
    "new relic": "NRAK-" + word(27, BASE32),
    "notion": "ntn_" + word(46),
    "npm": "npm_" + word(36),
    "openai": "sk-proj-" + word(48),
    "postman": "PMAK-" + word(24, HEX) + "-" + word(34, HEX),
    "pulumi": "pul-" + word(40, HEX),
    "pypi": "pypi-AgEIcHlwaS5vcmc" + word(70),
    "replicate": "r8_" + word(37),
    "rubygems": "rubygems_" + word(48, HEX),
    "sendgrid": "SG." + word(22) + "." + word(43),
    "shopify": "shpat_" + word(32, HEX),
    "slack": "xoxb-123456789012-1234567890123-" + word(24),
    "stripe": "sk_live_" + word(24),
    "supabase": "sbp_" + word(40, HEX),
    "tailscale": "tskey-auth-" + word(12) + "-" + word(32),
    "terraform": word(14) + ".atlasv1." + word(67),
    "vault": "hvs." + word(90),
}


@pytest.mark.parametrize("vendor", TOKENS)
def test_tokens_are_masked_and_never_published(vendor: str) -> None:
    token = TOKENS[vendor]
    assert "[secret]" in mask(f"x {token} y")
    patch = f"diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1,2 @@\n a\n+{token}\n"
    assert new_secrets(patch) == 1


@pytest.mark.parametrize(
    "between", ["\u200b", "\u2060", "\u00ad", "\ufeff", "\u200d\u200c", "\\\n", "\\\n    "]
)
def test_nothing_unseen_takes_a_token_apart(between: str) -> None:
    token = TOKENS["github"]
    masked = mask(f"a {token[:14]}{between}{token[14:]} b")
    assert masked == "a [secret] b"


@pytest.mark.parametrize(
    "text",
    [
        "commit 0123456789abcdef0123456789abcdef01234567",
        "hf_transfer and npm_config_registry and glpat-short",
        "family \U0001f469\u200d\U0001f469\u200d\U0001f467 and \u200bzero width",
        "aws_secret_access_key = os.environ['AWS_SECRET_ACCESS_KEY']",
    ],
)
def test_what_is_none_stays(text: str) -> None:
    assert mask(text) == text
