"""How strong a proof is, over temporary folders instead of containers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.gate.behaviour.documented_examples import Examples
from agent.gate.behaviour.strength import (
    EvidenceToRun,
    StrengthLimits,
    evidence_pieces,
    measure_strength,
    naming_tests,
    read_strength,
    strength_check,
)
from agent.gate.behaviour.variants import variants_of
from agent.gate.patch.changed_file import ChangedFile
from agent.gate.patch.parse import parse_patch
from agent.journal.events import ReproductionDeclared, Strength
from tests.doubles import gate_case as case
from tests.doubles.local_sandbox import LocalSandbox

CLAMP = "def clamp(n, low, high):\n    return n\n"
CLAMPED = "def clamp(n, low, high):\n    if n < low:\n        return low\n    return n\n"
WEAK = "from clamp import clamp\n\n\ndef test_low():\n    assert clamp(0, 2, 9) == 2\n"
STRONG = WEAK + "    assert clamp(2, 2, 9) == 2\n    assert clamp(3, 2, 9) == 3\n"


def changed(path: str, base: str, patched: str) -> ChangedFile:
    (parts,) = parse_patch(case.patch({path: patched}, {path: base}))
    return ChangedFile(
        path=path, base=base, patched=patched, added=parts.added, removed=parts.removed
    )


async def measured(test: str, more: Mapping[str, str] | None = None) -> Strength:
    tree = {"clamp.py": CLAMPED, "tests/test_old.py": "import clamp\n\ndef test_a(): pass\n"}
    box = LocalSandbox(tree | dict(more or {}))
    declared = ReproductionDeclared(
        command="python3 -m pytest -q tests/test_low.py",
        files={"tests/test_low.py": test},
        expected_failure="assert",
        observed="assert",
        accepted=True,
    )
    files = [changed("clamp.py", CLAMP, CLAMPED)]
    try:
        evidence = EvidenceToRun(
            reproduction=declared,
            test_command="python3 -m pytest",
            test_files=await naming_tests(box, files, tuple(tree)),
            examples=Examples(),
        )
        assert evidence.test_files == ("tests/test_old.py",)
        found = await measure_strength(box, files, evidence, StrengthLimits(most=10, total_s=90))
        assert (box.root / "clamp.py").read_text() == CLAMPED, "the tree is as it was"
    finally:
        await box.close()
    assert found is not None
    return found


@pytest.mark.long
async def test_more_cases_tell_more_variants_apart() -> None:
    weak, strong = await measured(WEAK), await measured(STRONG)
    assert weak.tried == strong.tried >= 5
    assert weak.told_apart < strong.told_apart
    assert any("`return low`" in s or "`if n < low:`" in s for s in weak.survivors)
    assert strong.by["the reproduction"] == strong.told_apart


async def test_evidence_that_looks_at_the_text_of_the_patch_measures_nothing() -> None:
    conftest = (
        "import pathlib, pytest\n"
        f"if pathlib.Path('clamp.py').read_text() != {CLAMPED!r}:\n"
        "    pytest.exit('every variant is told apart')\n"
    )
    found = await measured(WEAK, {"conftest.py": conftest})
    assert found.void and not found.tried
    check = strength_check(found, StrengthLimits())
    assert not check.ok and "means nothing" in check.detail


async def test_a_conftest_cannot_answer_in_the_programs_place() -> None:
    conftest = (
        "import os, pathlib\n"
        "for n in range(3):\n"
        "    try:\n"
        "        with open(f'/proc/{os.getppid()}/fd/1', 'w') as out:\n"
        "            out.write(''.join(f'mark TOLD [{k}, \"x\"]\\n' for k in range(10)))\n"
        "    except OSError:\n"
        "        pass\n"
        "for job in pathlib.Path('/tmp').glob('patchwright-*/job.json'):\n"
        "    job.write_text('{}')\n"
        "for job in pathlib.Path('/tmp').glob('patchwright-*/gate_sandboxed/*.py'):\n"
        "    job.write_text('')\n"
    )
    honest, tampered = await measured(WEAK), await measured(WEAK, {"conftest.py": conftest})
    assert tampered == honest


def test_what_means_the_same_is_no_variant() -> None:
    found = variants_of([changed("clamp.py", CLAMP, CLAMPED)], 30)
    assert len({(v.first, v.last, v.new) for v in found}) == len(found) <= 30
    assert {v.first for v in found} >= {2, 3}
    comment = changed("a.py", "x = 1\n", "# y > 2\nx = 1\n")
    text = changed("a.py", "x = 1\n", '"""When y > 2."""\nx = 1\n')
    assert variants_of([comment], 30) == variants_of([text], 30) == []


def test_tests_are_not_varied() -> None:
    assert variants_of([changed("tests/test_a.py", "a = 1\n", "a = 2 + 3\n")], 30) == []


@pytest.mark.parametrize(
    ("line", "variant"),
    [
        ("  if (a < b) {", "  if (a <= b) {"),
        ("  if (a === b) {", "  if (a !== b) {"),
        ("  return a && b;", "  return a || b;"),
        ("  return n + 1;", "  return n + 2;"),
        ("  x = true;", "  x = false;"),
        ("  f(a, b);", "  f(a);"),
        ("  done(a);", None),
        ("  if (ready) {", "  if (!ready) {"),
    ],
)
def test_other_languages_are_varied_by_token(line: str, variant: str | None) -> None:
    found = variants_of([changed("a.js", "\n", f"{line}\n")], 30)
    assert variant in [v.new for v in found]


def test_a_command_that_is_more_than_pytest_runs_in_a_shell() -> None:
    evidence = EvidenceToRun(
        reproduction=case.REPRODUCTION.model_copy(update={"command": "pytest -q a.py && true"}),
        test_command="npm test",
        test_files=("a.test.js",),
        examples=Examples(),
    )
    assert [(p["kind"], p["command"]) for p in evidence_pieces(evidence)] == [
        ("shell", "pytest -q a.py && true"),
        ("shell", "npm test"),
    ]


def test_under_the_threshold_more_cases_are_asked_for() -> None:
    limits = StrengthLimits(least_share=0.5)
    weak = Strength(tried=10, told_apart=4, survivors=("a.py:1: `x` becomes `y`",) * 6)
    check = strength_check(weak, limits)
    assert not check.ok
    assert "from 4 of 10 variants" in check.detail and "add cases" in check.detail
    assert "`x` becomes `y`" in check.detail
    assert strength_check(weak.model_copy(update={"told_apart": 5}), limits).ok
    assert strength_check(Strength(tried=3, told_apart=0), limits).ok, "too few to say"


def test_only_marked_lines_count() -> None:
    found = variants_of([changed("clamp.py", CLAMP, CLAMPED)], 3)
    text = 'mark TOLD [0, "the tests"]\nmark TOLD [1, null]\nx TOLD [2, "the tests"]\nmark TOLD [9]'
    read = read_strength(text, "mark", found)
    assert (read.tried, read.told_apart, read.by) == (2, 1, {"the tests": 1})
    assert read.survivors == (found[1].described,)
