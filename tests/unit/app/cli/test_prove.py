"""Wrong requests of `patchwright prove`: told in a sentence, before anything is started."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from app.cli.main import main
from tests.support.github.app import git


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("{work}", "--base", "nowhere"), "There is no commit nowhere"),
        (("{none}", "--base", "HEAD"), "There is no folder"),
        (("{work}", "--base", "HEAD", "--issue", "{none}.md"), "cannot be read"),
        (("{work}", "--base", "HEAD", "--json", "{none}/a"), "does not exist"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    told: str,
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    git(work, "commit", "-q", "--allow-empty", "-m", "base")
    monkeypatch.setenv("PATCHWRIGHT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "1000")
    given = [word.format(work=work, none=tmp_path / "none") for word in words]
    monkeypatch.setattr(sys, "argv", ["patchwright", "prove", *given])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and told in said and "Traceback" not in said
