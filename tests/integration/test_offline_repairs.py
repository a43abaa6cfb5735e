"""The offline model repairs real repositories through the real loop, tools and gate."""

from __future__ import annotations

import pytest

from agent.models.offline import OfflineModel
from bench.offline_repairs import Row, cases, open_local, repair, sandboxes, table


def test_there_are_enough_repositories_of_different_kinds() -> None:
    found = cases()
    assert len([c for c in found if c.part == 1]) >= 12
    assert len([c for c in found if c.part == 2]) >= 8
    assert len({c.kind for c in found}) == len(found)
    assert len([c for c in found if not c.fixable]) >= 2
    assert all(c.hidden for c in found if c.fixable)


@pytest.mark.slow
async def test_one_repair_through_the_loop_and_the_ledger() -> None:
    (case,) = cases(["header_parser"])
    row = await repair(case, open_local)
    assert row.outcome == "proven", row.diagnosis
    assert row.right, row.patch
    assert row.calls < 300
    assert [h.verdict for h in row.state.hypotheses][-1] == "confirmed"
    assert row.state.reproduction is not None
    assert row.state.reproduction.accepted


@pytest.mark.slow
async def test_the_same_conversation_is_had_again_from_the_messages_alone() -> None:
    (case,) = cases(["overdue_invoices"])
    row = await repair(case, open_local)
    messages = list(row.state.messages)
    asked = [n for n, m in enumerate(messages) if m.role == "assistant"]
    for at in (asked[3], asked[len(asked) // 2], asked[-1]):
        turn = await OfflineModel().turn(messages[:at], ())
        assert turn.tool_calls == messages[at].tool_calls


@pytest.mark.slow
async def test_what_it_cannot_mend_ends_in_a_diagnosis() -> None:
    # The quicker of them; the whole set below has both.
    (case,) = cases(["exchange_desk"])
    row = await repair(case, open_local)
    assert row.outcome == "diagnosis"
    assert row.patch == ""
    assert len(row.diagnosis) > 100
    assert row.calls <= 300


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(7200)
async def test_the_whole_set_in_containers() -> None:
    rows: list[Row] = []
    async with sandboxes("docker") as open_with:
        for case in cases():
            rows.append(await repair(case, open_with))  # noqa: PERF401 - one at a time
    shown = table(rows)
    print(shown)
    right = [[r for r in rows if r.right and r.case.part == part] for part in (1, 2)]
    assert len(right[0]) >= 8, shown
    assert len(right[1]) >= 5, shown
    assert not [r.case.name for r in rows if r.fixed and not r.case.fixable], shown
    assert all(r.calls <= 300 for r in rows), shown
