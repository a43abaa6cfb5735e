"""What `patchwright fix` keeps, reports and shows, so that nothing is lost when it breaks off."""

from __future__ import annotations

import io
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import ModelAway
from agent.journal.events import (
    AttemptStarted,
    ModelTurned,
    NoteAdded,
    Recorded,
    SandboxOpened,
    ToolStarted,
    now,
)
from agent.journal.writer import Journal
from agent.model import ToolCall, Turn, Usage
from agent.task import Issue
from app.cli import fix_journal
from app.cli.fix_journal import FileStore, KeptRequest, begin, find, forget, held, keep
from app.cli.fix_progress import TurnWatch
from app.cli.fix_report import report_of, write_report
from app.cli.fix_request import BadRequest
from app.sanitize.terminal import SafeConsole
from tests.support.agent.loops import Speaking, a_task, memory_sandbox, run

LOOK = Turn(
    tool_calls=(ToolCall(id="functions.bash:0", name="bash", arguments='{"command": "ls"}'),),
    usage=Usage(prompt_tokens=10, completion_tokens=5),
)
REQUEST = KeptRequest(
    run_id="fix-0123456789ab", repository="/r", commit="c", issue=Issue(title="t", body="b")
)


async def test_an_attempt_goes_on_from_the_files_of_a_run_that_broke_off(tmp_path: Path) -> None:
    class Dying(Speaking):
        async def turn(self, *given: object) -> Turn:
            if self._turns:
                return self._turns.pop(0)
            raise ModelAway("the server is gone for good")

    with pytest.raises(ModelAway):
        await run(Dying(LOOK), FileStore(tmp_path, "r1"), a_task(), memory_sandbox())
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'[{"seq": 99, "at": "20')  # as a process that is killed leaves it
    again = FileStore(tmp_path, "r1")
    (before,) = again.states("r1", 1)
    assert (before.calls_used, before.outcome) == (1, None)
    report = report_of("r1", Issue(title="t", body="b"), [before], 1, "the server is gone")
    assert (report["outcome"], report["diagnosis"]) == ("unfinished", "the server is gone")
    assert again.get_log("r1", "bash:0") is not None
    model = Speaking(Turn(content="I know it now."))
    await run(model, again, a_task(), memory_sandbox())
    assert [m.role for m in model.seen][:4] == ["system", "user", "assistant", "tool"]
    (after,) = FileStore(tmp_path, "r1").states("r1", 1)
    assert (after.outcome, after.diagnosis) == ("diagnosis", "I know it now.")
    sequence = [entry.seq for entry in FileStore(tmp_path, "r1").events("r1")]
    assert sequence == list(range(len(sequence)))


def test_time_in_which_nobody_worked_does_not_count(tmp_path: Path) -> None:
    store, began = FileStore(tmp_path, "r"), now() - timedelta(hours=5)
    started = AttemptStarted(
        model="m",
        prompt_version="1",
        base_commit="c",
        system_prompt="",
        task_prompt="",
        test_command="t",
    )
    opened = SandboxOpened(sandbox_id="x", reason="resumed")
    store._journals["r"] = [
        Recorded(seq=0, at=began, event=started),
        Recorded(seq=1, at=began + timedelta(minutes=2), event=NoteAdded(source="loop", text="")),
        Recorded(seq=2, at=now(), event=opened),
    ]
    assert 120 <= Journal(store, "r", 1).elapsed_s < 180


def test_a_kept_run_is_found_held_and_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begin(tmp_path, REQUEST.run_id)
    assert folder.stat().st_mode & 0o077 == 0
    keep(folder, REQUEST)
    assert find(tmp_path, REQUEST.run_id) == (folder, REQUEST)
    with held(folder), pytest.raises(BadRequest, match="still running"), held(folder):
        pass
    for wrong in ("fix-000000000000", "../../etc", ""):
        with pytest.raises(BadRequest, match="kept are: fix-0123456789ab"):
            find(tmp_path, wrong)
    monkeypatch.setattr(fix_journal, "MOST_KEPT", 2)
    os.utime(folder, (1, 1))
    with held(folder):
        begin(tmp_path, "fix-000000000001")
        begin(tmp_path, "fix-000000000002")
        assert folder.exists(), "one that runs is not removed"
    begin(tmp_path, "fix-000000000003")
    assert not folder.exists()
    forget(tmp_path / "fixes" / "fix-000000000003")
    (tmp_path / "file").touch()
    with pytest.raises(BadRequest, match="PATCHWRIGHT_STATE_DIR"):
        begin(tmp_path / "file", REQUEST.run_id)


def test_logs_have_names_that_no_id_can_lead_astray(tmp_path: Path) -> None:
    store = FileStore(tmp_path, "r")
    for log_id in ("bash:0", "2.snapshot:abc", "../../x", ".", "attached:1", "é" * 300):
        store.put_log("r", log_id, log_id.encode())
        assert store.get_log("r", log_id) == log_id.encode()
    assert {p.parent for p in tmp_path.rglob("*") if p.is_file()} == {tmp_path / "logs"}
    assert store.get_log("r", "other") is None


def test_a_report_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    for n in range(2):
        write_report(path, {"n": n})
    assert json.loads(path.read_text()) == {"n": 1}
    assert list(tmp_path.iterdir()) == [path]
    write_report(Path("/dev/null"), {})


async def test_a_slow_turn_and_a_server_away_are_shown() -> None:
    time = [0.0]
    console = SafeConsole(width=200, record=True, file=io.StringIO())
    watch = TurnWatch(console, clock=lambda: time[0])
    progress, waiting = watch.progress(1), watch.waiting(1)
    progress("http://m:8080/v1", 0)
    time[0] = 95.0
    assert watch.lines() == [
        "the model at http://m:8080/v1 works for 95 seconds: nothing yet; 0 tokens before this turn"
    ]
    progress("http://m:8080/v1", 1_234)
    assert "about 1,234 tokens written" in watch.lines()[0]
    await waiting("The model server cannot be reached.", 4.0)
    progress("http://m:8080/v1", 0)
    time[0] = 395.0
    assert watch.lines()[0].startswith("waiting for the model at http://m:8080/v1 for 5 minutes;")
    await waiting("The model server cannot be reached.", 30.0)
    said = console.export_text()
    assert "waiting for the model at http://m:8080/v1 for 5 minutes: The model server" in said
    assert "again in 30 s" in said
    usage = Usage(prompt_tokens=900, completion_tokens=100)
    watch.observe(Recorded(seq=0, at=now(), event=ModelTurned(usage=usage)))
    assert watch.lines() == []
    call = ToolStarted(call_id="x", name="run_tests", arguments="{}")
    watch.observe(Recorded(seq=1, at=now(), event=call))
    time[0] = 455.0
    assert watch.lines(at_least_s=30.0) == ["run_tests has been running for 1 minute"]
    assert watch.lines(at_least_s=90.0) == []
    progress("http://m:8080/v1", 0)
    assert "1,000 tokens before this turn" in watch.lines()[0]
    watch.ended(1)
    assert watch.lines() == []
