"""The variables of a set-up."""

from __future__ import annotations

import pytest

from sandbox.setup.variables import LONGEST_VALUE, with_variables


def test_variables_name_earlier_ones_and_stay_short() -> None:
    known = {"A": "x" * 1000, "B": "b"}
    assert with_variables("$B:${B}/$NONE", known) == "b:b/"
    with pytest.raises(ValueError, match="longer than"):
        with_variables("$A" * (LONGEST_VALUE // 1000 + 1), known)
    with pytest.raises(ValueError, match="longer than"):
        with_variables("$A" * 10_000_000, known)
