"""The dashboard's pure parts: hostile text, the head of a run, plots, comparison."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal.events import (
    AnyEvent,
    AttemptStarted,
    Check,
    GateJudged,
    HypothesisProposed,
    HypothesisResolved,
    Recorded,
    ReproductionDeclared,
    RunEnded,
    RunPhase,
    SeenTest,
    ToolFinished,
    ToolStarted,
    now,
)
from app.journal_view.cards import MOST_POINTS, bars, lines
from app.journal_view.entries import present_all
from app.journal_view.summary import STAGES, Branch, RunSummary, summarise_journal
from app.journal_view.terminal import progress_line
from app.sanitize.html import SHOWN, patch, plain, terminal
from app.web.dashboard.compare import compare

HOSTILE = st.text(
    st.one_of(st.characters(), st.sampled_from("\x1b[]mPX;31<>&\"'\u202e\u200b\x07\x00\r\n")),
    max_size=200,
)


class Pieces(HTMLParser):
    """What is in a piece of markup."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.classes: set[str] = set()
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            assert name == "class"
            self.classes |= set((value or "").split())

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_refusal_is_said_once() -> None:
    output = "refused: there is no tool 'x'\n[9 calls left]"
    event = ToolFinished(call_id="x:0", name="x", status="refused", output=output)
    entry = Recorded(seq=1, at=now(), event=event)
    assert progress_line(entry) == "    refused: there is no tool 'x'"
    (shown,) = present_all([entry])
    assert shown.line.count("refused") == 1


@given(HOSTILE)
def test_nothing_hostile_is_markup_or_unseen(text: str) -> None:
    for made in (plain(text), terminal(text), patch(text)):
        read = Pieces(str(made))
        assert read.tags <= {"span"}
        assert all(re.fullmatch(r"unseen|(ansi|diff)-[a-z-]+", name) for name in read.classes)
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e]", read.text)


@given(st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), max_size=100))
def test_harmless_text_is_kept_to_the_letter(text: str) -> None:
    for made in (plain(text), terminal(text), patch(text)):
        assert Pieces(str(made)).text == text


def test_colours_are_kept_and_floods_are_short() -> None:
    assert terminal("\x1b[1;31mbad\x1b[0m ok") == (
        '<span class="ansi-bold ansi-fg-red">bad</span> ok'
    )
    flood = terminal("\u202e" * 10_000)
    assert len(flood) < 200
    assert "and 9992 more" in flood
    assert "characters left out" in plain("x" * 10 * SHOWN)
    assert len(plain("x" * 10 * SHOWN)) < 2 * SHOWN


def recorded(*events: AnyEvent) -> list[Recorded]:
    return [Recorded(seq=n, at=now(), event=event) for n, event in enumerate(events)]


def begun(attempt: int = 1) -> AttemptStarted:
    return AttemptStarted(
        attempt=attempt,
        model="m",
        prompt_version="1",
        base_commit="b",
        system_prompt="",
        task_prompt="",
        test_command="pytest",
    )


def proposed(name: str) -> HypothesisProposed:
    return HypothesisProposed(hypothesis=name, claim=name, prediction="", test="", snapshot="s")


def resolved(name: str, verdict: str) -> HypothesisResolved:
    return HypothesisResolved.model_validate(
        {"hypothesis": name, "verdict": verdict, "evidence": "e", "calls": ("c1", "gone")}
    )


REPRODUCED = ReproductionDeclared(
    command="pytest -k bug", expected_failure="E", observed="", accepted=True
)


def shape(branches: tuple[Branch, ...]) -> dict[str, object]:
    return {branch.node.id: shape(branch.below) for branch in branches}


def test_hypotheses_stand_below_the_confirmed_one_that_they_build_on() -> None:
    head = summarise_journal(
        recorded(
            begun(),
            ToolFinished(call_id="c1", name="bash", status="ok", output=""),
            proposed("H1"),
            resolved("H1", "refuted"),
            proposed("H2"),
            resolved("H2", "confirmed"),
            proposed("H3"),
            resolved("H3", "refuted"),
            proposed("H4"),
        )
    )
    ((attempt, branches),) = head.tree
    assert (attempt, shape(branches)) == (1, {"H1": {}, "H2": {"H3": {}, "H4": {}}})
    assert head.nodes[1, "H1"].calls == (("c1", 1), ("gone", -1))


def test_a_name_that_comes_again_makes_no_circle() -> None:
    twice = (proposed("H1"), resolved("H1", "confirmed"), proposed("H2"))
    head = summarise_journal(recorded(begun(), *twice, resolved("H2", "confirmed"), *twice))
    ((_, branches),) = head.tree
    assert shape(branches)


@pytest.mark.parametrize(
    ("events", "stage", "reached"),
    [
        ((), "queued", 1),
        ((RunPhase(attempt=0, phase="preparing"),), "preparing", 2),
        ((RunPhase(attempt=0, phase="debugging"), begun()), "reproducing", 2),
        ((RunPhase(attempt=0, phase="debugging"), begun(), REPRODUCED), "testing hypotheses", 3),
        (
            (
                RunPhase(attempt=0, phase="debugging"),
                begun(),
                REPRODUCED,
                ToolStarted(call_id="s", name="submit", arguments="{}"),
                begun(2),
            ),
            "proving",
            4,
        ),
        (
            (
                RunPhase(attempt=0, phase="debugging"),
                begun(),
                RunEnded(attempt=0, outcome="diagnosis"),
                RunPhase(attempt=0, phase="closed"),
            ),
            "ended",
            3,
        ),
    ],
)
def test_the_phase_line(events: tuple[AnyEvent, ...], stage: str, reached: int) -> None:
    head = summarise_journal(recorded(*events))
    assert STAGES[head.stage] == stage
    assert len(head.reached) == reached


def test_tests_are_shown_as_the_gate_saw_them() -> None:
    ran = ToolFinished(
        call_id="c", name="run_tests", status="ok", output="", tests={"a": "failed", "b": "passed"}
    )
    before = summarise_journal(recorded(begun(), REPRODUCED, ran))
    assert seen(before) == [("pytest -k bug", "failed", ""), ("a", "failed", "failed")]
    of_gate = SeenTest(name="new", before="", after="passed")
    judged = GateJudged(
        verdict="proven",
        checks=(
            Check(name="reproduction", ok=True),
            Check(name="test suite", ok=True, tests=(of_gate,)),
        ),
    )
    after = summarise_journal(recorded(begun(), REPRODUCED, ran, judged))
    assert seen(after) == [("pytest -k bug", "failed", "passed"), ("new", "", "passed")]


def seen(head: RunSummary) -> list[tuple[str, str, str]]:
    return [(test.name, test.before, test.after) for test in head.tests()]


def test_a_call_is_shown_once_by_its_end() -> None:
    start = ToolStarted(call_id="c", name="bash", arguments='{"command": "ls"}')
    end = ToolFinished(call_id="c", name="bash", status="ok", output="a.py", duration_ms=2500)
    (both,) = present_all(recorded(start, end))
    assert (both.kind, both.line) == ("bash", "ls (2.5 s)")
    (alone,) = present_all(recorded(start))
    assert alone.line == "ls …"
    broken = end.model_copy(update={"status": "error", "output": "no such file"})
    (bad,) = present_all(recorded(start, broken)[0:2])
    assert (bad.tone, bad.line) == ("bad", "error: ls no such file")


def test_plots_stay_in_their_field() -> None:
    (line,) = lines([("read", [float(n) for n in range(5000)])])
    points = [tuple(map(float, point.split(","))) for point in line.points.split()]
    assert len(points) <= MOST_POINTS
    assert all(0 <= x <= 600 and 0 <= y <= 120 for x, y in points)
    assert points[-1] == (600, 0)
    assert all(bar.width <= 56 and bar.height <= 120 for bar in bars([("a", 0), ("b", 3)]))
    assert bars([]) == []


@pytest.mark.parametrize("left", ["", "no patch at all"])
def test_a_snapshot_is_compared_with_the_base(left: str) -> None:
    right = "diff --git a/m.py b/m.py\n+x\ndiff --git a/n.py b/n.py\n+y\n"
    assert [(f.path, f.left, f.right[-3:]) for f in compare(left, right)] == [
        ("m.py", "", "+x\n"),
        ("n.py", "", "+y\n"),
    ]
    assert compare(left, left) == []
