"""What others wrote does nothing to the terminal that log lines are printed on."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.text.visible import visible

ROOT = Path(__file__).parents[4]
UNSEEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\u2066\u200b]")

PROGRAM = """
import logging, sys
from app.telemetry import logs
evil = "a\\x1b]52;c;Y3Vy\\x07b\\x1b[2Jc\\x9b2Jd\\u202ee\\u2066f\\u200bg\\u2028h\\nforged line\\r"
if sys.argv[1] != "none":
    logs.configure("info", sys.argv[1])
log = logs.get("ours")
log.warning(f"event {evil}", value=evil, nested={"a": evil}, lone="\\udc1b")
logging.getLogger("library").warning("library %s", evil)
try:
    raise ValueError(evil)
except ValueError:
    log.exception("failed")
"""


@pytest.mark.parametrize("form", ["none", "text", "json"])
def test_log_lines_are_harmless_and_cannot_be_forged(form: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, form],
        capture_output=True,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        check=True,
    )
    assert done.stdout == b"", "what a command prints is no place for log lines"
    lines = done.stderr.decode().splitlines()
    assert len(lines) >= 3 and "event a" in lines[0] and any("ValueError" in x for x in lines)
    assert not [line for line in lines if UNSEEN.search(line)]
    if form != "none":
        assert not [line for line in lines if line.startswith("forged")]


def test_names_in_other_scripts_stay_as_they_are() -> None:
    assert visible("日本 ä \U0001f469\u200d\U0001f4bb") == "日本 ä \U0001f469\u200d\U0001f4bb"
