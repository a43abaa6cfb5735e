"""Merged fixes of public repositories, proven as pull requests: base = parent, head = the fix.

For a folder of clones (called `owner__name`) and a list of fixes, a line each (`owner/name COMMIT`,
and behind a `#` what is to be known of it: `tuned` where rules were made with it), `patchwright
prove` is run on each, and with `--variants` on changes made of it that must not be proven where the
fix's own tests say otherwise:

    hunk     the fix without its last hunk of source
    source   its tests alone
    green    its source, and a test that passes on the base

    python bench/proofs.py CLONES --fixes LIST [--out DIR] [--variants hunk source green]

`OUT/results.jsonl` has a line for each proof, and one that has a line is not run again, so an
interrupted run goes on where it ended; `--again` runs some once more. Logs and whole proofs are in
`OUT/logs/`. Prints a table; ends with 1 if a variant is proven that the fix's tests contradict.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.evaluation.hidden import split_files, without_files
from agent.gate.patch.parse import only_comments, parse_patch, without_hunks
from agent.model import Record
from agent.proving.records import RED_THEN_GREEN, ChangeProof
from agent.testing.paths import is_source, is_test
from app.proving.command import ProveRequest, prove_local
from app.settings.loading import load
from app.settings.schema import Settings

Variant = Literal["whole", "hunk", "source", "green"]
GREEN = {
    ".py": ("tests/test_nothing_new.py", "def test_nothing_new():\n    assert True\n"),
    ".js": (
        "test/nothing_new.test.js",
        "const assert = require('assert');\nit('nothing new', () => assert.ok(true));\n",
    ),
    ".ts": (
        "test/nothing_new.test.ts",
        "import { expect, it } from 'vitest'\nit('nothing new', () => expect(1).toBe(1))\n",
    ),
}


@dataclass(frozen=True, slots=True)
class Fix:
    """A commit that was merged as a fix."""

    repository: str
    commit: str
    note: str = ""

    @property
    def folder(self) -> str:
        """The name of its clone."""
        return self.repository.replace("/", "__")


class Row(Record):
    """One proof."""

    repository: str
    commit: str
    variant: Variant
    note: str = ""
    verdict: str = ""
    """Empty: nothing could be run; `error` says why."""
    shows: str = ""
    red: tuple[str, ...] = ()
    """Tests that are red without the change and green with it."""
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    flaky: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from all others."""
        return self.repository, self.commit, self.variant

    @property
    def why(self) -> str:
        """Why it is not proven, in a line."""
        said = (*(f"broken: {name}" for name in self.broken[:2]), *self.missing)
        return " ".join((self.error or " ".join(said)).split())[:300]


def read_fixes(path: Path) -> list[Fix]:
    """The fixes of a list; lines that begin with `#` are none."""
    found = []
    for line in path.read_text().splitlines():
        words, _, note = line.partition("#")
        if words.strip():
            repository, commit = words.split()
            found.append(Fix(repository, commit, note.strip()))
    return found


def git(clone: Path, *words: str, text: str | None = None, index: str = "") -> str:
    """What git says in a clone. Raises `CalledProcessError`."""
    ran = subprocess.run(
        ["git", "-C", str(clone), *words],
        input=text.encode(errors="surrogateescape") if text is not None else None,
        env={**os.environ, **({"GIT_INDEX_FILE": index} if index else {})},
        check=True,
        capture_output=True,
    )
    return ran.stdout.decode(errors="surrogateescape").strip("\n")


def variant_patch(patch: str, variant: Variant) -> str:
    """What a variant makes of a fix's patch; empty where there is no such variant of it."""
    if variant == "whole":
        return patch
    tests = [path for path, _ in split_files(patch) if is_test(path)]
    if variant == "source":
        others = [path for path, _ in split_files(patch) if path not in tests]
        return without_files(patch, others)
    if variant == "green":
        source = without_files(patch, tests)
        paths = [path for path, _ in split_files(source) if is_source(path)]
        made = GREEN.get(Path(paths[0]).suffix.replace("mjs", "js")) if paths else None
        return f"{source}{_added(*made)}" if made is not None else ""
    hunks = [
        hunk
        for change in parse_patch(patch)
        if is_source(change.path) and not is_test(change.path)
        for hunk in change.hunks
        if not only_comments(hunk)
    ]
    return without_hunks(patch, hunks[-1:]) if len(hunks) > 1 else ""


def _added(path: str, text: str) -> str:
    lines = text.splitlines()
    body = "".join(f"+{line}\n" for line in lines)
    return (
        f"diff --git a/{path} b/{path}\nnew file mode 100644\nindex 0000000..1111111\n"
        f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{body}"
    )


def variant_commit(clone: Path, fix: Fix, variant: Variant) -> str:
    """The commit of a variant on the fix's parent; empty where there is no such variant."""
    if variant == "whole":
        return fix.commit
    patch = git(clone, "diff", "--no-renames", "--full-index", f"{fix.commit}^", fix.commit)
    changed = variant_patch(f"{patch}\n", variant)
    if not changed.strip():
        return ""
    with tempfile.TemporaryDirectory() as folder:
        index = str(Path(folder) / "index")
        git(clone, "read-tree", f"{fix.commit}^", index=index)
        git(clone, "apply", "--cached", "--whitespace=nowarn", "-", text=changed, index=index)
        tree = git(clone, "write-tree", index=index)
    message = git(clone, "log", "-1", "--format=%B", fix.commit)
    return git(clone, "commit-tree", tree, "-p", f"{fix.commit}^", text=message)


async def prove(
    clone: Path, fix: Fix, variant: Variant, settings: Settings, minutes: float, logs: Path
) -> Row | None:
    """One proof; None where there is no such variant."""
    begun = time.perf_counter()
    name = f"{fix.folder}-{fix.commit[:12]}-{variant}"
    log = logs / f"{name}.log"

    def say(line: str) -> None:
        with log.open("a") as file:
            file.write(f"{time.perf_counter() - begun:6.1f} {line}\n")

    log.unlink(missing_ok=True)
    row = Row(repository=fix.repository, commit=fix.commit, variant=variant, note=fix.note)
    try:
        head = variant_commit(clone, fix, variant)
        if not head:
            return None
        async with asyncio.timeout(minutes * 60):
            request = ProveRequest(clone, f"{fix.commit}^", head)
            proof = await prove_local(request, settings, say)
    except Exception as error:  # noqa: BLE001 - each kind is a line of the table
        words = str(error) or f"not done within {minutes:g} minutes"
        seconds = round(time.perf_counter() - begun, 1)
        return row.model_copy(
            update={"error": f"{type(error).__name__}: {words}"[:1000], "seconds": seconds}
        )
    (logs / f"{name}.json").write_text(proof.model_dump_json(indent=1))
    return row_of(row, proof, time.perf_counter() - begun)


def row_of(row: Row, proof: ChangeProof, seconds: float) -> Row:
    """The line of a proof."""
    return row.model_copy(
        update={
            "verdict": proof.verdict,
            "shows": proof.shows,
            "red": tuple(test.name for test in proof.tests if test.said in RED_THEN_GREEN),
            "missing": proof.missing,
            "broken": proof.broken,
            "flaky": proof.flaky,
            "findings": tuple(finding.rule for finding in proof.findings),
            "seconds": round(seconds, 1),
        }
    )


def contradicted(row: Row, whole: Row | None) -> bool:
    """Whether a variant is proven though tests that the whole fix makes pass do not pass in it."""
    if row.variant == "whole" or row.verdict != "proven":
        return False
    return whole is None or not set(whole.red) <= set(row.red)


def table(rows: Sequence[Row]) -> str:
    """Figures by repository and by variant, and why each fix is not proven that is not."""
    whole = [row for row in rows if row.variant == "whole"]
    bring = [row for row in whole if row.red]
    lines = [
        "| repository | fixes | bring a failing test | of these proven | a bug | something new "
        "| errors | median s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for repository in [*sorted({row.repository for row in whole}), ""]:
        own = [row for row in whole if repository in ("", row.repository)]
        red = [row for row in own if row.red]
        proven = [row for row in red if row.verdict == "proven"]
        seconds = sorted(row.seconds for row in own) or [0.0]
        cells = (
            repository or "**together**", len(own), len(red), len(proven),
            sum(row.shows == "a bug" for row in proven),
            sum(row.shows == "something new" for row in proven),
            sum(bool(row.error) for row in own), f"{seconds[len(seconds) // 2]:.0f}",
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    share = sum(row.verdict == "proven" for row in bring) / max(1, len(bring))
    lines += ["", f"Proven of those that bring a failing test: {share:.2f} (n = {len(bring)})."]
    tuned = [row for row in bring if row.note == "tuned"]
    if tuned:
        lines.append(f"Of these {len(tuned)} were used to make the rules.")
    by_key: Mapping[tuple[str, str, str], Row] = {row.key: row for row in rows}
    for variant in get_args(Variant)[1:]:
        own = [row for row in rows if row.variant == variant and not row.error]
        proven = [row for row in own if row.verdict == "proven"]
        wrong = [
            r for r in proven if contradicted(r, by_key.get((r.repository, r.commit, "whole")))
        ]
        lines.append(
            f"Variant `{variant}`: {len(own)}, proven {len(proven)}, "
            f"of these against the fix's own tests {len(wrong)}."
        )
    lines += ["", "| not proven | verdict | why |", "|---|---|---|"]
    for row in whole:
        if row.verdict != "proven":
            why = row.why.replace("|", "\\|")
            lines.append(
                f"| {row.repository} {row.commit[:12]} | {row.verdict or 'error'} | {why} |"
            )
    return "\n".join(lines) + "\n"


def read_rows(path: Path) -> list[Row]:
    """The lines of an earlier run, the last of each proof; a line that was cut off is left out."""
    found: dict[tuple[str, str, str], Row] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = Row.model_validate_json(line)
        except ValueError:
            continue
        found[row.key] = row
    return list(found.values())


def main() -> int:
    """Prove every fix that has no line yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="a folder of clones")
    parser.add_argument("--fixes", type=Path, help="the list")
    parser.add_argument("--out", type=Path, default=Path("proofs"))
    parser.add_argument("--variants", nargs="*", default=[], choices=get_args(Variant)[1:])
    parser.add_argument("--minutes", type=float, default=10.0, help="at most, for one proof")
    parser.add_argument("--only", nargs="*", default=[], help="fixes whose commits begin so")
    parser.add_argument("--again", action="store_true", help="those that have a line, too")
    options = parser.parse_args()
    if options.folder is None or options.fixes is None:
        print("Nothing to do: name a folder of clones and a list of fixes.")
        return 0
    logs, lines = options.out / "logs", options.out / "results.jsonl"
    logs.mkdir(parents=True, exist_ok=True)
    settings = load(state_dir=options.out / "state")
    done = set() if options.again else {row.key for row in read_rows(lines)}
    for fix in read_fixes(options.fixes):
        if options.only and not fix.commit.startswith(tuple(options.only)):
            continue
        for variant in ("whole", *options.variants):
            if (fix.repository, fix.commit, variant) in done:
                continue
            clone = (options.folder / fix.folder).resolve()
            row = asyncio.run(prove(clone, fix, variant, settings, options.minutes, logs))
            if row is None:
                continue
            with lines.open("a") as file:
                file.write(row.model_dump_json() + "\n")
            said = f"{row.verdict or 'error'} {row.shows} {row.seconds:.0f} s {row.why}"
            print(f"{fix.repository} {fix.commit[:12]} {variant}: {said}", flush=True)
    rows = read_rows(lines)
    print(table(rows))
    whole = {row.key: row for row in rows}
    return int(any(contradicted(r, whole.get((r.repository, r.commit, "whole"))) for r in rows))


if __name__ == "__main__":
    sys.exit(main())
