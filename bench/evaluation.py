"""The offline model on every fix of `tests/histories`: what it repairs, and how far proofs hold.

Builds the repositories with their histories, makes instances of them with `--from-history`, starts
the evaluation, kills it in the middle, resumes it, and prints the report with the gate's precision
by hidden tests. `--whole` runs it in one go as well and compares both reports. An hour on two
cores, most of it the search for repairs; with `--keep` it goes on where an earlier one ended.

    python bench/evaluation.py [--parallel 2] [--whole] [--keep FOLDER] [--limit N]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.evaluation.instances import read_instances
from agent.evaluation.report import Report
from tests.histories.all import STORIES
from tests.histories.story import build

ROOT = Path(__file__).resolve().parent.parent
TARGET = 0.9
"""Least share of proven patches that hidden tests confirm."""


def evaluation(out: Path, folder: Path, options: argparse.Namespace) -> list[str]:
    """The command; it goes on where `out` stands."""
    words = [sys.executable, "-m", "app", "eval", "--model", "offline", "--out", str(out)]
    for story in STORIES:
        words += ["--from-history", str(folder / story.name)]
    numbers = ["--parallel", str(options.parallel), "--limit", str(options.limit)]
    return [*words, *numbers, "--resume"]


def finished(out: Path) -> int:
    """Instances with a result."""
    path = out / "results.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def kill_in_the_middle(command: list[str], out: Path, environment: dict[str, str]) -> int:
    """Start it and kill it when half of the instances have a result; gives how many have."""
    running = subprocess.Popen(command, env=environment, cwd=ROOT)
    while running.poll() is None:
        instances = out / "instances.jsonl"
        if instances.exists():
            half = len(read_instances(instances.read_text())) // 2
            if finished(out) >= half:
                os.kill(running.pid, signal.SIGKILL)
                break
        time.sleep(0.2)
    running.wait()
    return finished(out)


def main() -> int:
    """Run and print; 1 when the precision is below the target or the reports differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parallel", type=int, default=2)
    parser.add_argument("--limit", type=int, default=0, help="instances per repository; 0: all")
    parser.add_argument("--whole", action="store_true", help="run it in one go as well")
    parser.add_argument("--keep", type=Path, help="leave everything in this folder")
    options = parser.parse_args()
    place = nullcontext(str(options.keep)) if options.keep else tempfile.TemporaryDirectory()
    with place as name:
        folder = Path(name).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "XDG_STATE_HOME": str(folder / "state")}
        for story in STORIES:
            if not (folder / story.name).exists():
                build(story, folder)
        killed, mark = folder / "killed", folder / "killed-with"
        command = evaluation(killed, folder, options)
        if not mark.exists():
            mark.write_text(str(kill_in_the_middle(command, killed, environment)))
        print(f"\nkilled with {mark.read_text()} results; resuming\n", flush=True)
        subprocess.run(command, env=environment, cwd=ROOT, check=True)
        report = Report.model_validate_json((killed / "report.json").read_bytes())
        same = True
        if options.whole:
            whole = folder / "whole"
            command = evaluation(whole, folder, options)
            subprocess.run(command, env=environment, cwd=ROOT, check=True)
            other = Report.model_validate_json((whole / "report.json").read_bytes())
            same = other.verdicts == report.verdicts
            print(f"killed and resumed says {'the same' if same else 'SOMETHING ELSE'}")
        precision = report.verdicts.precision.value or 0.0
        print(f"{len(report.verdicts.rows)} instances, precision {precision:.3f}, target {TARGET}")
        return 0 if same and precision >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
