"""Runs inside the sandbox: probes examples, collects line coverage, screens many mutants.

The offline model sends this folder's files into the sandbox as they are; the host never runs them.
They use the standard library and, where it is there, pytest. Every child runs in its own process
group under limits of time and memory, in a scratch copy of the tree, so that the tree itself is
never touched. Usage, in the tree's root: `python -m patchwright_search.driver MODE JOB.json`; each
mode says what a job holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import re
import shutil
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Any

from .children import SCRATCH, copy_tree, enter, in_child, mutated
from .suite import cover, screen


def probe(job: dict[str, Any]) -> None:
    """Evaluate examples: {"limit_s", "only", "examples": [{id, setup, expr}]}."""
    root = Path.cwd()
    only = job.get("only")
    shown = 0
    for example in job["examples"]:
        seen = in_child(partial(_evaluate, root, example), job.get("limit_s", 10.0))
        seen = seen or {"timeout": True}
        if only and not fits(seen, only):
            continue
        print(json.dumps({"id": example["id"], **seen}))
        shown += 1
        if shown >= job.get("most", 60):
            break
    print(f"probed {len(job['examples'])} examples")


def fits(seen: dict[str, Any], only: list[str]) -> bool:
    """Whether an example raised this exception in this function, `only` being both names."""
    frames = seen.get("frames") or [["", 0, ""]]
    return seen.get("type") == only[0] and frames[-1][2] == only[1]


def _evaluate(root: Path, example: dict[str, Any]) -> dict[str, Any]:
    enter(root)
    names: dict[str, Any] = {"__name__": "example"}
    out = io.StringIO()
    stage = "setup"
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(example["setup"], "<setup>", "exec"), names)  # noqa: S102
            out.truncate(0)
            out.seek(0)
            stage = "expr"
            value = eval(compile(example["expr"], "<example>", "eval"), names)  # noqa: S307
            equal: list[bool | None] = []
            for text in example.get("expected", []):
                try:
                    wanted = eval(text, names)  # noqa: S307
                    printed = example.get("printed")
                    same = str(value) == str(wanted) if printed else value == wanted
                    equal.append(bool(same))
                except Exception:  # noqa: BLE001 - an expectation that cannot be evaluated is none
                    equal.append(None)
        return {"value": repr(value)[:600], "out": out.getvalue()[:600], "equal": equal}
    except BaseException as error:  # noqa: BLE001 - any failure of the example is the answer
        frames = [
            [f.filename.removeprefix(f"{root}/"), f.lineno, f.name]
            for f in traceback.extract_tb(error.__traceback__)
            if f.filename.startswith(str(root))
        ]
        return {
            "type": type(error).__name__,
            "kinds": [c.__name__ for c in type(error).__mro__],
            "message": str(error)[:300],
            "stage": stage,
            "frames": frames[-6:],
        }


def compare(job: dict[str, Any]) -> None:
    """How mutants behave on examples: {"limit_s", "files", "mutants", "examples", "documented"}.

    Prints one `SIGN` line for each mutant: its number, a mark that is equal for those that behave
    alike, how many examples give another result than without it, how many newly raise, how many
    gave a value and give another one, and how many raised and no longer raise the same; then a
    `HELD` line with how many documented examples hold and how many do not, and `FAILS` with the
    numbers of the latter. Unless the bug is a crash ("crashed"), what raises without any change is
    not compared: nobody asked for another answer there.
    """
    tree = copy_tree(Path.cwd(), 0)
    documented = job.get("documented", [])

    def held() -> list[bool | None]:
        def work() -> list[bool | None]:
            seen = [_evaluate(tree, e) for e in documented]
            return [False if "type" in s else (s["equal"] or [None])[0] for s in seen]

        # What does not end holds none of them.
        return in_child(work, job["limit_s"]) or [False] * len(documented)

    base = _answers(tree, job)
    for number, changes in job["mutants"]:
        with mutated(tree, job["files"], changes):
            seen = _answers(tree, job) if job["examples"] else []
            answers = held() if documented else []
        pairs = list(zip(base, seen, strict=False))
        changed = sum(a != b for a, b in pairs)
        raised = sum(_raises(b) and not _raises(a) for a, b in pairs)
        meant = [seen[n] for n in _meant(job, base, seen)] or seen
        mark = hashlib.sha256(json.dumps(meant).encode()).hexdigest()[:12]
        altered = sum(a != b and not _raises(a) and not _raises(b) for a, b in pairs)
        cured = sum(a != b and _raises(a) for a, b in pairs)
        print(f"SIGN {number} {mark} {changed} {raised} {altered} {cured}")
        fails = [n for n, a in enumerate(answers) if a is False]
        print(f"HELD {number} {answers.count(True)} {len(fails)}")
        print(f"FAILS {number} {json.dumps(fails)}")
    shutil.rmtree(SCRATCH, ignore_errors=True)
    print(f"compared {len(job['mutants'])} changes on {len(job['examples'])} examples")


def differ(job: dict[str, Any]) -> None:
    """Where mutants behave otherwise than the first: {"limit_s", "files", "mutants", "examples"}.

    Prints a `DIFFERS` line for each of the others that does: its number, and as JSON the shortest
    example's number and what the first and it give there.
    """
    tree = copy_tree(Path.cwd(), 0)
    base = _answers(tree, job)
    first_seen: list[str] | None = None
    for number, changes in job["mutants"]:
        with mutated(tree, job["files"], changes):
            seen = _answers(tree, job)
        if first_seen is None:
            first_seen = seen
            continue
        both = min(len(first_seen), len(seen))
        meant = _meant(job, base, seen[:both]) or range(both)
        apart = [n for n in meant if first_seen[n] != seen[n]]
        if apart:
            at = min(apart, key=lambda n: (len(job["examples"][n]["expr"]), n))
            print(f"DIFFERS {number} {json.dumps([at, first_seen[at][:200], seen[at][:200]])}")
    shutil.rmtree(SCRATCH, ignore_errors=True)


def _answers(tree: Path, job: dict[str, Any]) -> list[str]:
    """What the examples give, in words; none if they do not all end in time."""

    def work() -> list[str]:
        seen = [_evaluate(tree, e) for e in job["examples"]]
        words = [f"raises {s['type']}" if "type" in s else s["value"] + s["out"] for s in seen]
        # Addresses differ by chance; 2 and 2.0 are equal to any test.
        return [re.sub(r"0x[0-9a-f]+|(?<=\d)\.0(?!\d)", "", w) for w in words]

    return in_child(work, job["limit_s"]) or []


def _raises(answer: str) -> bool:
    return answer.startswith("raises ")


def _meant(job: dict[str, Any], base: list[str], seen: list[str]) -> list[int]:
    """The numbers of the examples whose answer the issue may have asked to change."""
    crashed = job.get("crashed", False)
    return [n for n in range(min(len(base), len(seen))) if crashed or not _raises(base[n])]


def main() -> None:
    """Run one mode."""
    modes = {"probe": probe, "cover": cover, "screen": screen, "compare": compare, "differ": differ}
    job = json.loads(Path(sys.argv[2]).read_text())
    with contextlib.suppress(ImportError):
        importlib.import_module("pytest")
    modes[sys.argv[1]](job)


if __name__ == "__main__":
    main()
