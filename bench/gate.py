"""What the gate costs: the time of one submission over one run of the suite, in the same run.

For suites of several lengths and patches of several hunks, cold and with the base's results kept
from an earlier submission. The suite keeps the processor busy, as tests do, in ten files of which
three import the patched module; the first half of the hunks is needed by the reproduction, the
others by nothing. Then `patchwright prove`, likewise: two changes on the same base, each with its
test, over one run of the suite with the change. Prints tables, and with `--goals` fails where a
goal is missed. On a machine that does other work, `--waiting` tests wait instead: then figures say
how many runs of the suite a submission waits for, and not what it costs where processors are short.

    python bench/gate.py [--suites 0.5 5 60] [--hunks 1 3 8] [--proofs] [--goals] [--waiting]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.gate.judge import Submission, judge
from agent.journal.events import GateJudged, ReproductionDeclared
from agent.proving.prove import prove_change
from agent.proving.records import Change
from agent.task import Issue, KeptBase
from agent.testing.suite import run_suite
from sandbox.docker.engine import DockerEngine, SandboxSpec
from sandbox.images.base_image import BASE_IMAGE
from sandbox.protocol import Limits, Sandbox
from tests.doubles.gate_case import patch
from tests.support.sandboxes.fixtures import tar_of

MODULE = "prices.py"
FUNCTIONS = 8
TEST_FILES = 10
REACHING = 3
TESTS_A_FILE = 5
LONG_S = 5.0
"""From this length on the goals are ratios; below it, a difference in seconds."""
COLD, KEPT, SHORT_S = 3.5, 2.2, 4.0
SECOND_PROOF, PROOF_S = 1.2, 60.0
"""The second proof on a base, as a ratio; what it does beside the suite counts less from this
length of the suite on."""
TEST = "tests/test_rate_at_the_limit.py"


@dataclass(frozen=True)
class Measured:
    """One submission."""

    suite_s: float
    hunks: int
    kept: bool
    gate_s: float
    left_out: int

    @property
    def ratio(self) -> float:
        """The submission's time over one run of the suite."""
        return self.gate_s / self.suite_s

    @property
    def met(self) -> bool:
        """Whether the goal for its length holds."""
        if self.suite_s >= LONG_S:
            return self.ratio <= (KEPT if self.kept else COLD)
        return self.gate_s - self.suite_s * (KEPT if self.kept else COLD) <= SHORT_S


def module(fixed: int) -> str:
    """The module, its first `fixed` functions without the bug."""
    parts = []
    for n in range(FUNCTIONS):
        bound = "<=" if n < fixed else "<"
        padding = "\n".join(f"# Rate {n}, remark {i}." for i in range(8))
        parts.append(
            f"def rate_{n}(amount):\n"
            f'    """The rate for an amount of at most 100."""\n'
            f"    if amount {bound} 100:\n        return {n + 1}\n"
            f"    return {n + 2}\n\n\n{padding}\n"
        )
    return "\n\n".join(parts)


def tree(suite_s: float, *, waiting: bool = False) -> dict[str, str]:
    """The repository's files; its suite keeps a processor busy for about `suite_s`, or waits."""
    clock = "time.monotonic" if waiting else "time.process_time"
    idle = "time.sleep(0.01)" if waiting else "pass"
    each = suite_s / (TEST_FILES * TESTS_A_FILE)
    files = {MODULE: module(0), "pyproject.toml": "[tool.pytest.ini_options]\n"}
    for number in range(TEST_FILES):
        head = "import prices\n" if number < REACHING else ""
        body = "    assert prices.rate_0(5) == 1\n" if number < REACHING else "    assert True\n"
        tests = "".join(
            f"def test_{number}_{n}():\n"
            f"    end = {clock}() + {each}\n"
            f"    while {clock}() < end:\n        {idle}\n{body}\n\n"
            for n in range(TESTS_A_FILE)
        )
        files[f"tests/test_part_{number}.py"] = f"import time\n{head}\n\n{tests}"
    return files


def submission(hunks: int, kept: KeptBase | None) -> Submission:
    """The fix of `hunks` functions, with a reproduction that shows the first half of them."""
    before = {MODULE: module(0)}
    fixed = patch({MODULE: module(hunks)}, before)
    shown = range((hunks + 1) // 2)
    checks = "".join(f"    assert prices.rate_{n}(100) == {n + 1}\n" for n in shown)
    return Submission(
        patch=fixed,
        reproduction=ReproductionDeclared(
            attempt=1,
            command=f"python3 -m pytest -q {TEST}",
            files={TEST: f"import prices\n\n\ndef test_rate_at_the_limit():\n{checks}"},
            expected_failure="assert",
            observed="",
            accepted=True,
        ),
        issue=Issue(title="The rate is wrong for 100", body="It should be the lower one."),
        test_command="python3 -m pytest -q",
        kept_base=kept,
        at_once=min(2, os.cpu_count() or 1),
    )


async def measured(
    engine: DockerEngine, suite_s: float, hunks: Sequence[int], folder: Path, *, waiting: bool
) -> list[Measured]:
    """All submissions on one suite: each first cold, then with what the cold one kept."""
    archive = tar_of(tree(suite_s, waiting=waiting), folder / f"{suite_s}.tar")
    spec = SandboxSpec(
        image=BASE_IMAGE, limits=Limits(), run_id="gate", purpose="bench", installation="bench"
    )

    async def open_fresh() -> Sandbox:
        return await engine.open(spec, archive)

    sandbox = await open_fresh()
    begun = time.perf_counter()
    run = await run_suite(sandbox, "python3 -m pytest -q")
    floor = time.perf_counter() - begun
    await sandbox.close()
    assert run.exit_code == 0, run.output
    found = []
    for count in hunks:
        kept = KeptBase(
            folder=str(folder / "kept"),
            repository="bench/gate",
            commit=f"{suite_s}-{count}",
            environment=BASE_IMAGE,
        )
        for warm in (False, True):
            begun = time.perf_counter()
            judged: GateJudged = await judge(submission(count, kept), open_fresh)
            wall = time.perf_counter() - begun
            assert judged.verdict == "proven", judged.reasons
            assert [bool(h.needed_by) for h in judged.hunks if h.tried].count(False) <= count // 2
            found.append(Measured(floor, count, warm, wall, len(judged.left_out)))
            print(shown(found[-1]), flush=True)
    return found


async def measured_proofs(
    engine: DockerEngine, suite_s: float, folder: Path, *, waiting: bool
) -> list[float]:
    """Two proofs on one base, of other changes whose tests need all of them: their ratios."""
    archive = tar_of(tree(suite_s, waiting=waiting), folder / f"proof-{suite_s}.tar")
    spec = SandboxSpec(
        image=BASE_IMAGE, limits=Limits(), run_id="gate", purpose="bench", installation="bench"
    )

    async def open_base() -> Sandbox:
        return await engine.open(spec, archive)

    ratios = []
    for hunks in (1, 3):
        checks = "".join(f"    assert prices.rate_{n}(100) == {n + 1}\n" for n in range(hunks))
        test = f"import prices\n\n\ndef test_rate_at_the_limit():\n{checks}"
        changes = {MODULE: module(hunks), TEST: test}
        change = Change(
            base="b" * 40,
            head=f"{hunks}" * 40,
            patch=patch(changes, {MODULE: module(0)}),
            issue=Issue(title="The rate is wrong for 100", body="It should be the lower one."),
            test_command="python3 -m pytest -q",
            kept_base=KeptBase(
                folder=str(folder / "kept"),
                repository="bench/proof",
                commit=f"{suite_s}",
                environment=BASE_IMAGE,
            ),
            at_once=min(2, os.cpu_count() or 1),
        )
        sandbox = await open_base()
        await sandbox.apply(change.patch)
        begun = time.perf_counter()
        await run_suite(sandbox, change.test_command)
        floor = time.perf_counter() - begun
        await sandbox.close()
        begun = time.perf_counter()
        proof = await prove_change(change, open_base, lambda _: None)
        wall = time.perf_counter() - begun
        assert proof.verdict == "proven", proof.missing
        assert all(hunk.needed_by for hunk in proof.judged.hunks) if proof.judged else False
        ratios.append(wall / floor)
        which = "second" if len(ratios) == 2 else "first"
        print(f"| {floor:.1f} | {hunks} | {which} | {wall:.1f} | {ratios[-1]:.2f} |", flush=True)
    return ratios


def shown(row: Measured) -> str:
    """One line of the table."""
    base = "kept" if row.kept else "cold"
    return (
        f"| {row.suite_s:.1f} | {row.hunks} | {base} | {row.gate_s:.1f} | {row.ratio:.1f} "
        f"| {row.left_out} | {'yes' if row.met else 'no'} |"
    )


async def main() -> int:
    """Measure; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suites", nargs="+", type=float, default=[0.5, 5.0, 60.0])
    parser.add_argument("--hunks", nargs="+", type=int, default=[1, 3, 8])
    parser.add_argument("--proofs", action="store_true", help="proofs alone")
    parser.add_argument("--goals", action="store_true", help="fail where a goal is missed")
    parser.add_argument("--waiting", action="store_true", help="tests wait instead of computing")
    asked = parser.parse_args()
    engine = DockerEngine("")
    rows: list[Measured] = []
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print("| suite s | hunks | base | submission s | ratio | parts left out | goal met |")
    print("|---|---|---|---|---|---|---|")
    try:
        with tempfile.TemporaryDirectory() as folder:
            for suite_s in () if asked.proofs else asked.suites:
                rows += await measured(
                    engine, suite_s, asked.hunks, Path(folder), waiting=asked.waiting
                )
            met = all(row.met for row in rows)
            print("\n| suite with the change s | hunks | proof on the base | s | ratio |")
            print("|---|---|---|---|---|")
            for suite_s in asked.suites:
                _, second = await measured_proofs(
                    engine, suite_s, Path(folder), waiting=asked.waiting
                )
                met = met and (second <= SECOND_PROOF or suite_s < PROOF_S)
    finally:
        await engine.close()
    return 1 if asked.goals and not met else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
