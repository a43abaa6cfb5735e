"""Templates of repositories, owners, co-authors, checks and settings comments: what is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import pytest

from agent.journal.events import Check, GateJudged, HunkEvidence
from app.git.files import first_file
from app.github.records import ReviewRules
from app.publishing.code_owners import MOST_REVIEWERS, Owners, owners_of
from app.publishing.comments import settings_comment, status_comment
from app.publishing.pull_request import (
    LONGEST_TITLE,
    check_annotations,
    check_report,
    commit_message,
    merge_needs,
    pull_body,
    pull_title,
)
from app.publishing.pull_template import Part, fill, places
from app.repo_config.parser import read_repo_config
from app.repo_config.schema import Language
from app.sanitize.markdown import CUT_NOTE, Markdown
from tests.support.runs.proven import FACTS, PATCH, UNPROVEN, WHOLE
from tests.support.runs.world import make_remote

TEMPLATE = """\
<!-- Thanks for your pull request! Read CONTRIBUTING first. -->
## Description

<!-- What does it change? -->

Fixes # (issue)

## Type of change

- [ ] Bug fix
- [ ] New feature

## How Has This Been Tested?

- [ ] Unit tests

```sh
# not a heading
```

## Checklist:

- [ ] I have read the guide, @acme/reviewers told me, see #12
"""
PARTS: dict[Part, Markdown] = {
    "summary": Markdown("OUR SUMMARY"),
    "cause": Markdown("OUR CAUSE"),
    "proof": Markdown("OUR PROOF"),
    "risk": Markdown("OUR RISK"),
    "issue": Markdown("Fixes #7"),
}


def test_sections_are_filled_and_the_rest_stays() -> None:
    filled = fill(TEMPLATE, PARTS)
    assert filled is not None
    assert filled.placed == {"summary", "proof"}
    text = filled.text
    order = ("## Description", "OUR SUMMARY", "## Type of change", "- [ ] Bug fix", "OUR PROOF")
    assert [text.index(words) for words in order] == sorted(text.index(words) for words in order)
    assert "- [ ] Unit tests" in text  # a question to a person
    assert "<!--" not in text
    assert "@acme/reviewers" not in text and "reviewers told me" in text
    assert "#12" not in text


def test_parts_stand_where_a_template_names_them() -> None:
    template = """Ours first.
<!-- patchwright:cause -->
## Testing
By hand, and:
<!-- PATCHWRIGHT:proof --> <!-- patchwright:proof --><!-- patchwright:nothing -->
## Description
"""
    theirs = PARTS | {"summary": Markdown("\ue000cause\ue000 OUR SUMMARY")}
    filled = fill(template, theirs)
    assert filled is not None
    assert filled.placed == {"cause", "proof", "summary"}
    lines = [line for line in filled.text.split("\n") if line.strip()]
    assert lines == [
        "Ours first.",
        "OUR CAUSE",
        "## Testing",
        "By hand, and:",
        "OUR PROOF",
        "## Description",
        "\ue000cause\ue000 OUR SUMMARY",
    ]


def test_a_template_without_a_place_or_a_known_heading_is_none_of_ours() -> None:
    assert fill("# Checklist\n\n- [ ] I agree\n<!-- patchwright:nothing -->", PARTS) is None


def test_the_template_that_the_settings_name_comes_first(tmp_path: Path) -> None:
    named = ".github/PULL_REQUEST_TEMPLATE/fix.md"
    files = {named: "named", ".github/pull_request_template.md": "the only one"}
    make_remote(remote := tmp_path / "remote.git", files)
    assert first_file(remote, "main", places(named)) == b"named"
    assert first_file(remote, "main", places("")) == b"the only one"
    assert first_file(remote, "main", places("docs/gone.md")) == b"the only one"


def test_titles_are_made_as_the_repository_wants() -> None:
    def title(template: str, issue_title: str = "Sum {issue} is @octo wrong") -> str:
        facts = replace(FACTS, title_template=template, title_prefix="[bot] ")
        return pull_title(replace(facts, issue_title=issue_title, issue_number=7), WHOLE)

    plain = title("")
    assert title("{title}") == plain
    assert title("#{issue}: {{fix}} {issue_title}") == (
        "[bot] #7: {fix} Sum {issue} is @\u200bocto wrong"
    )
    assert title("{summary} ({issue})").endswith(" (7)")
    assert len(title("{title} {issue_title} {summary}", "x" * 500)) <= LONGEST_TITLE
    unready = replace(FACTS, title_template="{issue}: {title}", issue_number=7)
    assert pull_title(unready, WHOLE, ready=False).startswith("Not ready: 7: ")


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{title} {author}", "there is no field {author}; the fields are {title}, {issue}"),
        ("{0}", "there is no field {0}"),
        ("{}", "there is no field {}"),
        ("{title.__class__}", "there is no field {title.__class__}"),
        ("{title!r}", "{title} takes no format"),
        ("{title:>99999999}", "{title} takes no format"),
        ("{title", "a brace has no partner"),
        ("Fix", "every title would be the same"),
        ("{title}\u0007", "one line"),
    ],
)
def test_a_mistake_in_a_title_template_is_named(template: str, why: str) -> None:
    text = f"pull_request:\n  title: {json.dumps(template)}\n"
    [problem] = read_repo_config(text.encode()).problems
    assert why in problem.reason
    assert problem.line == 2


def test_what_needs_each_hunk_is_a_list_that_narrow_screens_can_wrap() -> None:
    hunks = (
        HunkEvidence(path="shop/cart.py", line=12, needed_by="tests/test_cart.py::test_sum"),
        HunkEvidence(path="shop/cart.py", line=30, reason="the same | slice"),
        HunkEvidence(path="shop/cart.py", line=40, tried=False),
    )
    assert WHOLE.verdict is not None
    verdict = WHOLE.verdict.model_copy(update={"hunks": hunks})
    body = pull_body(FACTS, replace(WHOLE, verdict=verdict))
    assert "- `shop/cart.py:12`: tests/test\\_cart.py::test\\_sum\n" in body
    assert "- `shop/cart.py:30`: not exercised by any test: the same" in body
    assert "- `shop/cart.py:40`: not tried\n" in body


def test_the_body_says_nothing_twice() -> None:
    body = pull_body(FACTS, WHOLE, TEMPLATE)
    assert body.startswith("<!-- patchwright:pull run=01J0RUN -->\n## Description\n")
    assert body.count("Start at `0`.") == 1
    assert body.count("1 failed in 0.1s") == 1
    assert "## The change" not in body and "## Proof" not in body
    assert "## Root cause" in body and "## What was not checked" in body
    assert "\nFixes #7\n" in body


@pytest.mark.parametrize("template", ["", "Just words.\n", "# Welcome\n\nHello\n", "<!-- # What"])
def test_a_template_without_known_sections_changes_nothing(template: str) -> None:
    assert fill(template, PARTS) is None
    assert pull_body(FACTS, WHOLE, template) == pull_body(FACTS, WHOLE)


def test_bold_lines_are_headings_too_and_each_part_stands_once() -> None:
    filled = fill("**What**\n\nx\n\n**Why:**\n\ny\n\n## Summary\n\nkept\n", PARTS)
    assert filled is not None
    assert filled.text.count("OUR SUMMARY") == 1
    assert "OUR CAUSE" in filled.text and "kept" in filled.text


def test_owners_of_the_changed_files() -> None:
    rules = b"* @ann\n/shop/ @acme/shop-team @bob a@b.example @zoo/strangers\n*.md\n"
    assert owners_of(rules, ["shop/cart.py"], "Acme") == Owners(("bob",), ("shop-team",))
    assert owners_of(rules, ["shop/a.py", "x.py"], "acme").people == ("bob", "ann")
    assert owners_of(rules, ["README.md"], "acme") == Owners()
    many = b"* " + b" ".join(b"@u%d" % n for n in range(40))
    assert len(owners_of(many, ["a"], "acme").people) == MOST_REVIEWERS
    assert owners_of(b"\xff\xfe [ \n", ["a"], "acme") == Owners()


def test_small_files_are_found_whatever_their_case(tmp_path: Path) -> None:
    remote = tmp_path / "r.git"
    make_remote(remote, {".github/PULL_REQUEST_TEMPLATE.md": "T", "docs/CODEOWNERS": "* @a"})
    places = ("none/x", "pull_request_template.md", ".github/pull_request_template.md")
    assert first_file(remote, "main", places) == b"T"
    assert first_file(remote, "main", ("CODEOWNERS", "docs/CODEOWNERS")) == b"* @a"
    assert first_file(remote, "main", ("docs", "absent")) is None


def test_the_reporter_is_named_only_in_a_form_that_is_safe() -> None:
    who = replace(FACTS, reporter="ann-b", reporter_id=12)
    message = commit_message(who, WHOLE, "pw[bot]", "pw@users.example")
    assert message.split("\n")[-5:] == [
        "",
        f"Patchwright-Run: {FACTS.run_url}",
        "Co-authored-by: ann-b <12+ann-b@users.noreply.github.com>",
        "Signed-off-by: pw[bot] <pw@users.example>",
        "",
    ]
    evil = replace(FACTS, reporter="x>\nSigned-off-by: root <r")
    assert "Co-authored-by" not in commit_message(evil, WHOLE, "pw[bot]", "p@e")
    assert "root <r" not in commit_message(evil, WHOLE, "pw[bot]", "p@e")


def test_the_check_carries_the_proof_and_points_at_the_lines() -> None:
    report = check_report(FACTS, WHOLE, "f" * 40)
    assert (report.conclusion, report.external_id) == ("success", "patchwright:01J0RUN")
    assert "fails before, passes after" in report.summary
    assert report.details_url == FACTS.run_url
    (remark,) = report.annotations
    assert (remark.path, remark.first_line, remark.last_line) == ("shop/cart.py", 2, 3)
    assert remark.message == "Start at `0`."
    unproven = check_report(FACTS, replace(WHOLE, verdict=UNPROVEN), "f" * 40)
    assert (unproven.conclusion, unproven.title) == ("neutral", "Not proven")


def test_a_check_is_cut_by_its_bytes_which_github_counts() -> None:
    assert WHOLE.verdict is not None
    checks = tuple(Check(name=f"検{n}", ok=True, detail="検" * 900) for n in range(400))
    verdict = WHOLE.verdict.model_copy(update={"checks": checks})
    said = check_report(FACTS, replace(WHOLE, verdict=verdict), "1" * 40).summary
    assert 60_000 < len(said.encode()) <= 65_535
    assert CUT_NOTE in said


def test_no_more_remarks_than_github_takes() -> None:
    hunks = "".join(f"@@ -{n},1 +{n},1 @@\n-a\n+b\n" for n in range(1, 300, 3))
    patch = f"diff --git a/x b/x\n--- a/x\n+++ b/x\n{hunks}"
    state = replace(WHOLE, verdict=GateJudged(verdict="proven", patch=patch))
    assert len(check_annotations(FACTS, state)) == 50
    deleted = PATCH.replace("+c\n+d\n", "").replace("+1,3", "+1,1")
    assert (
        check_annotations(
            FACTS, replace(WHOLE, verdict=GateJudged(verdict="proven", patch=deleted))
        )
        == ()
    )


def test_a_faulty_settings_file_is_told_with_its_line() -> None:
    found = read_repo_config(b"modle: '@octocat'\nattempts: 0\n", b"x: 1\n")
    text = settings_comment(found.problems, stopped=False, language="en")
    assert "**`.github/patchwright.yml` has 3 mistakes.**" in text
    assert "line 1: modle: there is no such setting; did you mean model?" in text
    assert "the organisation's file, line 1" in text
    assert "as if the file did not exist" in text
    stopped = settings_comment(found.problems[:1], stopped=True, language="en")
    assert "has 1 mistake.**" in stopped and "The run was stopped" in stopped


def test_the_status_tells_queue_cost_remarks_and_ends() -> None:
    waiting = replace(FACTS, queue_place=3, waits_for="at most 2 runs at once overall")
    text = status_comment(waiting, "queued", replace(WHOLE, verdict=None))
    assert "place 3 in the queue" in text and "at most 2 runs at once overall" in text
    assert "GPU seconds" not in text
    costly = replace(FACTS, gpu_seconds=12.6, remarks=("The model `x` is not offered here.",))
    text = status_comment(costly, "debugging", WHOLE)
    assert "GPU seconds: 13\n" in text and "- The model `x` is not offered here." in text
    ended = replace(FACTS, ending="The issue was closed meanwhile.")
    text = status_comment(ended, "done", WHOLE)
    assert text.startswith("**Patchwright stopped.** The issue was closed meanwhile.")


@pytest.mark.parametrize(
    ("language", "said"), [("en", "set-up failed"), ("de", "Einrichtung des Repositorys")]
)
def test_a_set_up_that_the_model_found_is_proposed_as_it_stands(
    language: Literal["en", "de"], said: str
) -> None:
    recipe = "setup:\n  - 'pip install \"made<2\" # @everyone'\n"
    found = replace(FACTS, recipe=recipe, language=language)
    for text in (pull_body(found, WHOLE), status_comment(found, "done", WHOLE)):
        assert said in text
        assert f"```yaml\n{recipe}```" in text
    plain = replace(FACTS, language=language)
    assert said not in pull_body(plain, WHOLE) + status_comment(plain, "done", WHOLE)


def test_what_the_branch_asks_of_reviews_is_told_and_nothing_where_it_asks_nothing() -> None:
    assert merge_needs(ReviewRules()) == ()
    all_of_it = ReviewRules(1, last_push=True, code_owners=True, conversations=True)
    for language in get_args(Language):
        assert len(merge_needs(all_of_it, language)) == 4
    assert merge_needs(ReviewRules(3)) == ("3 approving reviews of people with write access.",)
    heading = "## Before it can be merged"
    assert heading not in pull_body(FACTS, WHOLE)
    told = pull_body(replace(FACTS, base_branch="a`b", reviews=ReviewRules(2)), WHOLE)
    assert heading in told and "The rules of ``a`b`` ask for this" in told


def test_who_asked_for_it_is_a_co_author_where_that_is_wanted_and_nobody_twice() -> None:
    asked = replace(
        FACTS, reporter="ann", requester="Ann", requester_id=3, co_author_requester=True
    )
    message = commit_message(asked, WHOLE, "pw[bot]", "pw@users.example")
    assert message.count("Co-authored-by: ") == 1
    both = replace(asked, requester="bob")
    assert "\nCo-authored-by: bob <3+bob@users.noreply.github.com>\n" in commit_message(
        both, WHOLE, "pw[bot]", "pw@users.example"
    )
    for requester in ("renovate[bot]", "eve\nSigned-off-by: eve <e@x>", ""):
        other = commit_message(
            replace(both, requester=requester), WHOLE, "pw[bot]", "pw@users.example"
        )
        assert other.count("-by: ") == 2
