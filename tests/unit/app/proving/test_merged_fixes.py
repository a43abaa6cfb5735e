"""The benchmark of merged fixes: what is made of a fix, and what counts against a proof."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.proofs import Fix, Row, Variant, contradicted, read_fixes, table, variant_patch
from tests.doubles import gate_case as case

BOTH = case.FIXED.replace("max(cents(row) for row in rows)", "max(map(cents, rows))")
MORE = case.TESTS + "\n\ndef test_total_of_two():\n    assert total(['2.50', '4.00']) == 650\n"
PATCH = case.patch({"shop/stats.py": BOTH, "tests/test_shop.py": MORE})


def row(variant: Variant, verdict: str, *red: str) -> Row:
    return Row(repository="o/r", commit="c" * 40, variant=variant, verdict=verdict, red=red)


@pytest.mark.parametrize(
    ("variant", "has", "lacks"),
    [
        ("whole", ("for row in rows:", "map(cents", "test_total_of_two"), ()),
        ("hunk", ("for row in rows:", "test_total_of_two"), ("map(cents",)),
        ("source", ("test_total_of_two",), ("shop/stats.py",)),
        ("green", ("map(cents", "test_nothing_new"), ("test_total_of_two",)),
    ],
)
def test_a_variant_is_the_fix_without_what_it_is_named_for(
    variant: Variant, has: tuple[str, ...], lacks: tuple[str, ...]
) -> None:
    made = variant_patch(PATCH, variant)
    assert all(words in made for words in has) and not any(words in made for words in lacks)


def test_a_fix_of_one_hunk_has_no_variant_without_it() -> None:
    assert variant_patch(case.patch({"shop/stats.py": case.FIXED}), "hunk") == ""


def test_a_proven_variant_counts_against_us_where_a_test_of_the_fix_does_not_pass_in_it() -> None:
    whole = row("whole", "proven", "a", "b")
    assert contradicted(row("hunk", "proven", "a"), whole)
    assert not contradicted(row("hunk", "proven", "a", "b"), whole)
    assert not contradicted(row("hunk", "unproven", "a"), whole)
    assert contradicted(row("green", "proven"), None)
    assert "against the fix's own tests 1." in table([whole, row("hunk", "proven", "a")])
    assert "Proven of those that bring a failing test: 1.00 (n = 1)." in table([whole])


def test_the_list_of_fixes_may_say_what_is_to_be_known(tmp_path: Path) -> None:
    written = tmp_path / "fixes.txt"
    written.write_text("# merged\no/r abc\no/s def  # tuned\n\n")
    assert read_fixes(written) == [Fix("o/r", "abc"), Fix("o/s", "def", "tuned")]
