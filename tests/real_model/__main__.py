"""`python -m tests.real_model`: what a real model on llama.cpp's server shows of the client.

Protocol and endings are asserted, never a fix: models of this size repair nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.journal.events import ModelTurned
from agent.tools.registry import parse_call
from app.cli.fix_journal import FOLDER, FileStore
from tests.doubles.sglang.serving import ROOT, free_port, process, wait_for
from tests.real_model.weights import HERE, LARGE, SMALL, model, server

FILES = {
    "shop.py": "def total(prices):\n    amount = 0\n    for p in prices:\n        amount -= p\n"
    "    return amount\n",
    "tests/test_shop.py": "import shop\n\n\ndef test_nothing():\n    assert shop.total([]) == 0\n",
    "pytest.ini": "[pytest]\npythonpath = .\n",
}
ISSUE = "# The total is negative\n\n`shop.total([1])` gives -1; it should give 1.\n"
SMALL_WINDOW, WINDOW = 2_048, 16_384
CALLS = 5
PATIENT_S = 2_400.0
"""Most seconds for one command: a busy machine reads two tokens a second."""


@dataclass
class Desk:
    """A folder to work in, and how long things took."""

    home: Path
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A line of the report."""
        print(f"[{time.monotonic() - self.began:5.0f} s] {text}", flush=True)

    @property
    def report(self) -> Path:
        """Where `fix` writes its report."""
        return self.home / "report.json"

    def told(self) -> dict[str, Any]:
        """The report as it is now."""
        return dict(json.loads(self.report.read_text()))

    def turns(self, run_id: str) -> list[ModelTurned]:
        """The turns in a kept run's journal."""
        store = FileStore(self.home / "state" / FOLDER / run_id, run_id)
        events = [entry.event for entry in store.events(run_id)]
        return [event for event in events if isinstance(event, ModelTurned)]

    def environment(self, url: str, window: int, **more: str) -> dict[str, str]:
        """The settings for a server: few tokens a turn, and calls demanded by grammar."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("PATCHWRIGHT_")}
        overrides = {
            "window": window,
            "temperature": 0.0,
            "max_output_tokens": 256,
            "min_output_tokens": 64,
            "extra_body": {"tool_choice": "required"},
        }
        return {
            **kept,
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "1000",
            "PATCHWRIGHT_STATE_DIR": str(self.home / "state"),
            "PATCHWRIGHT_MODEL": "llama-cpp",
            "PATCHWRIGHT_MODEL_URL": url,
            "PATCHWRIGHT_MODEL_OVERRIDES": json.dumps(overrides),
            **more,
        }

    def command(self, *words: object, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """`patchwright` with these words, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "app", *map(str, words)],
            cwd=ROOT,
            env=dict(env),
            capture_output=True,
            text=True,
            timeout=PATIENT_S,
            check=False,
        )

    def fix_words(self) -> list[str]:
        """The words of a `fix` of the small repository."""
        issue, repo = self.home / "issue.md", self.home / "repo"
        return ["fix", str(repo), "--issue", str(issue), "--report", str(self.report)]


@contextmanager
def serving(weights: Path, window: int) -> Iterator[str]:
    """A server with this model; gives its address."""
    port = free_port()
    command = [sys.executable, str(HERE / "serve.py"), str(weights), "--port", str(port)]
    command += ["--ctx-size", str(window), "--template", str(HERE / "calls.jinja")]
    with_package = {**os.environ, "PYTHONPATH": str(server())}
    with process(["nice", "-n", "15", *command], env=with_package):
        wait_for(f"http://127.0.0.1:{port}/health", 600.0)
        yield f"http://127.0.0.1:{port}"


def check(condition: bool, what: str, seen: object) -> None:
    """Fail with what was seen."""
    if not condition:
        raise SystemExit(f"FAILED: {what}\n{seen}")


def small_window(desk: Desk, weights: Path) -> None:
    """A window that not even the first prompt fits into is a diagnosis with a report."""
    with serving(weights, SMALL_WINDOW) as url:
        done = desk.command(*desk.fix_words(), env=desk.environment(url, 131_072))
    told = desk.told() if desk.report.exists() else {}
    check(done.returncode == 2, "exit status 2 for a window that is too small", done.stderr)
    check(told.get("outcome") == "diagnosis", "a diagnosis in the report", told)
    check("context size (2048 tokens)" in told["diagnosis"], "the server's words", told)
    desk.say(f"window of 2,048: exit 2, report: {told['diagnosis']}")


def killed(desk: Desk, url: str) -> None:
    """kill -9 in the middle of a turn: the report says so, and the run goes on to an end."""
    desk.report.unlink(missing_ok=True)
    env = desk.environment(url, WINDOW, PATCHWRIGHT_BUDGET_CALLS="2")
    words = [sys.executable, "-m", "app", *desk.fix_words()]
    with process(words, env=env) as running:
        wait_until_writing(url, running)
        running.send_signal(signal.SIGKILL)
        running.wait()
    told = desk.told()
    check(told["outcome"] == "unfinished", "an unfinished run in the report", told)
    run_id, turns = told["run"], told["turns"]
    desk.say(f"kill -9 while the model wrote turn {turns + 1}: report: {told['outcome']}")
    done = desk.command("fix", "--resume", run_id, env=env)
    told = desk.told()
    check(done.returncode == 2, "exit status 2 after --resume", done.stderr)
    check(told["outcome"] == "diagnosis" and told["calls"] == 2, "a diagnosis after 2 calls", told)
    desk.say(f"--resume {run_id}: exit 2 after {told['calls']} calls: {told['diagnosis']}")


def wait_until_writing(url: str, running: subprocess.Popen[bytes]) -> None:
    """Until the server writes an answer. It may have been asked for a set-up before: any does."""
    deadline = time.monotonic() + PATIENT_S
    while time.monotonic() < deadline:
        check(running.poll() is None, "a run that can be killed", running.returncode)
        with urllib.request.urlopen(f"{url}/slots", timeout=60) as answer:
            slots = json.load(answer)
        written = [t.get("n_decoded", 0) for s in slots for t in _tokens(s)]
        if any(s.get("is_processing") for s in slots) and max(written, default=0) > 2:
            return
        time.sleep(0.2)
    raise SystemExit("FAILED: the model wrote nothing")


def _tokens(slot: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    told = slot.get("next_token") or []
    return told if isinstance(told, list) else [told]


def doctor(desk: Desk, url: str, weights: Path) -> None:
    """`doctor` sees a parsed call, the true window and cached tokens on the second turn."""
    env = desk.environment(url, 131_072, PATCHWRIGHT_MODEL_NAME=weights.stem)
    done = desk.command("doctor", "--model", env=env)
    for wanted in (
        f"not ok model window: {WINDOW} tokens; the profile counts on 131072.",
        "ok   model tool calls are parsed: add(",
        "ok   model cached tokens are reported: ",
    ):
        check(wanted in done.stdout, wanted, done.stdout)
    for line in done.stdout.splitlines():
        desk.say(f"doctor: {line}")


def calls(desk: Desk, url: str) -> None:
    """A short run: at least one call that fits its schema, and the prompt's cache is used."""
    desk.report.unlink(missing_ok=True)
    env = desk.environment(url, WINDOW, PATCHWRIGHT_BUDGET_CALLS=str(CALLS))
    done = desk.command(*desk.fix_words(), env=env)
    check(done.returncode in (0, 2), "an end of the run", done.stderr)
    told = desk.told()
    turns = desk.turns(told["run"])
    made = [call for turn in turns for call in turn.tool_calls]
    valid = [call for call in made if not isinstance(parse_call(call), str)]
    check(bool(valid), "a call that fits its schema", made)
    check(len(turns) > 1 and turns[1].usage.cached_tokens > 0, "cached tokens on turn 2", turns[:2])
    shown = ", ".join(f"{c.name} {c.arguments[:60]}" for c in valid[:2])
    desk.say(
        f"fix: {told['outcome']} after {told['calls']} calls, {len(valid)} of {len(made)} valid"
    )
    desk.say(f"     first valid: {shown}")
    use = turns[1].usage
    desk.say(f"     turn 2: {use.cached_tokens} of {use.prompt_tokens} prompt tokens cached")


def main() -> None:
    """Run all checks, each with its line."""
    parser = argparse.ArgumentParser(prog="python -m tests.real_model", description=__doc__)
    parser.add_argument(
        "--small", action="store_true", help="the 0.5B model for calls, too: for a slow machine"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="real-model-") as folder:
        desk = Desk(Path(folder))
        write_repository(desk.home)
        server()
        small = model(SMALL)
        large = small if given.small else model(LARGE)
        desk.say(f"models: {small.name} for faults, {large.name} for calls")
        small_window(desk, small)
        with serving(small, WINDOW) as url:
            killed(desk, url)
        with serving(large, WINDOW) as url:
            doctor(desk, url, large)
            calls(desk, url)
        desk.say("all held")


def write_repository(home: Path) -> None:
    """The small repository with its bug, committed, and the issue beside it."""
    repo = home / "repo"
    for name, text in FILES.items():
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text(text)
    (home / "issue.md").write_text(ISSUE)
    who = ["-c", "user.name=ann", "-c", "user.email=ann@example.org"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=repo, check=True)


if __name__ == "__main__":
    main()
