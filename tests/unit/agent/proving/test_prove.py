"""The proof of people's changes as a whole, over temporary folders instead of containers."""

from __future__ import annotations

from collections.abc import Mapping

from agent.proving.prove import prove_change, without_binary_files
from agent.proving.records import Change, ChangeProof
from sandbox.protocol import Sandbox
from tests.doubles import gate_case as case
from tests.doubles.local_sandbox import LocalSandbox

TEST = "\n\ndef test_total_of_two():\n    assert total(['2.50', '4.00']) == 650\n"
MORE = case.TESTS + TEST
BINARY = (
    "diff --git a/logo.png b/logo.png\nnew file mode 100644\nindex 000..111\n"
    "GIT binary patch\nliteral 1\nIcmZPo000310RR91\n\nliteral 0\nHcmV?d00001\n\n"
)


async def proof(
    changes: Mapping[str, str | None],
    repository: Mapping[str, str] = case.REPOSITORY,
    *,
    more: str = "",
    at_once: int = 1,
) -> ChangeProof:
    """The proof of a change of these files, with `more` at the end of its patch."""
    opened: list[LocalSandbox] = []

    async def open_base() -> Sandbox:
        opened.append(LocalSandbox(dict(repository)))
        return opened[-1]

    change = Change(
        base="b" * 40,
        head="c" * 40,
        patch=case.patch(changes, repository) + more,
        issue=case.ISSUE,
        test_command="python3 -m pytest",
        test_timeout_s=60,
        at_once=at_once,
    )
    found = await prove_change(change, open_base, lambda _: None)
    assert not any(box.root.exists() for box in opened), "a sandbox was left open"
    return found


def whole(found: ChangeProof) -> str:
    return found.model_dump_json(indent=1)


async def test_a_test_that_fails_without_the_change_and_passes_with_it_proves_it() -> None:
    shape = case.FIXED.replace("max(cents(row) for row in rows)", "max([cents(r) for r in rows])")
    changes = {"shop/stats.py": shape, "tests/test_shop.py": MORE}
    workflow = {".github/workflows/ci.yml": "on: push\n"}
    found = await proof({**changes, **workflow}, more=BINARY, at_once=2)
    assert found.verdict == "proven", whole(found)
    assert found.named("shows the bug") == ("tests/test_shop.py::test_total_of_two",)
    assert "assert 400 == 650" in found.tests[0].message
    assert found.missing == () and found.broken == ()
    assert found.judged is not None
    assert [h.needed_by for h in found.judged.hunks] == ["the reproduction", ""]
    # Rules for models are findings here, and what cannot be judged is said.
    assert any(".github/workflows/ci.yml" in finding.detail for finding in found.findings)
    assert found.left_out[0] == "Binary files, which cannot be judged: logo.png."


async def test_tests_that_are_green_on_the_base_prove_nothing_and_are_named() -> None:
    easy = case.TESTS + "\n\ndef test_total_of_none():\n    assert total([]) == 0\n"
    found = await proof({"shop/stats.py": case.FIXED, "tests/test_shop.py": easy})
    assert found.verdict == "unproven"
    assert "test_total_of_none" in found.missing[0] and "prove nothing" in found.missing[0]
    assert found.broken == ()


async def test_without_a_test_nothing_shows_the_bug() -> None:
    found = await proof({"shop/stats.py": case.FIXED})
    assert found.verdict == "unproven"
    assert found.missing == ("Nothing shows the bug: the change adds or changes no test.",)


async def test_tests_without_the_source_change_fail_on_both_sides() -> None:
    found = await proof({"tests/test_shop.py": MORE})
    assert found.verdict == "unproven"
    assert found.named("fails with the change") == ("tests/test_shop.py::test_total_of_two",)
    assert "These tests fail with the change" in found.missing[0]


async def test_what_passed_and_now_fails_is_a_failure() -> None:
    worse = case.FIXED.replace("max(", "min(")
    found = await proof({"shop/stats.py": worse, "tests/test_shop.py": MORE})
    assert found.verdict == "failed", whole(found)
    assert found.broken == ("tests/test_shop.py::test_largest",)


async def test_an_existing_test_may_be_edited_if_the_change_contradicts_it() -> None:
    former = MORE.replace("650", "400")
    base = {**case.REPOSITORY, "tests/test_shop.py": former}
    found = await proof({"shop/stats.py": case.FIXED, "tests/test_shop.py": MORE}, base)
    assert found.verdict == "proven", whole(found)
    edited = [f.detail for f in found.findings if f.rule == "changed tests"]
    assert "tests/test_shop.py::test_total_of_two" in edited[0]


async def test_a_loosened_test_hides_nothing() -> None:
    """The change breaks what a test asks for, and edits that test beside a test of its own."""
    worse = case.FIXED.replace("max(", "min(")
    loosened = MORE.replace("== 300", ">= 100")
    found = await proof({"shop/stats.py": worse, "tests/test_shop.py": loosened})
    assert found.verdict == "unproven", whole(found)
    assert "test_largest" in " ".join(found.missing)
    assert any("test_largest" in f.detail for f in found.findings if f.rule == "tests are kept")


async def test_a_test_of_something_new_shows_no_bug() -> None:
    new = {
        "tests/test_new.py": "from shop.stats import least\n\n\ndef test_least():\n    least()\n"
    }
    source = case.STATS + "\n\ndef least():\n    return 0\n"
    found = await proof({"shop/stats.py": source, **new})
    assert found.verdict == "unproven"
    assert "something is new" in found.missing[0]


def test_a_patch_without_its_binary_files_is_what_is_left() -> None:
    text = case.patch({"shop/stats.py": case.FIXED})
    assert without_binary_files(BINARY + text) == (text, ("logo.png",))


async def test_what_is_no_patch_is_said_in_a_sentence() -> None:
    found = await proof({"shop/stats.py": case.FIXED}, more="nonsense\n")
    assert found.verdict == "unproven"
    assert len(found.missing) == 1 and "patch" in found.missing[0]
