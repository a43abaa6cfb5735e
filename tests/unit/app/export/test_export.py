"""Exports: the round trip, what is taken out, who is on which side, and pages of hostile text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal.events import (
    AttemptEnded,
    CulpritSearched,
    ModelTurned,
    NoteAdded,
    Recorded,
    RunPhase,
    now,
)
from agent.journal.state import fold
from app.export.anonymise import pseudonymise, without_secrets
from app.export.examples import RunMetadata, examples, reward, validation_repositories
from app.export.exporter import ExportRefused, ExportRequest, export, read_journal
from app.journal_view.html import trace_page
from app.settings.schema import Settings
from app.storage import archive
from app.storage.archive import Journals
from app.storage.store import SqlStore
from tests.support.runs.kept import attempt, run, store

__all__ = ["store"]

TOKEN = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"


HOSTILE = "<script>alert(1)</script>\x1b[31mred\x1b[0m \u202eabc \x07 <img src=x onerror=y>"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_exported_journal_folds_to_the_same_state(store: SqlStore, tmp_path: Path) -> None:
    run_id = run(store, 7)
    export(store, ExportRequest(out=tmp_path / "out", journals=True, validation=0))
    back = read_journal(tmp_path / "out" / "journals" / f"{run_id}.jsonl")
    kept = store.events(run_id)
    assert back == kept
    for number in (1, 2):
        ours = [r.event for r in back if r.event.attempt == number]
        theirs = [r.event for r in kept if r.event.attempt == number]
        assert fold(ours) == fold(theirs)
        assert fold(ours).outcome is not None


def test_archived_runs_are_exported_too(store: SqlStore, tmp_path: Path) -> None:
    run_id = run(store, 7)
    kept = store.events(run_id)
    assert archive.archive(store, run_id, tmp_path / "archives", now())
    settings = Settings(state_dir=tmp_path)
    done = export(
        store,
        ExportRequest(out=tmp_path / "out", journals=True, validation=0),
        Journals(settings, store).events,
    )
    assert (done.runs, done.train) == (1, 2)
    assert read_journal(tmp_path / "out" / "journals" / f"{run_id}.jsonl") == kept


def test_what_does_not_fit_leaves_no_trace(store: SqlStore, tmp_path: Path) -> None:
    fits, other = run(store, 7), run(store, 8, outcome="draft")
    request = ExportRequest(out=tmp_path / "out", outcomes=("proven",), pages=True, validation=0)
    assert export(store, request).runs == 1
    assert [page.stem for page in (tmp_path / "out" / "pages").iterdir()] == [fits] != [other]
    nothing = ExportRequest(out=tmp_path / "none", outcomes=("stopped",))
    with pytest.raises(ExportRefused, match="no attempt"):
        export(store, nothing)
    assert not (tmp_path / "none").exists()


def test_examples_hold_the_whole_conversation(store: SqlStore, tmp_path: Path) -> None:
    run(store, 7)
    done = export(store, ExportRequest(out=tmp_path / "out", validation=0))
    assert (done.runs, done.train, done.validation) == (1, 2, 0)
    first, second = rows(tmp_path / "out" / "train.jsonl")
    assert [m["role"] for m in second["messages"]] == [
        *("system", "user", "assistant", "tool", "user", "assistant")
    ]
    turn, result = second["messages"][2:4]
    assert turn["reasoning_content"] == "I look."
    assert turn["tool_calls"][0]["function"] == {
        "name": "bash",
        "arguments": '{"command": "ls  -a"}',
    }
    assert (result["tool_call_id"], result["content"]) == ("c2", "ok")
    names = [tool["function"]["name"] for tool in json.loads(second["tools"])]
    assert "submit" in names
    assert (first["outcome"], first["reward"], first["pull_request"]) == (
        *("diagnosis", 0.0, "not chosen"),
    )
    assert (second["gate"], second["reward"]) == ("proven", 0.7)
    assert "train.jsonl" in (tmp_path / "out" / "README.md").read_text()
    assert not (tmp_path / "out" / "validation.jsonl").exists()


def test_a_diagnosis_ends_with_the_models_own_words() -> None:
    events = attempt(1, "diagnosis")[:8]
    events[7] = ModelTurned(content="It cannot be shown.", reasoning="Enough.", kept=False)
    events += [
        NoteAdded(source="loop", text="Call a tool."),
        AttemptEnded(outcome="diagnosis", diagnosis="It cannot be shown."),
    ]
    journal = [Recorded(seq=n, at=now(), event=e) for n, e in enumerate(events)]
    facts = RunMetadata(run_id="r", repository="o/r", issue="o/r#1", closed="")
    messages = examples(facts, journal, ())[0]["messages"]
    assert messages[-1] == {
        "role": "assistant",
        "content": "It cannot be shown.",
        "reasoning_content": "Enough.",
    }
    assert "Look at a.py" in messages[-2]["content"]


def test_merging_raises_the_reward_and_closing_lowers_it() -> None:
    assert reward(True, "merged") > reward(True, "") > reward(True, "closed") > reward(False, "")
    assert reward(False, "merged") == 0


def test_all_rows_have_the_same_columns_and_kinds(store: SqlStore, tmp_path: Path) -> None:
    """Arrow reads a column as one type: a row that differs would not load."""
    for number, output in enumerate(("ok", '{"json": [1, {"a": null}]}', "", "[1, 2]")):
        run(store, number + 1, f"octo/r{number}", output=output)
    export(store, ExportRequest(out=tmp_path / "out", validation=0.3))
    kinds: dict[str, set[str]] = {}
    for side in ("train", "validation"):
        for row in rows(tmp_path / "out" / f"{side}.jsonl"):
            for name, value in leaves(row):
                kinds.setdefault(name, set()).add(type(value).__name__)
    assert all(len(found) == 1 for found in kinds.values()), kinds
    assert kinds["reward"] == {"float"}
    assert kinds["messages.tool_calls.function.arguments"] == {"str"}


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values inside JSON data, each under the path of its columns."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{name}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, name)
    else:
        yield name, value


def test_filters_choose_runs_and_attempts(store: SqlStore, tmp_path: Path) -> None:
    one = run(store, 1)
    run(store, 2, "octo/other")
    by_name = export(store, ExportRequest(out=tmp_path / "a", repository="Octo/Calc"))
    assert by_name.runs == 1
    by_id = export(store, ExportRequest(out=tmp_path / "b", run_ids=(one,), outcomes=("proven",)))
    assert (by_id.runs, by_id.train) == (1, 1)
    with pytest.raises(ExportRefused, match="no finished run"):
        export(store, ExportRequest(out=tmp_path / "c", merged=True))
    with pytest.raises(ExportRefused, match="no run nope"):
        export(store, ExportRequest(out=tmp_path / "c", run_ids=("nope",)))
    with pytest.raises(ExportRefused, match="not empty"):
        export(store, ExportRequest(out=tmp_path / "a"))


def test_secrets_do_not_go_out(store: SqlStore, tmp_path: Path) -> None:
    run(store, 7, output=f"token: {TOKEN}\nrest")
    request = ExportRequest(out=tmp_path / "out", pages=True, journals=True, validation=0)
    export(store, request)
    written = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert len(written) == 4
    for path in written:
        assert TOKEN not in path.read_text(), path
    assert "[secret]" in rows(tmp_path / "out" / "train.jsonl")[1]["messages"][3]["content"]


def test_arguments_stay_json_when_a_secret_is_taken_out() -> None:
    arguments = json.dumps({"content": f'x = "{TOKEN}"', "n": 1})
    clean = without_secrets({"arguments": arguments})["arguments"]
    assert TOKEN not in clean
    assert json.loads(clean)["n"] == 1
    assert without_secrets('{"a":  1}') == '{"a":  1}'


def test_pseudonyms_replace_names_and_stay_the_same(store: SqlStore, tmp_path: Path) -> None:
    found = CulpritSearched(finding="found", commit="c" * 40, author="Carol Danvers", attempt=2)
    run_id = run(store, 7, output="mia-tainer@company.com at octo/calc, @property")
    store.append(run_id, [found])
    out = tmp_path / "out"
    export(store, ExportRequest(out=out, pages=True, journals=True, key=b"k" * 16))
    text = "".join(p.read_text() for p in out.rglob("*") if p.is_file())
    for name in ("octo/calc", "mia-tainer", "reporter", "company.com", "Danvers", "a" * 40):
        assert name not in text, name
    assert "@property" in text
    (row, again) = rows(out / "train.jsonl")
    assert row["repository"] == again["repository"] != "octo/calc"
    assert row["base_commit"] == again["base_commit"]


def test_people_are_replaced_as_they_were_named() -> None:
    told = pseudonymise("@ann, ann and @bob; banner", ["o/r"], ["@ann", "bob"], b"k" * 16)
    assert "@ann" not in told
    assert "bob" not in told
    assert ", ann and @person-" in told
    assert told.endswith("; banner")


@given(
    st.lists(st.sampled_from([f"o/r{i}" for i in range(8)]), min_size=1, max_size=60),
    st.floats(0, 0.9),
    st.integers(0, 5),
)
def test_no_repository_is_on_both_sides(names: list[str], part: float, seed: int) -> None:
    apart = validation_repositories(names, part, seed)
    assert apart == validation_repositories(list(reversed(names)), part, seed)
    assert apart < set(names)
    if part == 0:
        assert not apart
    elif len(set(names)) > 1:
        assert apart


class Page(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_a_page_shows_hostile_text_as_text() -> None:
    events = attempt(1, output=HOSTILE + "x" * 1_000_000)
    events.insert(2, ModelTurned(content=HOSTILE, reasoning=HOSTILE))
    events += [AttemptEnded(outcome="failed", diagnosis=HOSTILE), RunPhase(phase=HOSTILE)]
    journal = [Recorded(seq=n, at=now(), event=e) for n, e in enumerate(events)]
    text = trace_page(HOSTILE, journal)
    page = Page(text)
    assert not page.tags & {"script", "img", "iframe", "link", "object"}
    assert not {a for a in page.attributes if a.startswith("on")} | (page.attributes & {"src"})
    assert "&lt;script&gt;alert(1)&lt;/script&gt;red" in text
    assert '<span class="unseen">U+202E</span>abc <span class="unseen">U+0007</span>' in text
    assert '<span class="ansi-fg-red">red</span>' in text
    assert len(text) < 600_000
    assert "\x1b" not in text
    assert "characters left out" in text


def test_attempts_that_did_not_end_are_no_examples() -> None:
    facts = RunMetadata(run_id="r", repository="o/r", issue="o/r#1", closed="")
    journal = [Recorded(seq=n, at=now(), event=e) for n, e in enumerate(attempt(1)[:-1])]
    assert examples(facts, journal, ()) == []
