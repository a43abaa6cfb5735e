"""The words about a patch that could not be published."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from app.publishing.markers import branch_names, possible_names
from app.publishing.obstacles import KINDS, Obstacle
from app.publishing.publication import Publication
from app.publishing.pull_request import CHECK_LIMIT
from app.publishing.shown_patch import WITHHELD, show_patch, withhold
from app.publishing.unpublished import unpublished_comment
from app.repo_config.schema import Language
from app.sanitize.markdown import octets, units
from tests.support.markdown import outside_code
from tests.support.runs.proven import FACTS, PATCH, SUBMITTED, UNPROVEN, WHOLE

HOSTILE = "```\n````\n</details> @octocat fixes #3 <img src=x> [l](https://e.example) \x1b[31m"
NEW = "diff --git a/n b/n\nnew file mode 100644\n--- /dev/null\n+++ b/n\n@@ -0,0 +1,2 @@\n+a\n+b\n"


def comment(kind: str, language: Language = "en", **more: object) -> str:
    facts = replace(FACTS, language=language)
    publication = Publication(obstacle=Obstacle(kind, **more))  # type: ignore[arg-type]
    return unpublished_comment(facts, WHOLE, publication, "")


@pytest.mark.parametrize("language", get_args(Language))
def test_every_kind_has_its_reason_and_its_advice(language: Language) -> None:
    said = {kind: comment(kind, language) for kind in KINDS}
    headlines = {text.split("\n")[0] for text in said.values()}
    advice = {text.split("\n")[2] for text in said.values()}
    assert len(headlines) == len(advice) == len(KINDS)
    first = {"en": "Fix proven, but it could not be published", "de": "Der Fix ist nachgewiesen"}
    assert all(line.startswith(f"**{first[language]}") for line in headlines)
    assert not any("\\_" in line for line in headlines | advice)  # ours, so not escaped


def test_hostile_words_of_a_server_are_inert() -> None:
    said = comment("rule", words=(*HOSTILE.split("\n"),), detail=HOSTILE)
    assert "\x1b" not in said
    text = outside_code(said)
    assert "&lt;img" in text
    for hostile in ("<img", "@octocat", "](https://e.example)"):
        assert hostile not in text
    assert text.count("<details>") == text.count("</details>") == said.count("<details>")


def test_a_server_that_quotes_a_token_does_not_publish_it() -> None:
    token = "ghp_" + "a1B2" * 9
    assert token not in comment("rule", words=(f"token {token} refused",), detail=token)


def test_a_servers_own_words_are_not_preceded_by_others() -> None:
    refused = Publication(obstacle=Obstacle("signatures", words=("Commits must be signed.",)))
    said = unpublished_comment(FACTS, WHOLE, refused, "The fix could not be pushed.")
    assert "Commits must be signed." in said
    assert "could not be pushed" not in said
    unknown = Publication(obstacle=Obstacle("other"))
    assert "It was odd." in unpublished_comment(FACTS, WHOLE, unknown, "It was odd.")


def test_people_are_told_of_another_try_where_it_is_of_use() -> None:
    assert "When this is done, comment `/patchwright publish`" in comment("signatures")
    assert "To try again, comment `/patchwright publish`" in comment("stopped")
    for kind in ("own_secret", "unusable", "transferred", "nothing_new"):
        assert "/patchwright publish" not in comment(kind)


def test_no_branch_is_named_that_was_deleted() -> None:
    def said(kind: str) -> str:
        there = Publication(branch="pw/1", commit="c" * 40, obstacle=Obstacle(kind))
        return unpublished_comment(FACTS, WHOLE, there, "")

    assert "on the branch `pw/1`" in said("drafts")
    assert "on the branch `pw/1`" not in said("head_gone")


def test_without_a_page_for_people_the_operator_is_named() -> None:
    hidden = Publication(obstacle=Obstacle("secret"))
    said = unpublished_comment(replace(FACTS, run_url=""), WHOLE, hidden, "")
    assert "The operator can read the whole patch" in said
    assert "```diff" not in said


def test_an_unproven_patch_is_not_called_proven() -> None:
    state = replace(WHOLE, verdict=UNPROVEN)
    said = unpublished_comment(FACTS, state, Publication(obstacle=Obstacle("drafts")), "")
    assert "not proven" in said.split("\n")[0]
    assert "Fix proven" not in said


def test_a_long_patch_is_cut_between_files_and_the_comment_fits() -> None:
    long = "".join(NEW.replace("/n", f"/n{n}").replace("+a\n", "+é😀" * 500) for n in range(40))
    submitted = SUBMITTED.model_copy(update={"patch": long})
    state = replace(WHOLE, submitted=submitted, verdict=None)
    said = unpublished_comment(FACTS, state, Publication(obstacle=Obstacle("rule")), "")
    assert units(said) < 65_536
    assert "of 40 files" in said
    assert f"[the whole patch]({FACTS.run_url}/logs/patch)" in said
    assert "git apply --index fix.patch" in said
    publication = Publication(obstacle=Obstacle("rule"))
    check = unpublished_comment(FACTS, state, publication, "", limit=CHECK_LIMIT, size=octets)
    assert len(check.encode()) < 65_536, "a check's summary is counted in bytes"
    assert "of 40 files" in check


def test_lines_with_secrets_are_left_out_by_path_and_line() -> None:
    shown = withhold(PATCH + NEW, frozenset({"shop/cart.py:3", "n:1"}))
    assert shown.count(WITHHELD) == 2
    assert f"+c\n+{WITHHELD}" in shown
    assert f"+{WITHHELD}\n+b" in shown
    assert not show_patch(PATCH, 10_000, ("shop/cart.py:3",)).exact


@pytest.mark.parametrize("odd", ["+a\r\n", "+a\u202eb\n", "+key = 'AKIA" + "QWERTYUIOPASDFGH'\n"])
def test_what_is_not_the_patchs_own_text_is_not_offered_for_applying(odd: str) -> None:
    shown = show_patch(NEW.replace("+a\n", odd), 10_000)
    assert shown.files == 1
    assert not shown.exact


def test_a_whole_patch_is_shown_as_it_is() -> None:
    shown = show_patch(PATCH, 10_000)
    assert (shown.files, shown.of, shown.exact) == (1, 1, True)
    assert PATCH in shown.text


NAMES = branch_names(FACTS)


@pytest.mark.parametrize(
    ("existing", "best"),
    [
        ((), 0),
        ((NAMES[0],), 0),  # whose commits it has is for the push to find out
        (("patchwright",), 2),
        (("Patchwright",), 2),
        ((f"{NAMES[0]}/more",), 1),
        ((NAMES[0].upper(),), 1),
        (("patchwright", f"{NAMES[2]}/x"), 3),
        (("patchwrights", "other/patchwright"), 0),
    ],
)
def test_the_first_name_that_git_can_keep_is_taken(existing: tuple[str, ...], best: int) -> None:
    assert possible_names(NAMES, existing)[0] == NAMES[best]


def test_no_name_is_left_when_all_are_in_the_way() -> None:
    assert possible_names(NAMES, ("patchwright", *(f"{name}/x" for name in NAMES))) == ()
