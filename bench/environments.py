"""Environments of a folder of clones, found and tried as in a run: a table of what came of each.

For every clone the environment is chosen, set up and judged by one run of the suite
(`app.check.command.check`). An environment is *usable* if it is not degraded and at least 95 % of
the tests that its suite does not skip pass.

    python bench/environments.py FOLDER --out OUT [--minutes 15] [--only NAME …] [--again NAME …]

`OUT/results.jsonl` has a line for each clone, and one that has a line is not run again, so an
interrupted run goes on where it ended; `--again` runs clones once more. `OUT/table.md` is the
table, of all lines, and `OUT/logs/` holds what was said. Clones are called `owner__name`.
`OUT/notes.json` may say of a repository why it cannot be served here whatever Patchwright does
("its packages are on a registry that does not answer"): it is listed, and not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from agent.model import Record
from app.check.command import CheckRequest, check
from app.check.report import CheckReport
from app.settings.loading import load
from app.settings.schema import Settings

PASSING = 0.95
"""Least share of tests that pass, those not counted that the suite skips."""

_LANGUAGES = {
    ".py": "Python", ".js": "JavaScript", ".mjs": "JavaScript", ".cjs": "JavaScript",
    ".ts": "TypeScript", ".tsx": "TypeScript", ".go": "Go", ".rs": "Rust", ".java": "Java",
    ".kt": "Java", ".rb": "Ruby", ".php": "PHP", ".c": "C", ".h": "C", ".cpp": "C++",
    ".cc": "C++", ".cs": "C#",
}  # fmt: skip

_DOCUMENTATION = {"doc", "docs", "website"}
"""Folders in which other programs' scripts may outnumber the project's own."""


class Row(Record):
    """What came of one clone."""

    repository: str
    commit: str
    language: str
    environment: str = ""
    command: str = ""
    setup_s: float = 0.0
    suite_s: float = 0.0
    collected: int = 0
    passed: int = 0
    failed: int = 0
    """Errors too."""
    skipped: int = 0
    degraded: str = ""
    """Why it is; empty: it is not."""
    error: str = ""
    """Why there is no environment at all."""
    failed_environments: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    """The first tests that fail."""
    wall_s: float = 0.0

    @property
    def usable(self) -> bool:
        """Whether a run could work with it."""
        ran = self.passed + self.failed
        return not (self.error or self.degraded) and ran > 0 and self.passed >= PASSING * ran

    @property
    def reason(self) -> str:
        """Why it is not usable, in a few words; empty if it is."""
        if self.usable:
            return ""
        few = f"{self.failed} of {self.passed + self.failed} tests fail"
        return self.error or self.degraded or (few if self.collected else "no results per test")


def language_of(paths: Iterable[str]) -> str:
    """The language that most source files of a tree are written in, its documentation aside."""
    found = Counter(
        language
        for path in paths
        if (language := _LANGUAGES.get(PurePosixPath(path).suffix))
        and not _DOCUMENTATION & set(path.split("/"))
    )
    return found.most_common(1)[0][0] if found else "other"


def row_of(clone: Path, commit: str, report: CheckReport, wall_s: float) -> Row:
    """A report as a line of the table."""
    tests = report.tests
    return Row(
        repository=clone.name.replace("__", "/", 1),
        commit=commit,
        language=language_of(_git(clone, "ls-files").splitlines()),
        environment=report.environment,
        command=report.test_command,
        setup_s=report.setup_s,
        suite_s=report.suite_s,
        collected=sum(tests.values()),
        passed=tests.get("passed", 0),
        failed=tests.get("failed", 0) + tests.get("error", 0),
        skipped=tests.get("skipped", 0),
        degraded=report.degraded,
        failed_environments=report.failed,
        failing=report.failing[:5],
        wall_s=round(wall_s, 1),
    )


def markdown(rows: Sequence[Row], notes: Mapping[str, str]) -> str:
    """The table, and the shares of usable environments below it."""
    lines = [
        "| repository | commit | language | set-up s | suite s | tests | passed | failed | skipped "
        "| usable | why not |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---|---|",
    ]
    for row in sorted(rows, key=lambda r: (r.language, r.repository.lower())):
        why = notes.get(row.repository) or row.reason
        cells = (
            row.repository, f"`{row.commit[:7]}`", row.language, f"{row.setup_s:.0f}",
            f"{row.suite_s:.0f}", row.collected, row.passed, row.failed, row.skipped,
            "yes" if row.usable else "no", _cell(why),
        )  # fmt: skip
        lines.append(f"| {' | '.join(map(str, cells))} |")
    counted = [row for row in rows if row.repository not in notes or row.usable]
    of_scripts = [r for r in counted if r.language in ("Python", "JavaScript", "TypeScript")]
    lines += ["", _share("Python and JavaScript", of_scripts), "", _share("All", counted)]
    return "\n".join(lines) + "\n"


def _share(what: str, rows: Sequence[Row]) -> str:
    usable = sum(row.usable for row in rows)
    return f"{what}: {usable} of {len(rows)} usable ({usable / max(1, len(rows)):.2f})."


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")[:200]


def _git(clone: Path, *words: str) -> str:
    ran = subprocess.run(["git", "-C", str(clone), *words], check=True, capture_output=True)
    return ran.stdout.decode(errors="replace").strip()


def read_rows(path: Path) -> list[Row]:
    """The lines of an earlier run, the last of each clone; a line that was cut off is left out."""
    found: dict[str, Row] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = Row.model_validate_json(line)
        except ValueError:
            continue
        found[row.repository] = row
    return list(found.values())


async def try_clone(clone: Path, settings: Settings, minutes: float, log: Path) -> Row:
    """The environment of one clone, tried; what is said meanwhile goes to a file."""

    def say(line: str) -> None:
        with log.open("a") as file:
            file.write(f"{line}\n")

    log.unlink(missing_ok=True)
    commit = _git(clone, "rev-parse", "HEAD")
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(minutes * 60):
            report = await check(CheckRequest(str(clone), runs=1), settings, say)
    except Exception as error:  # noqa: BLE001 - each kind is a line of the table
        words = str(error) or f"not ready within {minutes:g} minutes"
        return Row(
            repository=clone.name.replace("__", "/", 1),
            commit=commit,
            language=language_of(_git(clone, "ls-files").splitlines()),
            error=f"{type(error).__name__}: {words}"[:2000],
            wall_s=round(time.perf_counter() - begun, 1),
        )
    return row_of(clone, commit, report, time.perf_counter() - begun)


def main() -> int:
    """Try every clone that has no line yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", help="a folder of clones")
    parser.add_argument("--out", type=Path, default=Path("environments"))
    parser.add_argument("--minutes", type=float, default=15.0, help="at most, for one clone")
    parser.add_argument("--only", nargs="*", default=[], help="these clones alone")
    parser.add_argument("--again", nargs="*", default=[], help="these once more")
    options = parser.parse_args()
    if options.folder is None:
        print("Nothing to do: name a folder of clones.")
        return 0
    out: Path = options.out
    (out / "logs").mkdir(parents=True, exist_ok=True)
    lines = out / "results.jsonl"
    settings = load(state_dir=out / "state")
    done = {row.repository.replace("/", "__", 1) for row in read_rows(lines)} - {*options.again}
    wanted = {*options.only, *options.again}
    for clone in sorted(path for path in options.folder.iterdir() if (path / ".git").exists()):
        if clone.name in done or (wanted and clone.name not in wanted):
            continue
        print(f"{clone.name}", flush=True)
        log = out / "logs" / f"{clone.name}.log"
        row = asyncio.run(try_clone(clone, settings, options.minutes, log))
        with lines.open("a") as file:
            file.write(row.model_dump_json() + "\n")
        word = "usable" if row.usable else "NOT usable"
        counts = f"{row.passed} passed, {row.failed} failed, {row.wall_s:.0f} s"
        print(f"    {word}: {counts} {row.reason[:300]}", flush=True)
    notes_file = out / "notes.json"
    notes = json.loads(notes_file.read_text()) if notes_file.exists() else {}
    (out / "table.md").write_text(markdown(read_rows(lines), notes))
    print((out / "table.md").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
