"""The command's last line of defence: what goes wrong around it is told in a sentence."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("PATCHWRIGHT_STATE_DIR", "{file}/state", "/a-file"),
        (
            "PATCHWRIGHT_DATABASE_URL",
            "postgresql+psycopg://nobody@127.0.0.1:1/nothing",
            "the database does not respond",
        ),
    ],
)
def test_what_cannot_be_reached_is_told_in_a_sentence(
    tmp_path: Path, variable: str, value: str, told: str
) -> None:
    file = tmp_path / "a-file"
    file.touch()
    environ = {k: v for k, v in os.environ.items() if not k.startswith("PATCHWRIGHT_")}
    done = subprocess.run(
        [sys.executable, "-m", "app", "runs", "list"],
        env={**environ, variable: value.format(file=file), "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_command_line_loads_only_what_it_needs_and_tells_its_version() -> None:
    seen = (
        "import sys, app.cli.main as main; sys.argv = ['patchwright', '--version'];\n"
        "try: main.main()\n"
        "finally: print([m for m in ('alembic', 'libcst', 'github', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told, loaded = done.stdout.splitlines()
    assert told.startswith("patchwright ") and loaded == "[]"
