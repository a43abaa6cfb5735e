"""What a check measures in an environment: versions, and several runs of the suite."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from agent.testing.report import SuiteRun
from agent.testing.suite import run_suite
from agent.testing.vacuous import why_vacuous
from app.check.report import MOST_NAMES, CheckReport, ToolVersion, gate_seconds, together
from app.repo_config.effective import EffectiveConfig
from app.repo_config.schema import PATH
from app.sandboxes.environment import TestedEnvironment
from sandbox.environment.choose import read_for_choice
from sandbox.environment.own_process import in_own_process
from sandbox.environment.versions.probe import PROBE, read_answer
from sandbox.environment.versions.records import NAMES, StatedVersion, Tool, Version, text_of
from sandbox.protocol import Sandbox
from sandbox.setup.records import proposal

RUNS = 3
PROBE_S = 30.0
NAME_ANOTHER = f"Name the command that runs them with `test_command` in {PATH}."
NO_TESTS = f"No tests were found. {NAME_ANOTHER}"
NAME_A_RUNNER = (
    f"With `test_command` in {PATH}, name a command that calls the tests' runner itself and not a "
    "script around it (`python3 -m pytest`, `npx jest`, `ctest`, …; the documentation lists all "
    "that are read)."
)
_LONGEST_LINE = 300
_ADDRESS = re.compile(
    r"(?:(?<=//)|(?<![\w.=<>~^@/-]))\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)(?::\d+)?"
    r"|(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}(?::?[0-9a-f]{1,4})?\b",
    re.IGNORECASE,
)
"""Of IP, and no version with four numbers that follows a package's name."""
OWN_SETUP = f"Put commands that set it up under `setup` in {PATH}."


async def measure(
    repository: str,
    commit: str,
    tree: Path,
    found: TestedEnvironment,
    config: EffectiveConfig,
    open_sandbox: Callable[[], Awaitable[Sandbox]],
    say: Callable[[str], None],
    *,
    runs: int = RUNS,
) -> CheckReport:
    """Run the suite `runs` times in all in the environment, and report.

    The run that chose the environment is the first; the others share a sandbox. Raises
    `SandboxError`.
    """
    sandbox = await open_sandbox()
    try:
        probed = await sandbox.run(f"cd / && {{ {PROBE}\n}}", timeout_s=PROBE_S)
        done = await _runs(sandbox, found, config.budget.test_timeout_s, runs, say)
    finally:
        await sandbox.close()
    stated = (await in_own_process(read_for_choice, tree)).stated
    versions = _versions(read_answer(probed.text), stated)
    return report_of(repository, commit, found, done, versions, config)


async def _runs(
    sandbox: Sandbox,
    found: TestedEnvironment,
    timeout_s: float,
    count: int,
    say: Callable[[str], None],
) -> list[SuiteRun]:
    if found.trial is None:
        return []
    runs = [found.trial.run]
    if not found.trial.readiness.starts:
        return runs
    for number in range(2, count + 1):
        say(f"Running the tests, {number} of {count} …")
        runs.append(await run_suite(sandbox, found.trial.command, "", timeout_s))
    return runs


def _versions(
    present: Mapping[Tool, Version], stated: Sequence[StatedVersion]
) -> tuple[ToolVersion, ...]:
    said: dict[str, list[str]] = {}
    for one in stated:
        said.setdefault(one.tool, []).append(f"{one.wanted} ({one.file})")
    return tuple(
        ToolVersion(
            tool=NAMES[tool],
            present=text_of(present.get(tool, ())),
            stated=tuple(dict.fromkeys(said[tool])),
        )
        for tool in NAMES
        if tool in said
    )


def report_of(
    repository: str,
    commit: str,
    found: TestedEnvironment,
    runs: list[SuiteRun],
    versions: tuple[ToolVersion, ...],
    config: EffectiveConfig,
) -> CheckReport:
    """The report on an environment and the runs of the suite in it."""
    whole = together(runs)
    first = runs[0] if runs else None
    suite_s = first.duration_s if first else 0.0
    least, most = gate_seconds(suite_s, config.policy)
    degraded = found.degraded
    if first is None:
        degraded = f"{degraded} {NO_TESTS}".strip()
    elif not degraded:
        degraded = without_results(first)
    elif PATH not in degraded:
        degraded = f"{degraded} {OWN_SETUP}"
    return CheckReport(
        repository=repository,
        commit=commit,
        ready=not degraded,
        environment=found.environment.source,
        image=found.image,
        cached=found.cached,
        setup_s=round(max(found.duration_s - found.trials_s, 0.0), 1),
        test_command=found.trial.command if found.trial else "",
        suite_s=round(suite_s, 1),
        tests=dict(Counter(result.outcome for result in first.results)) if first else {},
        runs=len(runs),
        failing=whole.failing[:MOST_NAMES],
        failing_count=len(whole.failing),
        flaky=whole.flaky[:MOST_NAMES],
        not_always=whole.not_always[:MOST_NAMES],
        network=whole.network[:MOST_NAMES],
        slowest=whole.slowest,
        versions=versions,
        degraded=degraded,
        failed=tuple(shown_line(str(error)) for error in found.failed),
        others=tuple(map(shown_line, found.others)),
        recipe=proposal(found.environment),
        gate_least_s=least,
        gate_most_s=most,
    )


def without_results(run: SuiteRun) -> str:
    """Why a run that names no single test is not enough, and what would help; empty: it names some.

    The gate takes such a command as one test (`agent.gate.scope`), or as none.
    """
    parts = run.parts or (run,)
    if any(part.results for part in parts):
        return ""
    command = shown_line(" and ".join(dict.fromkeys(part.command for part in parts)))
    if all(why_vacuous(part.command, part.exit_code, part.output) for part in parts):
        return f"The test command (`{command}`) runs, and finds no tests. {NAME_ANOTHER}"
    said = f"There are no results per test: `{command}` counts as one test"
    if any(part.exit_code for part in parts):
        said += ", which fails without any patch, so that nothing can be proven"
    else:
        said += (
            ". A proof can only say that all of it passes, with and without the patch: not which "
            "tests reach what the patch changes, and nothing at all as soon as one of them fails"
        )
    return f"{said}. {NAME_A_RUNNER}"


def shown_line(text: str) -> str:
    """The first line of a set-up's words, for people outside: no addresses of the operator's
    network, and not too long, cut between words."""
    line = _ADDRESS.sub("(an address)", (text.splitlines() or [""])[0])
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE].rpartition(' ')[0]} …"
