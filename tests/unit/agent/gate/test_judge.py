"""The gate as a whole, over temporary folders instead of containers."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agent.gate.chance import share, steady_runs
from agent.gate.claims import Claims
from agent.gate.hunks import REPRODUCTION
from agent.gate.judge import Submission, judge
from agent.journal.events import (
    UNREAD,
    ContestedTest,
    GateJudged,
    HunkReason,
    ReproductionDeclared,
)
from agent.task import GatePolicy
from sandbox.errors import SandboxGone
from sandbox.protocol import CommandResult, Sandbox
from tests.doubles import gate_case as case
from tests.doubles.evidence_attacks import ATTACKS
from tests.doubles.local_sandbox import LocalSandbox


async def judged(
    submission: Submission, repository: Mapping[str, str] = case.REPOSITORY
) -> GateJudged:
    opened: list[LocalSandbox] = []

    async def open_fresh() -> Sandbox:
        opened.append(LocalSandbox(dict(repository)))
        return opened[-1]

    verdict = await judge(submission, open_fresh)
    assert not any(box.root.exists() for box in opened), "a sandbox was left open"
    return verdict


async def test_a_patch_that_fixes_nothing_is_not_proven() -> None:
    idle = case.STATS.replace("result = 0", "result = 0 + 0")
    verdict = await judged(case.submission({"shop/stats.py": idle}))
    assert verdict.verdict == "unproven"
    assert "passes in 0 of 1 runs" in " ".join(verdict.reasons)


@pytest.mark.parametrize("fixed", [True, False])
async def test_both_sides_may_run_at_once_and_people_see_what_runs(fixed: bool) -> None:
    told: list[tuple[str, int, int]] = []
    shape = "max(cents(row) for row in rows)"
    change = case.FIXED.replace(shape, "max([cents(row) for row in rows])" if fixed else "min()")
    submission = case.submission({"shop/stats.py": change}).model_copy(update={"at_once": 2})
    opened: list[LocalSandbox] = []

    async def open_fresh() -> Sandbox:
        opened.append(LocalSandbox(dict(case.REPOSITORY)))
        return opened[-1]

    verdict = await judge(submission, open_fresh, lambda *step: told.append(step))
    assert verdict.verdict == ("proven" if fixed else "unproven"), verdict.reasons
    assert {"reproduction without the patch", "test suite without the patch"} <= {
        what for what, _, _ in told
    }
    if fixed:
        assert [h.needed_by for h in verdict.hunks] == [REPRODUCTION, ""]
        assert all(h.tried for h in verdict.hunks)
    assert [number for _, number, _ in told] == list(range(1, len(told) + 1))
    assert all(number <= of for _, number, of in told)
    assert not any(box.root.exists() for box in opened), "a sandbox was left open"


@pytest.mark.parametrize(
    ("change", "well"), [(case.FIXED.replace("max(", "min("), False), ("", True)]
)
async def test_data_of_tests_that_stands_elsewhere_is_kept_as_well(change: str, well: bool) -> None:
    """An honest patch may change it too, where the tests hold with what was there."""
    test = (
        "import pathlib\n\nfrom shop.stats import largest\n\n\ndef test_golden():\n"
        "    for line in pathlib.Path('golden/largest.txt').read_text().splitlines():\n"
        "        assert largest(['1.00', line]) == 100 * int(line)\n"
    )
    files = {**case.REPOSITORY, "golden/largest.txt": "3\n", "tests/test_golden.py": test}
    files["tests/test_shop.py"] = case.TESTS.partition("\n\ndef test_largest")[0]
    data = "4\n" if well else "1\n"
    changes = {"shop/stats.py": change or case.FIXED, "golden/largest.txt": data}
    sent = case.submission({"shop/stats.py": changes["shop/stats.py"]})
    patch = case.patch({**changes, **case.REPRODUCTION.files}, files)
    verdict = await judged(sent.model_copy(update={"patch": patch}), files)
    assert (verdict.verdict == "proven") is well, verdict.reasons
    assert well or "tests/test_golden.py::test_golden" in " ".join(verdict.reasons)


async def test_a_reproduction_that_passes_without_the_patch_proves_nothing() -> None:
    easy = case.REPRODUCTION.model_copy(
        update={"files": {"tests/test_total.py": "def test_a():\n    assert True\n"}}
    )
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}, easy))
    assert verdict.verdict == "unproven"
    assert "passes without the patch" in " ".join(verdict.reasons)


async def test_a_reproduction_that_fails_for_another_reason_proves_nothing() -> None:
    other = case.REPRODUCTION.model_copy(update={"expected_failure": "ZeroDivisionError"})
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}, other))
    assert verdict.verdict == "unproven"
    assert "claimed reason" in " ".join(verdict.reasons)


async def test_a_change_of_code_that_cannot_be_read_is_a_draft() -> None:
    # Python reads a number of so many digits, but the gate does not write it out.
    long = f"\n\ndef limit():\n    return {'9' * 4200}\n"
    base = case.STATS + long
    fixed = case.FIXED + long.replace("return", "'As large as can be.'\n    return")
    repository = {**case.REPOSITORY, "shop/stats.py": base}
    change = case.patch({"shop/stats.py": fixed}, {"shop/stats.py": base})
    submission = case.submission({"shop/stats.py": fixed}).model_copy(update={"patch": change})
    verdict = await judged(submission, repository)
    assert verdict.verdict == "unproven"
    assert [check.name for check in verdict.checks if not check.ok] == [UNREAD]
    assert "cannot read this statement" in " ".join(verdict.reasons)


async def test_without_a_reproduction_the_result_is_a_draft() -> None:
    none = ReproductionDeclared(
        command="", expected_failure="", observed="", accepted=True, why_none="needs a printer"
    )
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}, none))
    assert verdict.verdict == "unproven"
    assert "needs a printer" in " ".join(verdict.reasons)
    assert next(c for c in verdict.checks if c.name == "test suite").ok


@pytest.mark.parametrize("name", list(case.DISHONEST))
async def test_dishonest_patches_are_refused(name: str) -> None:
    changes, reason = case.DISHONEST[name]
    verdict = await judged(case.submission(changes))
    assert verdict.verdict == "refused"
    assert reason in " ".join(verdict.reasons)


@pytest.mark.parametrize("deep", ["-" * 5000 + "1", "+".join(["x"] * 900), "(" * 500 + ")" * 500])
async def test_code_that_is_nested_too_deeply_is_no_crash(deep: str) -> None:
    files = {"shop/deep.py": f"x = 1\n\ndef f():\n    return {deep}\n"}
    verdict = await judged(case.submission(files, None))
    assert verdict.verdict in ("refused", "unproven")
    assert verdict.reasons


@pytest.mark.parametrize(
    ("patch", "verdict", "reason"),
    [
        ("", "unproven", "changes nothing"),
        ("hello\n", "refused", "not in git's format"),
        (
            case.patch({"shop/stats.py": "x\n"}, {"shop/stats.py": "y\n"}),
            "refused",
            "does not stand",
        ),
        (case.patch({"../x.py": "x\n"}), "refused", "outside the tree"),
    ],
)
async def test_patches_that_are_none(patch: str, verdict: str, reason: str) -> None:
    sent = case.submission({}).model_copy(update={"patch": patch})
    result = await judged(sent)
    assert result.verdict == verdict
    assert reason in " ".join(result.reasons)


class DyingWithPatch(LocalSandbox):
    """Dies in the first command after a patch came in, so often."""

    deaths = 0
    patched = False

    async def apply(self, patch: str) -> None:
        await super().apply(patch)
        self.patched = True

    async def run(self, command: str, *, timeout_s: float = 120.0) -> CommandResult:
        if self.patched and DyingWithPatch.deaths > 0:
            DyingWithPatch.deaths -= 1
            raise SandboxGone("the engine was restarted")
        return await super().run(command, timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("deaths", "verdict", "reasons"),
    [(1, "proven", ()), (2, "unproven", ("The sandbox died twice while the tests ran",))],
)
async def test_a_patch_whose_sandbox_died_is_tried_once_more_and_must_show_more(
    deaths: int, verdict: str, reasons: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DyingWithPatch, "deaths", deaths)

    async def open_fresh() -> Sandbox:
        return DyingWithPatch(dict(case.REPOSITORY))

    found = await judge(case.submission({"shop/stats.py": case.FIXED}, case.SCRIPT), open_fresh)
    assert DyingWithPatch.deaths == 0
    assert found.verdict == verdict
    assert [r[: len(w)] for r, w in zip(found.reasons, reasons, strict=True)] == list(reasons)
    if verdict == "proven":
        runs = steady_runs(share(1, 0, deaths))
        assert any(f"passes in {runs} of {runs} with it" in c.detail for c in found.checks)
        assert runs > steady_runs(share(1, 0))


async def test_a_reason_for_a_hunk_excuses_nothing_that_the_rules_refuse() -> None:
    workflow = ".github/workflows/ci.yml"
    sent = case.submission({"shop/stats.py": case.FIXED, workflow: "on: push\n"})
    reasons = (HunkReason(hunk=f"{workflow}:1", reason="the same bug stands there"),)
    verdict = await judged(sent.model_copy(update={"claims": Claims(hunks=reasons)}))
    assert verdict.verdict == "refused" and workflow in " ".join(verdict.reasons)


async def test_tests_that_need_those_of_other_files_are_no_loss() -> None:
    needing = (
        f"import sys\n\n{case.TESTS}\n\ndef test_first():\n    assert 'colorsys' in sys.modules\n"
    )
    repository = {
        **case.REPOSITORY,
        "tests/test_first.py": "def test_import():\n    import colorsys\n    assert colorsys\n",
        "tests/test_shop.py": needing,
    }
    more = needing + f"\n\n{case.REPRODUCTION_TEST.partition(chr(10) * 3)[2]}"
    shown = case.REPRODUCTION.model_copy(
        update={
            "command": "python3 -m pytest -q tests/test_shop.py -k every_row",
            "files": {"tests/test_shop.py": more},
        }
    )
    changes = {"shop/stats.py": case.FIXED, "tests/test_shop.py": more}
    sent = case.submission({}, shown)
    brief = GatePolicy(evidence_s=0, suite_runs=0)
    sent = sent.model_copy(update={"patch": case.patch(changes, repository), "policy": brief})
    verdict = await judged(sent, repository)
    assert verdict.verdict == "proven", verdict.reasons


async def test_a_contested_test_of_another_file_opens_nothing() -> None:
    weak = case.TESTS.replace("== 300", ">= 0")
    sent = case.submission({"shop/stats.py": case.FIXED, "tests/test_shop.py": weak})
    claim = ContestedTest(test="tests/test_other.py::test_largest", reason="it is wrong")
    verdict = await judged(sent.model_copy(update={"claims": Claims(contested=(claim,))}))
    assert verdict.verdict == "refused" and "test_largest" in " ".join(verdict.reasons)


async def test_a_regression_test_stays_alone_where_fixtures_of_others_change_it() -> None:
    steering = (
        "\n\n@pytest.fixture(autouse=True)\ndef every_amount_is_one(monkeypatch):\n"
        '    monkeypatch.setattr("shop.stats.cents", lambda text: 1)\n'
    )
    tests = f"import pytest\n{case.TESTS.replace('== 300', '== 1')}{steering}"
    repository = {**case.REPOSITORY, "tests/test_shop.py": tests}
    verdict = await judged(case.submission({"shop/stats.py": case.FIXED}), repository)
    assert verdict.verdict == "proven", verdict.reasons
    assert "b/tests/test_total.py" in verdict.patch and "b/tests/test_shop.py" not in verdict.patch


async def test_the_projects_own_names_of_tests_are_those_of_its_tests() -> None:
    repository = {
        **{p: t for p, t in case.REPOSITORY.items() if p != "tests/test_shop.py"},
        "pyproject.toml": case.REPOSITORY["pyproject.toml"] + 'python_files = "check_*.py"\n',
        "check_shop.py": case.TESTS,
    }
    declared = case.REPRODUCTION.model_copy(
        update={
            "files": {"check_total.py": case.REPRODUCTION_TEST},
            "command": "python3 -m pytest -q check_total.py",
        }
    )
    submission = case.submission({"shop/stats.py": case.FIXED}, declared)
    verdict = await judged(submission, repository)
    assert verdict.verdict == "proven", verdict.reasons
    assert "+def test_total_counts_every_row():" in verdict.patch
    looser = case.patch({"check_shop.py": case.TESTS.replace("== 300", ">= 0")}, repository)
    weakened = submission.model_copy(update={"patch": submission.patch + looser})
    verdict = await judged(weakened, repository)
    assert verdict.verdict == "refused" and "check_shop.py" in " ".join(verdict.reasons)


@pytest.mark.parametrize("name", [n for n, a in ATTACKS.items() if a.verdict == "refused"])
async def test_attacks_on_the_evidence_that_the_rules_refuse_at_once(name: str) -> None:
    attack = ATTACKS[name]
    verdict = await judged(attack.dishonest, attack.repository)
    assert verdict.verdict == "refused" and attack.said in " ".join(verdict.reasons)
