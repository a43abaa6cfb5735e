"""Later rounds prove the pull request's whole change, and what they add by what they found."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.gate.judge import Submission
from agent.journal.events import ReproductionDeclared
from agent.task import Issue
from app.git.mirror import Identity, Mirror
from app.runs.pull_request_proof import WiderProof
from sandbox.protocol import Sandbox
from tests.doubles.local_sandbox import LocalSandbox
from tests.doubles.seeded_policy import FILES, REPRODUCTION, RIGHT, TITLE, WRONG
from tests.support.github.app import git

BOT = Identity("bot", "bot@users.example")
WHEN = datetime(2026, 1, 2, tzinfo=UTC)
PYTEST = "python3 -m pytest -q -p no:cacheprovider"
FIRST = ReproductionDeclared(
    command=f"{PYTEST} tests/test_discount.py",
    files={"tests/test_discount.py": REPRODUCTION},
    expected_failure="AssertionError",
    observed="",
    accepted=True,
)
NEGATIVE = "from shop.prices import total\n\n\ndef test_never_negative():\n"
NEGATIVE += "    assert total([100], 200) == 0\n"
SECOND = ReproductionDeclared(
    command=f"{PYTEST} tests/test_negative.py",
    files={"tests/test_negative.py": NEGATIVE},
    expected_failure="AssertionError",
    observed="",
    accepted=True,
)
FIXED = {
    **FILES,
    "shop/prices.py": FILES["shop/prices.py"].replace(WRONG, RIGHT),
    "tests/test_discount.py": REPRODUCTION,
}
CLAMPED = "    return max(0, amount - amount * discount / 100)\n"


class Case:
    """A repository with the bug at its base and the fix at its head."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        self.work.mkdir()
        git(self.work, "init", "-q", "-b", "main")
        self.base = self.commit(FILES)
        self.head = self.commit(FIXED)
        mirror = Mirror(folder / "mirror.git", str(self.work))
        mirror.fetch()
        self.proof = WiderProof(mirror, self.base, self.head, self.open_base, FIRST)

    def commit(self, files: dict[str, str]) -> str:
        for name, text in files.items():
            (self.work / name).parent.mkdir(parents=True, exist_ok=True)
            (self.work / name).write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "-m", "m")
        return git(self.work, "rev-parse", "HEAD")

    async def open_base(self) -> Sandbox:
        return LocalSandbox(FILES, warm=True)

    async def open_head(self) -> Sandbox:
        return LocalSandbox(FIXED, warm=True)

    async def added(self, **changed: str) -> str:
        """The patch from the head to these files."""
        sandbox = await self.open_head()
        try:
            for name, text in changed.items():
                await sandbox.write(name.replace("__", "/") + ".py", text.encode())
            return await sandbox.diff()
        finally:
            await sandbox.close()

    def submission(self, patch: str, declared: ReproductionDeclared) -> Submission:
        return Submission(
            patch=patch, reproduction=declared, issue=Issue(title=TITLE, body=""), attempt=2
        )


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


async def test_what_a_review_asked_for_is_proven_with_the_whole_and_kept(case: Case) -> None:
    prices = FIXED["shop/prices.py"].replace("amount += price", "amount = amount + price")
    patch = await case.added(shop__prices=prices)
    judged = await case.proof(case.submission(patch, FIRST), case.open_head)
    assert judged.verdict == "proven", judged.reasons
    assert "+        amount = amount + price" in judged.patch, "no test needs it; it was asked for"
    assert "discount / 100" in judged.patch, "the whole change, not only what is new"


async def test_no_change_at_all_is_proven_as_before(case: Case) -> None:
    judged = await case.proof(case.submission("", FIRST), case.open_head)
    assert judged.verdict == "proven", judged.reasons


async def test_taking_the_fix_back_is_not_proven(case: Case) -> None:
    patch = await case.added(shop__prices=FILES["shop/prices.py"] + "\n# as it was\n")
    judged = await case.proof(case.submission(patch, FIRST), case.open_head)
    assert judged.verdict != "proven"


@pytest.mark.long
async def test_another_failure_is_proven_by_its_own_reproduction_as_well(case: Case) -> None:
    prices = FIXED["shop/prices.py"].replace(
        "    return amount - amount * discount / 100\n", CLAMPED
    )
    patch = await case.added(shop__prices=prices, tests__test_negative=NEGATIVE)
    judged = await case.proof(case.submission(patch, SECOND), case.open_head)
    assert judged.verdict == "proven", judged.reasons
    assert "test_never_negative" in judged.patch
    assert sum(check.name == "reproduction" for check in judged.checks) == 2

    # The same without the fixing: the new failure stays, though the old bug is gone.
    only_test = await case.added(tests__test_negative=NEGATIVE)
    judged = await case.proof(case.submission(only_test, SECOND), case.open_head)
    assert judged.verdict != "proven"


async def test_a_patch_that_does_not_fit_the_head_is_refused(case: Case) -> None:
    prices = FIXED["shop/prices.py"].replace("amount += price", "amount = amount + price")
    patch = (await case.added(shop__prices=prices)).replace("amount += price", "amount -= price")
    judged = await case.proof(case.submission(patch, FIRST), case.open_head)
    assert judged.verdict == "refused"
    assert "does not apply" in judged.reasons[0]
