"""The suite's results on a base commit, measured once and kept.

Only what a fresh sandbox of the base gave is ever kept, before anything that a model wrote was in
it; so the caller names a base only for trees that no model has changed. A kept file is found by a
hash of all that decides the results, the repository among them, so that one never serves another.
Its content carries the same key and a digest; what does not fit is measured again.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agent.gate.compare import SHOWN_CHARS
from agent.model import Record
from agent.task import KeptBase
from agent.testing.junit import cut
from agent.testing.report import SuiteRun

FORMAT = 3
"""Goes up whenever tests are run or read in another way: what was kept before is then not used."""
_SUITES = TypeAdapter(tuple[SuiteRun, ...])
_MOST_BYTES = 64 * 1024**2


class _Kept(Record):
    key: str
    digest: str
    suites: str
    """JSON of the runs."""


def load_results(base: KeptBase, command: str, timeout_s: float) -> tuple[SuiteRun, ...]:
    """The kept runs; empty where there are none that can be trusted."""
    key = _key(base, command, timeout_s)
    path = _path(base, key)
    try:
        if path.stat().st_size > _MOST_BYTES:
            return ()
        kept = _Kept.model_validate_json(path.read_bytes())
        if kept.key != key or kept.digest != _hash(kept.suites):
            return ()
        return _SUITES.validate_json(kept.suites)
    except (OSError, ValidationError):
        return ()


def keep_results(
    base: KeptBase, command: str, timeout_s: float, suites: Sequence[SuiteRun]
) -> None:
    """Keep the runs, if they say something: all with results, none at its time limit.

    A folder that cannot be written to costs only time, and is no error.
    """
    if not suites or any(run.timed_out or not run.results for run in suites):
        return
    key = _key(base, command, timeout_s)
    text = _SUITES.dump_json(tuple(_bare(run) for run in suites)).decode()
    kept = _Kept(key=key, digest=_hash(text), suites=text)
    path = _path(base, key)
    partial = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial.write_text(kept.model_dump_json(), encoding="utf-8")
        partial.replace(path)
    except (OSError, UnicodeError):
        partial.unlink(missing_ok=True)


def _bare(run: SuiteRun) -> SuiteRun:
    """A run's outcomes, without failure texts; why a test could not run is told to people."""
    results = tuple(
        result if result.outcome == "error" else result.model_copy(update={"message": ""})
        for result in run.results
    )
    return run.model_copy(update={"results": results, "output": cut(run.output, SHOWN_CHARS)})


def _key(base: KeptBase, command: str, timeout_s: float) -> str:
    parts = [FORMAT, base.repository, base.commit, base.environment, command, timeout_s]
    return _hash(json.dumps(parts))


def _path(base: KeptBase, key: str) -> Path:
    return Path(base.folder) / _hash(base.repository)[:32] / f"{key}.json"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", errors="surrogatepass")).hexdigest()
