"""Remarks in code by which it takes itself out of a tool's sight, added by a patch."""

from __future__ import annotations

import re
from collections.abc import Iterable

_REMARKS = re.compile(
    r"#\s*(?:noqa\b|type:\s*ignore\b|ruff:\s*noqa|pylint:\s*disable|fmt:\s*(?:off|skip)"
    r"|isort:\s*skip|flake8[:=]\s*noqa|rubocop:disable|nosec\b)"
    r"|(?://|/\*|<!--)\s*(?:eslint-disable|prettier-ignore|biome-ignore|@ts-(?:ignore|nocheck"
    r"|expect-error)|standard-ignore|nolint\b|lint:ignore)"
    r"|#!?\[(?:allow\((?:clippy::|unused|dead_code)|rustfmt::skip)",
    re.IGNORECASE,
)


def suppressions(added: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    """The added lines that hold such a remark: number and the remark itself."""
    return [(number, match[0]) for number, line in added if (match := _REMARKS.search(line[:2000]))]
