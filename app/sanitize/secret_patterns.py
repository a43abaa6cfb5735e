"""Forms of credentials by vendor, beside those that detect-secrets knows.

Sources: the vendors' own pages on their tokens' formats (prefixes are published so that scanners
find leaked ones), read beside gitleaks' rules.
"""

from __future__ import annotations

import math
import re
from collections import Counter

_BY_VENDOR = {
    "1Password": r"ops_eyJ[\w-]{200,}",
    "age": r"AGE-SECRET-KEY-1[A-Z0-9]{58}",
    "Anthropic": r"sk-ant-[a-z0-9]+-[\w-]{80,}",
    "Atlassian": r"AT(?:ATT|CTT|STT)3[\w=-]{60,}|ATBB[A-Za-z0-9]{32}",
    "AWS": r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}",
    "Azure": r"[\w~.-]{3}8Q~[\w~.-]{31,34}",
    "Brevo": r"xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}",
    "Buildkite": r"bk[up]a_[a-f0-9]{40}",
    "CircleCI": r"CCI(?:PAT|PRJ)_[A-Za-z0-9]{20,}_[a-f0-9]{40}",
    "crates.io": r"cio[A-Za-z0-9]{32}",
    "Databricks": r"dapi[a-f0-9]{32}(?:-\d)?",
    "DigitalOcean": r"do[opr]_v1_[a-f0-9]{64}",
    "Docker": r"dckr_(?:pat|oat)_[\w-]{27,}",
    "Doppler": r"dp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,60}",
    "Dynatrace": r"dt0[a-z]\d{2}\.[A-Z0-9]{24}\.[A-Z0-9]{64}",
    "Figma": r"figd_[\w-]{40,}",
    "Fly.io": r"fo1_[\w-]{43}|fm[12][ar]?_[\w+/=-]{100,}",
    "GitHub": r"gh[opusr]_[A-Za-z0-9]{36,255}|github_pat_\w{22}_\w{59}",
    "GitLab": r"gl(?:pat|ptt|dt|rt|cbt|oas|soat|ft|imt|agent|ffct)-[\w-]{20,}",
    "Google": r"AIza[\w-]{35}|GOCSPX-[\w-]{28}|ya29\.[\w-]{40,}",
    "Grafana": r"glsa_[A-Za-z0-9]{32}_[a-fA-F0-9]{8}|glc_[A-Za-z0-9+/=]{40,}",
    "Groq": r"gsk_[A-Za-z0-9]{52}",
    "HashiCorp": r"hv[sbr]\.[\w-]{24,}|[A-Za-z0-9]{14}\.atlasv1\.[\w-]{60,}",
    "Hugging Face": r"(?:hf|api_org)_[A-Za-z0-9]{34,}",
    "Linear": r"lin_(?:api|oauth)_[A-Za-z0-9]{40,}",
    "New Relic": r"NRAK-[A-Z0-9]{27}",
    "Notion": r"ntn_[A-Za-z0-9]{40,}",
    "npm": r"npm_[A-Za-z0-9]{36}",
    "OpenAI": r"sk-(?:proj|svcacct|admin)-[\w-]{40,}",
    "Postman": r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
    "Pulumi": r"pul-[a-f0-9]{40}",
    "PyPI": r"pypi-AgE[\w-]{50,}",
    "Replicate": r"r8_[A-Za-z0-9]{37}",
    "RubyGems": r"rubygems_[a-f0-9]{48}",
    "SendGrid": r"SG\.[\w-]{22}\.[\w-]{43}",
    "Sentry": r"sntry[su]_[\w+/=-]{60,}",
    "Shopify": r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}",
    "Slack": r"xox[abeoprs]-[\w-]{20,}|xapp-\d-[\w-]{40,}",
    "Stripe": r"(?:sk|rk)_live_[A-Za-z0-9]{20,}|whsec_[A-Za-z0-9+/=]{32,}",
    "Supabase": r"sb[ps]_[a-f0-9]{40}",
    "Tailscale": r"tskey-[a-z]+-\w{10,}-\w{20,}",
}
TOKENS = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(_BY_VENDOR.values())})")
"""Every vendor's tokens, with nothing around them."""
KEY_ON_A_LINE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----\\n[\w+/=\\]{40,}(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)
"""A private key inside a JSON string."""
IN_CONTEXT = re.compile(
    r"\bauthorization[\"']?\s*[:=]\s*[\"']?(?:basic|bearer|token)\s+([\w.~+/=-]{20,})"
    r"|\baws_?secret_?(?:access_?)?key[\"']?\s*[:=]\s*[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
    re.IGNORECASE,
)
"""What only its surroundings tell; counts if it looks random (`looks_random`)."""
UNSEEN = re.compile(
    r"\\\r?\n[ \t]*|[\u00ad\u034f\u061c\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\ufe00-\ufe0f\ufeff\U000e0000-\U000e0fff]"
)
"""What a reader of a token does not see in it: format characters, a continued line."""
LEAST_BITS = 3.5
"""Bits for a character: English text and placeholders have fewer, random letters more."""


def looks_random(text: str) -> bool:
    """Whether a word has the letters, digits and variety of a random one."""
    counts = Counter(text)
    bits = -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())
    return bits >= LEAST_BITS and any(c.isdigit() for c in text) and any(c.isalpha() for c in text)
