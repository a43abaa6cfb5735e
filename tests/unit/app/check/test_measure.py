"""What a check concludes from an environment and the runs of the suite in it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent.testing.report import SuiteRun, TestResult
from app.check.measure import report_of, without_results
from app.check.report import CheckReport
from app.repo_config.effective import effective_config
from app.repo_config.schema import RepoConfig
from app.sandboxes import environment
from app.sandboxes.environment import EnvironmentRequest, TestedEnvironment, image_for
from app.settings.schema import Settings
from sandbox.environment.choose import BARE
from sandbox.environment.records import Environment
from sandbox.environment.versions.available import NOT_KNOWN, Offers
from sandbox.setup.prepare import ImageKey
from tests.doubles.local_sandbox import LocalSandbox

TESTS = "def test_a(): pass\n"


def ran(command: str, exit_code: int, output: str = "", *names: str) -> SuiteRun:
    results = tuple(TestResult(name=name, outcome="passed") for name in names)
    return SuiteRun(command=command, exit_code=exit_code, output=output, results=results)


def report(found: TestedEnvironment, *runs: SuiteRun, state: Path) -> CheckReport:
    config = effective_config(Settings(state_dir=state), RepoConfig())
    return report_of("o/r", "c" * 40, found, list(runs), (), config)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (ran("make test", 0, "ok"), "`make test` counts as one test. A proof can only say"),
        (ran("make test", 2, "boom"), "which fails without any patch, so that nothing can be"),
        (ran("npm test --silent", 0, "No tests found"), "runs, and finds no tests."),
        (
            SuiteRun(
                command="whole",
                exit_code=0,
                output="",
                results=(TestResult(name="a: make", outcome="passed"),),
                parts=(ran("make", 0), ran("./check.sh", 0)),
            ),
            "`make and ./check.sh` counts as one test",
        ),
    ],
)
def test_a_suite_without_results_per_test_is_not_ready(
    run: SuiteRun, said: str, tmp_path: Path
) -> None:
    found = TestedEnvironment("i", Environment(BARE), cached=False, duration_s=1.0)
    made = report(found, run, run, state=tmp_path)
    assert not made.ready
    assert said in made.degraded
    assert "`test_command` in .github/patchwright.yml" in made.degraded


def test_a_suite_of_which_some_tests_are_named_may_be_ready(tmp_path: Path) -> None:
    found = TestedEnvironment("i", Environment(BARE), cached=False, duration_s=1.0)
    assert report(found, ran("pytest", 0, "", "a"), state=tmp_path).ready
    parts = (ran("make", 0), ran("pytest", 0, "", "a"))
    assert without_results(ran("whole", 0).model_copy(update={"parts": parts})) == ""


@dataclass
class Clock:
    """Time that passes only where the test says so."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


@dataclass
class Images:
    """Images that each take 30 s to make."""

    clock: Clock
    made: list[str]

    async def base(self, environment: Environment) -> str:
        return "base"

    async def content_id(self, image: str) -> str:
        return f"id of {image}"

    async def find(self, key: ImageKey) -> str:
        return key.recipe if key.recipe in self.made else ""

    async def make(
        self,
        environment: Environment,
        base: str,
        tree: Path | None,
        key: ImageKey,
        progress: Callable[[str], None],
    ) -> str:
        self.clock.now += 30
        self.made.append(key.recipe)
        return key.recipe


@dataclass
class Engine:
    """Sandboxes in which the suite takes 500 s."""

    clock: Clock
    made: list[str]
    files: Mapping[str, str]
    base_image: str = "base"

    async def offers(self, request: EnvironmentRequest) -> Offers:
        return NOT_KNOWN

    def images(self, *_: object) -> Images:
        return Images(self.clock, self.made)

    async def open(self, *_: object) -> Any:
        self.clock.now += 500
        return LocalSandbox(self.files)

    async def content_id(self, image: str) -> str:
        return f"id of {image}"

    async def tidy(self) -> None:
        pass


async def test_the_seconds_of_set_up_are_those_without_the_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"requirements.txt": "left-pad\n", "test_a.py": TESTS}
    with tarfile.open(tmp_path / "tree.tar", "w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    engine = Engine(Clock(), [], files)
    clock = SimpleNamespace(monotonic=engine.clock.monotonic, time=engine.clock.time)
    monkeypatch.setattr(environment, "time", clock)
    seconds = []
    for _ in range(2):
        found = await image_for(
            engine,
            Settings(state_dir=tmp_path / "state"),
            tmp_path / "tree.tar",
            EnvironmentRequest("o/r", always_try=True),
            run_id="check",
            installation="i",
        )
        assert found is not None and found.trial is not None
        made = report(found, found.trial.run, state=tmp_path)
        seconds.append((made.setup_s, made.cached))
    took = 30.0 * len(engine.made)  # what all repositories share, and what is this one's own
    assert engine.clock.now == 1500 + took  # its result being kept, the suite is run once
    assert seconds == [(took, False), (0.0, True)]
