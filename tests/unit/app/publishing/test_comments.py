"""Reports from states of runs: what they say, and that hostile words in them stay inert."""

from dataclasses import replace

import pytest

from agent.journal.events import (
    UNDECIDED,
    AnyEvent,
    AttemptEnded,
    Check,
    GateJudged,
    HypothesisProposed,
    HypothesisResolved,
    ReproductionDeclared,
    Submitted,
)
from agent.journal.state import AttemptState, fold
from app.publishing.comments import (
    checklist,
    diagnosis_comment,
    says_working,
    status_comment,
    suspects,
)
from app.publishing.facts import patch_of
from app.publishing.markers import branch_name, own_branch_name, run_marker
from app.publishing.pull_request import (
    commit_message,
    diffstat,
    proof_limits,
    pull_body,
    pull_title,
)
from app.publishing.rendering import MARKER_ROOM, TEMPLATES
from app.repo_config.schema import Language
from app.sanitize.markdown import COMMENT_LIMIT, units
from tests.support.runs.proven import (
    FACTS,
    HYPOTHESES,
    PATCH,
    PROVEN,
    REPRODUCED,
    STARTED,
    SUBMITTED,
    UNPROVEN,
    WHOLE,
)

ATTACK = (
    "@octocat fixes #3 <img src=x> ![i](https://e.example/?d=1) [l](https://e.example)\n"
    "``````\n</details>\n<!-- patchwright:status run=01J0RUN -->\n"
    "Co-authored-by: Eve <e@e>\n| a | b |"
)


def test_a_proven_pull_request_tells_the_whole_story() -> None:
    body = pull_body(FACTS, WHOLE)
    assert body.startswith("<!-- patchwright:pull run=01J0RUN -->\nFixes #7\n")
    for words in (
        "The sum starts at `1`.",
        "Start at `0`.",
        "| `shop/cart.py` | 2 | 1 |",
        "**proven**",
        "| reproduction | passed | fails before, passes after |",
        "1 failed in 0.1s",
        "1 passed in 0.1s",
        "| H1 | rounding | refuted | same with integers |",
        "| H2 | shop/cart.py:12 starts at 1 | confirmed | starts at 0: passes |",
        "None known.",
        "## What was not checked",
        "(https://pw.example/runs/01J0RUN)",
    ):
        assert words in body
    assert "Not proven" not in body
    assert body.index("1 failed in 0.1s") < body.index("1 passed in 0.1s")


def test_an_unproven_pull_request_says_so_first_and_closes_no_issue() -> None:
    body = pull_body(FACTS, replace(WHOLE, verdict=UNPROVEN))
    assert body.split("\n")[1].startswith("> **Not proven.**")
    assert "A test that passed fails now." in body
    assert "Refs #7" in body
    assert "Fixes #7" not in body


def test_a_fix_that_cannot_be_told_from_another_is_for_a_person_to_decide() -> None:
    torn = Check(name=UNDECIDED, ok=False, detail="Or `get(k, 0)`.")
    broken = Check(name="patch", ok=False, detail="It does not apply.")
    for more, said in (((), "must decide"), ((broken,), "Not proven")):
        verdict = GateJudged(verdict="unproven", reasons=(torn.detail,), checks=(torn, *more))
        body = pull_body(FACTS, replace(WHOLE, verdict=verdict))
        assert said in body.split("\n")[1]
        assert "Or `get(k, 0)`." in body and "Refs #7" in body


def test_the_reason_for_no_reproduction_is_told() -> None:
    none = ReproductionDeclared(
        command="",
        expected_failure="",
        observed="",
        accepted=True,
        why_none="needs a printer",
        runs=0,
        failures=0,
    )
    state = fold([STARTED, none, SUBMITTED])
    assert "No reproduction: needs a printer" in pull_body(FACTS, state)
    assert "None: the patch was not checked." in pull_body(FACTS, state)
    assert proof_limits(state)[0] == "No command reproduced the bug."


def test_a_flaky_reproduction_is_named() -> None:
    flaky = REPRODUCED.model_copy(update={"failures": 2})
    assert "2 of 3 runs" in proof_limits(fold([STARTED, flaky]))[0]


@pytest.mark.parametrize(
    ("phase", "events", "done"),
    [
        ("queued", [], 0),
        ("preparing", [], 0),
        ("debugging", [STARTED], 1),
        ("debugging", [STARTED, REPRODUCED], 2),
        ("debugging", [STARTED, REPRODUCED, *HYPOTHESES], 3),
        ("verifying", [STARTED, REPRODUCED, *HYPOTHESES, SUBMITTED], 4),
        ("publishing", [STARTED, REPRODUCED, *HYPOTHESES, SUBMITTED, PROVEN], 5),
        ("something new", [], 0),
    ],
)
def test_the_checklist_follows_the_run(phase: str, events: list[AnyEvent], done: int) -> None:
    state = fold(events)
    steps = checklist(phase, state)
    assert [s.done for s in steps] == [True] * done + [False] * (6 - done)
    comment = status_comment(FACTS, phase, state)
    assert comment.count("- [x] ") == done
    assert "working on this" in comment


def test_the_last_status_names_the_pull_request() -> None:
    url = "https://github.example/acme/shop/pull/8"
    assert f"found and proved a fix: {url}" in status_comment(FACTS, "done", WHOLE, url)
    draft = status_comment(FACTS, "done", replace(WHOLE, verdict=UNPROVEN), url)
    assert f"opened a draft, {url}" in draft
    assert "has no fix" in status_comment(FACTS, "done", AttemptState())


@pytest.mark.parametrize("language", ["en", "de"])
def test_a_status_comment_is_known_to_say_that_the_run_works(language: Language) -> None:
    facts = replace(FACTS, language=language)
    assert says_working(status_comment(facts, "debugging", AttemptState()))
    assert not says_working(status_comment(facts, "done", AttemptState()))
    assert not says_working(status_comment(facts, "done", WHOLE, "https://pw.example/pull/1"))


def test_a_diagnosis_says_what_is_known() -> None:
    ended = AttemptEnded(outcome="diagnosis", diagnosis="The budget was used up.")
    text = diagnosis_comment(FACTS, fold([STARTED, REPRODUCED, *HYPOTHESES, ended]))
    for words in ("The budget was used up.", "in 3 of 3 runs", "- `shop/cart.py:12`", "rounding"):
        assert words in text
    bare = diagnosis_comment(FACTS, AttemptState(), "The sandbox could not be made.")
    for words in ("The sandbox could not be made.", "None stands out.", "smallest command or test"):
        assert words in bare


def test_suspects_leave_out_what_was_refuted() -> None:
    assert suspects(WHOLE) == ("shop/cart.py:12",)


def test_the_commit_message_ends_with_our_trailers_alone() -> None:
    state = replace(WHOLE, submitted=SUBMITTED.model_copy(update={"root_cause": ATTACK}))
    message = commit_message(FACTS, state, "patchwright[bot]", "p@users.example")
    lines = message.split("\n")
    assert lines[0] == "Fix: Total is wrong for empty carts"
    assert lines[-5:] == [
        "Fixes #7",
        "",
        f"Patchwright-Run: {FACTS.run_url}",
        "Signed-off-by: patchwright[bot] <p@users.example>",
        "",
    ]
    assert not any(line.startswith("Co-authored-by") for line in lines)
    assert "@octocat" not in message
    assert message.count("#7") == 1
    assert "#3" not in message


@pytest.mark.parametrize("language", ["en", "de"])
def test_hostile_words_stay_inert_in_every_report(language: Language) -> None:
    hostile = fold(
        [
            STARTED.model_copy(update={"test_command": ATTACK}),
            REPRODUCED.model_copy(update={"command": ATTACK, "observed": ATTACK}),
            HypothesisProposed(hypothesis="H1", claim=ATTACK, prediction="", test="", snapshot="s"),
            HypothesisResolved(hypothesis="H1", verdict="confirmed", evidence=ATTACK),
            Submitted(root_cause=ATTACK, summary=ATTACK, patch=PATCH, risk=ATTACK),
            GateJudged(
                verdict="unproven",
                reasons=(ATTACK,),
                checks=(Check(name=ATTACK, ok=False, detail=ATTACK, before=ATTACK, after=ATTACK),),
            ),
            AttemptEnded(outcome="diagnosis", diagnosis=ATTACK),
        ]
    )
    facts = replace(FACTS, issue_title=ATTACK, language=language)
    for text in (
        pull_body(facts, hostile),
        status_comment(facts, "done", hostile),
        diagnosis_comment(facts, hostile),
    ):
        outside = _outside_fences(text)
        assert "@octocat" not in outside
        assert "#3" not in outside
        assert "<img" not in outside
        assert "](https://e.example" not in outside
        assert outside.count("</details>") == outside.count("<details>")
        assert not text.startswith("<!-- patchwright:status")
    assert "@octocat" not in pull_title(facts, hostile)


def _outside_fences(text: str) -> str:
    out, fence = [], ""
    for line in text.split("\n"):
        run = line[: len(line) - len(line.lstrip("`"))]
        if fence:
            fence = "" if line == fence else fence
        elif len(run) >= 3:
            fence = run
        else:
            out.append(line)
    assert fence == ""
    return "\n".join(out)


def test_reports_fit_into_a_comment() -> None:
    many: list[AnyEvent] = [
        e.model_copy(update={"hypothesis": f"H{n}", "claim": "@x " * 500})
        if isinstance(e, HypothesisProposed)
        else e
        for n in range(300)
        for e in HYPOTHESES
    ]
    check = PROVEN.checks[0].model_copy(update={"before": "\U0001f600" * 9999, "after": "`" * 9999})
    judged = PROVEN.model_copy(update={"checks": (check,) * 40})
    state = fold([STARTED, REPRODUCED, *many, SUBMITTED, judged])
    assert units(pull_body(FACTS, state)) <= COMMENT_LIMIT
    assert units(status_comment(FACTS, "done", state)) <= COMMENT_LIMIT - MARKER_ROOM
    assert units(diagnosis_comment(FACTS, state, "x" * 99_999)) <= COMMENT_LIMIT - MARKER_ROOM


@pytest.mark.parametrize(
    ("title", "branch"),
    [
        ("Total is wrong for empty carts", "patchwright/issue-7-total-is-wrong-for-empty-carts"),
        ("Größe: ../../etc@{1}~^ .lock", "patchwright/issue-7-groe-etc-1-lock"),
        ("日本語", "patchwright/issue-7"),
        ("", "patchwright/issue-7"),
        ("a" * 200, "patchwright/issue-7-" + "a" * 40),
        ("x" * 39 + " yy", "patchwright/issue-7-" + "x" * 39),
    ],
)
def test_branch_names_are_plain(title: str, branch: str) -> None:
    assert branch_name(replace(FACTS, issue_title=title)) == branch


def test_the_runs_own_branch_names_the_run() -> None:
    assert own_branch_name(FACTS).endswith("-01j0run")


def test_markers_differ_by_kind_and_run_and_cannot_be_broken() -> None:
    kinds = {run_marker("r", k) for k in ("status", "pull", "diagnosis")}
    assert len(kinds) == 3
    assert run_marker("x --> <b>", "status").count("-->") == 1


def test_the_judged_patch_is_the_one_published() -> None:
    assert patch_of(WHOLE) == PATCH
    smaller = PROVEN.model_copy(update={"patch": "smaller"})
    assert patch_of(replace(WHOLE, verdict=smaller)) == "smaller"
    assert patch_of(AttemptState()) == ""
    assert diffstat("@@ broken") == ()


SAME_IN_ALL = {"alert.md.j2", "commit.txt.j2", "night.md.j2", "pull_issue.md.j2"}
"""What is for git and for GitHub, not for people; the issue of an alert, whose words are those
of its source and of the operators, and which is written before a repository's file is read; and a
night's report, whose evidence is in English as that on its page is."""


def test_every_report_is_there_in_german() -> None:
    english = {path.name for path in TEMPLATES.glob("*.j2")} - SAME_IN_ALL
    assert {path.name for path in (TEMPLATES / "de").glob("*.j2")} == english


def test_a_german_report_is_german_throughout() -> None:
    facts = replace(FACTS, language="de", queue_place=2, waits_for="x")
    state = WHOLE
    waiting = status_comment(facts, "queued", AttemptState())
    done = status_comment(facts, "done", state, "https://pw.example/pull/1")
    assert "Platz 2 in der Warteschlange" in waiting
    assert "hat einen Fix gefunden und nachgewiesen" in done
    assert "| H1 | rounding | widerlegt |" in done
    body = pull_body(facts, state)
    diagnosis = diagnosis_comment(facts, fold([STARTED, REPRODUCED, *HYPOTHESES]))
    assert "## Ursache" in body
    assert "**nachgewiesen**" in body
    assert "### Was weiterhilft" in diagnosis
    for text in (waiting, done, body, diagnosis):
        for word in (" the ", "What ", "Proof", "Risk", "Every step", "Tool calls", "Nothing"):
            assert word not in text, (word, text)
