"""The proof of people's changes as a whole, over temporary folders instead of containers."""

from __future__ import annotations

from pathlib import Path

from agent.proving.prove import without_binary_files
from agent.proving.records import ChangeProof
from tests.doubles import gate_case as case
from tests.support.agent.proofs import proof

TEST = "\n\ndef test_total_of_two():\n    assert total(['2.50', '4.00']) == 650\n"
MORE = case.TESTS + TEST
BINARY = (
    "diff --git a/logo.png b/logo.png\nnew file mode 100644\nindex 000..111\n"
    "GIT binary patch\nliteral 1\nIcmZPo000310RR91\n\nliteral 0\nHcmV?d00001\n\n"
)


def whole(found: ChangeProof) -> str:
    return found.model_dump_json(indent=1)


async def test_a_test_that_fails_without_the_change_and_passes_with_it_proves_it() -> None:
    shape = case.FIXED.replace("max(cents(row) for row in rows)", "max([cents(r) for r in rows])")
    settings = case.REPOSITORY["pyproject.toml"]
    forbidden_to_models = {
        ".github/workflows/ci.yml": "on: push\n",
        "pyproject.toml": settings.replace('"1"\n', '"1"\ndependencies = ["x"]\n', 1).replace(
            '"-ra"', '"-rA"'
        ),
        "requirements.txt": "attrs\n",
        "tests/conftest.py": "def pytest_runtest_setup(item):\n    item.name\n",
    }
    changes = {"shop/stats.py": shape, "tests/test_shop.py": MORE, **forbidden_to_models}
    said: list[str] = []
    found = await proof(changes, more=BINARY, at_once=2, said=said)
    assert found.verdict == "proven" and found.shows == "a bug", whole(found)
    assert found.named("shows the bug") == ("tests/test_shop.py::test_total_of_two",)
    assert "assert 400 == 650" in found.tests[0].message
    assert found.missing == () and found.broken == ()
    assert found.judged is not None
    assert [h.needed_by for h in found.judged.hunks] == ["the reproduction", ""]
    assert any("test suite with the patch, again" in line for line in said)
    # Rules for models are findings here, and what cannot be judged is said.
    told = "\n".join(finding.detail for finding in found.findings)
    assert all(path in told for path in forbidden_to_models), told
    assert {"patch", "test options are kept"} <= {finding.rule for finding in found.findings}
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


async def test_without_one_of_its_hunks_a_fix_is_not_proven() -> None:
    """Its tests need both; with one alone some of them fail still."""
    more = MORE + "\n\ndef test_largest_of_none():\n    assert largest([]) == 0\n"
    both = case.FIXED.replace("for row in rows)", "for row in rows) if rows else 0", 1)
    assert both != case.FIXED
    for source, proven in ((both, True), (case.FIXED, False)):
        found = await proof({"shop/stats.py": source, "tests/test_shop.py": more})
        assert (found.verdict == "proven") is proven, whole(found)
    assert "test_largest_of_none" in " ".join(found.missing)


async def test_what_passed_and_now_fails_is_a_failure() -> None:
    worse = case.FIXED.replace("max(", "min(")
    found = await proof({"shop/stats.py": worse, "tests/test_shop.py": MORE})
    assert found.verdict == "failed", whole(found)
    assert found.broken == ("tests/test_shop.py::test_largest",)


async def test_a_test_that_fails_only_after_others_is_no_flaky_one() -> None:
    """The change leaves something behind, by which another test fails; alone that passes."""
    leaving = case.FIXED.replace("    result = 0\n", "    result = 0\n    SEEN.append(rows)\n", 1)
    changes = {"shop/stats.py": f"{leaving}\n\nSEEN = []\n", "tests/test_shop.py": MORE}
    later = "from shop import stats\n\n\ndef test_clean():\n"
    later += "    assert getattr(stats, 'SEEN', []) == []\n"
    found = await proof(changes, {**case.REPOSITORY, "tests/test_zero.py": later})
    assert found.verdict == "failed", whole(found)
    assert found.broken == ("tests/test_zero.py::test_clean",)


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


async def test_tests_may_be_edited_renamed_and_taken_out_where_they_hold_with_the_change() -> None:
    asking_more = case.TESTS.replace(
        "    assert mean([]) == 0", "    assert mean([]) == 0\n    assert total(['1.00']) == 100"
    )
    tests = asking_more.replace("def test_largest", "def test_most").partition("def test_cents")
    without_one = tests[0] + "def test_no_rows" + tests[2].partition("def test_no_rows")[2]
    said: list[str] = []
    found = await proof({"shop/stats.py": case.FIXED, "tests/test_shop.py": without_one}, said=said)
    assert found.verdict == "proven", whole(found)
    assert found.named("shows the bug") == ("tests/test_shop.py::test_no_rows",)
    assert any("test_cents" in f.detail for f in found.findings if f.rule == "tests are kept")
    # Its one hunk is needed, so nothing is left that another run of the suite could tell.
    assert not any("again" in line for line in said), said


async def test_a_test_that_fails_now_and_then_keeps_no_right_change_from_its_proof(
    tmp_path: Path,
) -> None:
    """It fails in the first of all runs, which is one with the change, and then never again."""
    count = tmp_path / "runs"
    flaky = (
        "from pathlib import Path\n\n\ndef test_sometimes():\n"
        f"    runs = Path({str(count)!r})\n"
        "    ran = len(runs.read_text()) if runs.exists() else 0\n"
        "    runs.write_text('.' * (ran + 1))\n    assert ran\n"
    )
    base = {**case.REPOSITORY, "tests/test_flaky.py": flaky}
    changes = {"shop/stats.py": case.FIXED, "tests/test_shop.py": MORE}
    found = await proof(changes, base, steady="tests/test_shop.py")
    assert found.verdict == "proven", whole(found)
    assert found.flaky == ("tests/test_flaky.py::test_sometimes",) and found.broken == ()
    assert found.judged is not None
    suite = next(check for check in found.judged.checks if check.name == "test suite")
    assert "Flaky and not counted: tests/test_flaky.py::test_sometimes." in suite.detail


async def test_red_for_want_of_a_name_is_no_bug_fix() -> None:
    tests = case.TESTS + (
        "\n\ndef test_least():\n    from shop import stats\n\n"
        "    assert stats.least(['2.00', '1.00']) == 100\n"
    )
    source = case.STATS + "\n\ndef least(rows):\n    return min(cents(row) for row in rows)\n"
    found = await proof({"shop/stats.py": source, "tests/test_shop.py": tests})
    assert found.verdict == "proven" and found.shows == "something new", whole(found)
    assert found.named("shows the bug") == () and found.wanting == ("least",)


async def test_a_test_that_cannot_be_loaded_without_the_change_shows_no_bug() -> None:
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
