"""The test command in a package.json: its scripts, with those that they call put in their place.

What a project calls its test is often a chain: it compiles, lints, runs the tests, and audits what
is installed. Only what the tests need is kept, as the rest says nothing of a test and may need the
network or programs that are not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent.model import Record

_CALLS = re.compile(
    r"(?P<by>npm|pnpm|yarn|bun(?!\s+test\b))(?:\s+--?[\w-]+)*\s+(?P<run>run(?:-script)?\s+)?(?:(?:-s|--silent)\s+)?"
    r"(?P<name>[\w:.-]+)(?:\s+--)?(?P<rest>(?:\s.*)?)",
    re.DOTALL,
)
_BUILDS = re.compile(
    r"\b(?:tsc|babel|rollup|esbuild|webpack|swc|tsup|tshy|unbuild|parcel|browserify|vite|build|compile"
    r"|transpile|bundle|generate|rimraf|mkdirp|shx|cp|copy)\b"
)
_CHECKS = re.compile(
    r"\b(?:lint|eslint|oxlint|prettier|oxfmt|standard|biome|gts|format|type-?check|noEmit|attw|publint"
    r"|audit|depcheck|knip|size-limit|codecov|coveralls|docs?|readme)\b"
)
_RUNNERS = re.compile(
    r"(?:^|[\s/])(?:vitest|jest|mocha|tap|tape|ava|jasmine|uvu|(?:playwright|bun|deno)\s+test)(?=\s|$)"
    r"|(?:^|\s)node\s(?:\S+\s+){0,20}?--test\b"
)
_BY_NAME = re.compile(r"(?:^|\s)(?:npm|pnpm|yarn|bun(?!\s+test\b))\s")
_DEEPEST = 4
_LOOKED_AT = 2000
"""Characters of a command."""
_MOST_STEPS = 1000
"""Scripts that call each other many times over stand for steps without end."""


class _Step(Record):
    """One command of a chain."""

    command: str
    called: str = ""
    """The scripts by whose names it is called."""

    @property
    def runs_tests(self) -> bool:
        command = self.command[:_LOOKED_AT]
        return bool(_RUNNERS.search(command)) and not _BY_NAME.search(command)

    @property
    def builds(self) -> bool:
        words = f"{self.called} {self.command[:_LOOKED_AT]}"
        return bool(_BUILDS.search(words)) and not _CHECKS.search(words)


def script_of_tests(scripts: Mapping[str, object]) -> str:
    """The `test` script as one line of shell, its steps reduced to those that its tests need.

    Empty where there is none. A script in which no known runner is seen stays as it is.
    """
    whole = _text(scripts, "test")
    left = [_MOST_STEPS]
    before = _steps("pretest", _text(scripts, "pretest"), scripts, left)
    steps = [*before, *_steps("", whole, scripts, left)]
    running = [at for at, step in enumerate(steps) if step.runs_tests]
    if not running or "||" in whole or ";" in whole:
        return whole
    earlier = range(running[-1])
    needed = [
        step.command
        for at, step in enumerate(steps)
        if at in running or (at in earlier and step.builds)
    ]
    return " && ".join(needed)


def _steps(
    name: str, script: str, scripts: Mapping[str, object], left: list[int], depth: int = 0
) -> list[_Step]:
    """The commands of a chain, one after the other, with what they call put in its place.

    `left`: how many commands may still be looked at, in all.
    """
    found: list[_Step] = []
    for command in filter(None, (part.strip() for part in script.split("&&"))):
        left[0] -= 1
        if left[0] < 0:
            break
        call = _CALLS.fullmatch(command)
        text = _text(scripts, call["name"]) if call is not None else ""
        if call is None or depth >= _DEEPEST:
            found.append(_Step(command=command, called=name))
        elif text:
            inner = call["name"]
            found += _steps(inner, _text(scripts, f"pre{inner}"), scripts, left, depth + 1)
            own = _steps(inner, text, scripts, left, depth + 1)
            found += own[:-1]
            found += [s.model_copy(update={"command": s.command + call["rest"]}) for s in own[-1:]]
        else:
            # Not a script, so a program of the project: `yarn jest`.
            program = call["by"] != "npm" and not call["run"]
            alone = f"{call['name']}{call['rest']}" if program else command
            found.append(_Step(command=alone, called=name))
    return found


def _text(scripts: Mapping[str, object], name: str) -> str:
    script = scripts.get(name, "")
    return " ".join(script.split()) if isinstance(script, str) else ""
