"""A Dockerfile as steps of a set-up.

It is not given to the engine's builder: that would fetch `ADD https://…` with the host's network
and run each command without the set-up's limits. Its commands run in the set-up container instead.
The stage that is taken is the last one that needs no files of another: that one has the tools, and
the last often has only what a release needs. The folder that it works in becomes the workspace.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from dataclasses import dataclass

from sandbox.environment.records import Step

_CONTINUED = re.compile(r"\\[ \t]*\n")
_VARIABLE = re.compile(r"\\\$|\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_HEREDOC = re.compile(r"<<-?\s*['\"]?\w")
_PAIR = re.compile(r"""(\w+)=((?:"(?:[^"\\]|\\.)*"|'[^']*'|\\.|[^\s"'\\])*)""")
_FLAG = re.compile(r"^--\S+\s+")
_KEPT_FOLDERS = re.compile(r"/(|root|home|tmp|usr|opt|srv|var|etc|workspace|usr/src|usr/local)/?\Z")
_COPY = (
    'copy() { to=$1 many=$2; shift 2; for from in "$@"; do '
    'if [ -d "$from" ]; then mkdir -p "$to"; [ "$from" -ef "$to" ] || cp -a "$from/." "$to/"; '
    'elif [ "$many" = 1 ] || [ -d "$to" ]; then mkdir -p "$to"; '
    '[ "$from" -ef "$to/${from##*/}" ] || cp -a "$from" "$to/"; '
    'else mkdir -p "${to%/*}/"; [ "$from" -ef "$to" ] || cp -a "$from" "$to"; fi || return; done; }'
)
# The tree is in the workspace already: where the Dockerfile would copy it to, it is linked.
_WORK = (
    'dir={0}; if [ ! -e "$dir" ] || rmdir "$dir" 2>/dev/null; then '
    'mkdir -p "$(dirname "$dir")" && ln -sT /workspace "$dir"; fi'
)


class NotUsable(Exception):
    """The Dockerfile uses what a set-up cannot do; the message names it."""


@dataclass(frozen=True, slots=True)
class Build:
    """What a Dockerfile does up to the end of one stage."""

    image: str
    steps: tuple[Step, ...]
    variables: tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Stage:
    name: str
    base: str
    lines: list[tuple[str, str]]


def parse(text: str, target: str = "") -> Build:
    """Read a Dockerfile; `target` names a stage. Raises `NotUsable`."""
    arguments, stages = _stages(_instructions(text))
    if not stages:
        raise NotUsable("it has no FROM")
    for stage in [s for s in stages if s.name == target] if target else reversed(stages):
        chain = _chain(stage, stages)
        if not any(_from_elsewhere(name, rest) for s in chain for name, rest in s.lines):
            return _build(chain, arguments)
    raise NotUsable("every stage copies from another image")


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = _CONTINUED.sub(" ", "\n".join(lines))
    found = []
    for line in joined.splitlines():
        name, _, rest = line.strip().partition(" ")
        if name:
            found.append((name.upper(), rest.strip()))
    return found


def _stages(
    instructions: list[tuple[str, str]],
) -> tuple[dict[str, str], list[_Stage]]:
    arguments: dict[str, str] = {}
    stages: list[_Stage] = []
    for name, rest in instructions:
        if name == "FROM":
            words = _FLAG.sub("", rest).split()
            alias = words[2] if len(words) == 3 and words[1].lower() == "as" else ""
            if not words:
                raise NotUsable("a FROM names no image")
            stages.append(_Stage(alias, _expand(words[0], arguments), []))
        elif not stages and name == "ARG":
            key, _, value = rest.partition("=")
            arguments[key] = _expand(value.strip("\"'"), arguments)
        elif stages:
            stages[-1].lines.append((name, rest))
    return arguments, stages


def _chain(stage: _Stage, stages: list[_Stage]) -> list[_Stage]:
    """The stages that this one builds on, first one first."""
    earlier = {s.name: s for s in stages[: stages.index(stage)] if s.name}
    chain = [stage]
    while chain[0].base in earlier:
        before = earlier.pop(chain[0].base)
        chain.insert(0, before)
    return chain


def _from_elsewhere(name: str, rest: str) -> bool:
    return name in ("COPY", "ADD") and "--from=" in rest


def _build(chain: list[_Stage], outside: dict[str, str]) -> Build:
    if chain[0].base == "scratch":
        raise NotUsable("it starts from scratch")
    state = _State(outside)
    for stage in chain:
        for name, rest in stage.lines:
            state.take(name, rest)
    return Build(chain[0].base, tuple(state.steps), tuple(state.variables.items()))


class _State:
    """The builder's state while instructions are read."""

    def __init__(self, outside: dict[str, str]) -> None:
        self.steps: list[Step] = []
        self.variables: dict[str, str] = {}
        self._outside = outside
        self._arguments: dict[str, str] = {}
        self._folder = "/"

    def take(self, name: str, rest: str) -> None:
        if _HEREDOC.search(rest) and name in ("RUN", "COPY", "ADD"):
            raise NotUsable(f"{name} with a here-document")
        match name:
            case "RUN":
                self._run(_command(rest))
            case "ENV":
                self.variables |= dict(_pairs(rest))
            case "ARG":
                key, equals, value = rest.partition("=")
                given = self._outside.get(key, "") if not equals else value.strip("\"'")
                self._arguments[key] = _expand(given, self._variables())
            case "WORKDIR":
                self._set_workdir(_expand(rest.strip("\"'"), self._variables()))
            case "COPY" | "ADD":
                self._copy(name, rest)
            case _:
                pass  # what a server needs and a sandbox does not: CMD, EXPOSE, USER, …

    def _variables(self) -> dict[str, str]:
        return {**self._arguments, **self.variables}

    def _run(self, command: str) -> None:
        given = "".join(f"export {k}={shlex.quote(v)}; " for k, v in self._arguments.items())
        self.steps.append(Step(f"cd {shlex.quote(self._folder)} && {{ {given}{command}\n}}", True))

    def _set_workdir(self, folder: str) -> None:
        self._folder = posixpath.normpath(posixpath.join(self._folder, folder))
        quoted = shlex.quote(self._folder)
        make = f"mkdir -p {quoted}"
        if not _KEPT_FOLDERS.match(self._folder):
            make = _WORK.format(quoted)
        self.steps.append(Step(make, True))

    def _copy(self, name: str, rest: str) -> None:
        while _FLAG.match(rest):
            rest = _FLAG.sub("", rest, count=1)
        words = _split_words(_expand(rest, self._variables()))
        if len(words) < 2:
            raise NotUsable(f"{name} without a source or a target")
        *sources, target = words
        if name == "ADD" and any("://" in s or s.startswith("git@") for s in sources):
            raise NotUsable("ADD with a URL")
        if any(".." in posixpath.normpath(s).split("/") for s in sources):
            raise NotUsable(f"{name} from outside the repository")
        many = 1 if target.endswith("/") or len(sources) > 1 or target in (".", "..") else 0
        place = shlex.quote(posixpath.normpath(posixpath.join(self._folder, target)))
        # Patterns are the shell's: everything but them is quoted.
        given = " ".join(_pattern("/workspace/" + s.lstrip("/")) for s in sources)
        self.steps.append(Step(f"{_COPY}; copy {place} {many} {given}", True))


def _command(rest: str) -> str:
    while _FLAG.match(rest):
        rest = _FLAG.sub("", rest, count=1)
    if rest.startswith("["):
        words = _split_words(rest)
        return shlex.join(words)
    return rest


def _split_words(text: str) -> list[str]:
    """Words of an instruction in its JSON form or its plain one."""
    if text.startswith("["):
        try:
            words = json.loads(text)
        except (ValueError, RecursionError):
            raise NotUsable(f"a malformed list: {text[:80]}") from None
        return [str(word) for word in words]
    return text.split()


def _pairs(rest: str) -> list[tuple[str, str]]:
    if not re.match(r"\w+=", rest):
        key, _, value = rest.partition(" ")
        return [(key, value.strip())]
    return [(key, _unquote(value)) for key, value in _PAIR.findall(rest)]


def _unquote(value: str) -> str:
    if value[:1] == value[-1:] and value[:1] in ("'", '"') and len(value) > 1:
        return value[1:-1].replace('\\"', '"')
    return re.sub(r"\\(.)", r"\1", value)


def _pattern(path: str) -> str:
    return re.sub(r"[^A-Za-z0-9_./*?\[\]-]", lambda found: "\\" + found[0], path)


def _expand(text: str, known: dict[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[0] == "\\$":
            return "$"
        name = found[1] or found[2]
        there = known.get(name, "")
        if found[3] and "+" in found[3]:
            return found[4] if there else ""
        return there or (found[4] or "" if found[3] else "")

    return _VARIABLE.sub(value, text)
