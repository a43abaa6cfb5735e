"""A search for the commit that broke it, as the strip of a run's page."""

from __future__ import annotations

from agent.journal.events import (
    AnyEvent,
    CommitOutcome,
    CommitTried,
    CulpritSearched,
    Recorded,
    now,
)
from app.journal_view.cards import card_values
from app.journal_view.html import render
from app.journal_view.strip import Strip, TriedCommit, Untried, strip
from app.journal_view.summary import summarise_journal


def tried(place: int, outcome: CommitOutcome = "bad", of: int = 10) -> CommitTried:
    name = f"{place:x}" * 40
    return CommitTried(
        commit=name[:40], subject=f"<b>{place}</b>", outcome=outcome, place=place, of=of
    )


def shown(made: Strip) -> list[str | int]:
    return [p.commits if isinstance(p, Untried) else p.subject[3:-4] for p in made.parts]


def page_of(events: list[AnyEvent]) -> tuple[str, list[Strip]]:
    journal = [Recorded(seq=n, at=now(), event=event) for n, event in enumerate(events)]
    values = card_values(summarise_journal(journal))
    return render("cards.html", **values), values["strips"]  # type: ignore[return-value]


def test_commits_stand_from_the_oldest_to_the_newest_with_what_is_between() -> None:
    assert shown(strip(1, [tried(4), tried(8), tried(7)])) == [1, "8", "7", 2, "4", 4]
    assert shown(strip(1, [tried(9), tried(0)])) == ["9", 8, "0"]
    assert shown(strip(1, [])) == []


def test_without_places_the_order_of_the_tries_is_kept() -> None:
    old = [tried(n).model_copy(update={"place": -1, "of": 0}) for n in (5, 2, 7)]
    assert shown(strip(1, old)) == ["5", "2", "7"]


def test_the_page_says_in_words_what_the_colours_say() -> None:
    found = CulpritSearched(finding="found", commit=tried(5).commit, subject="<i>it</i>", runs=3)
    events: list[AnyEvent] = [tried(5), tried(6, "good"), tried(7, "skipped")]
    page, [searched] = page_of(events)
    assert "It is being looked for." in page and searched.answer is None
    page, [searched] = page_of([*events, found])
    assert [p.is_culprit for p in searched.parts if isinstance(p, TriedCommit)] == [
        False,
        False,
        True,
    ]
    for words in ("</span> good", "</span> bad", "</span> skipped", "introduced it", "2 not tried"):
        assert words in page
    assert "<b>" not in page and "<i>it" not in page


def test_another_search_of_the_attempt_is_a_strip_of_its_own() -> None:
    over = CulpritSearched(finding="contradiction")
    _, [searched] = page_of([tried(5), over, tried(6, "good")])
    assert (searched.tried, searched.answer) == (1, None)
