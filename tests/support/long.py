"""Cases of a test of which the suite runs some, and `make test-long` the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(cases: Iterable[str], count: int) -> list[Any]:
    """The cases; those after the first `count` are for `make test-long`."""
    return [
        case if number < count else pytest.param(case, marks=pytest.mark.long)
        for number, case in enumerate(cases)
    ]
