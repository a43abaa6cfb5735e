"""What the gate runs to look at the style of a patch: a decision from texts and paths alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePosixPath

from agent.model import Record
from agent.style.configured import Configured, configured, environments_of, scripts_of
from agent.style.named_commands import (
    Named,
    is_style_name,
    named_commands,
    tools_in_script,
)
from agent.style.tools import TOOLS, StyleCommand
from agent.task import RuleDocument

MOST_COMMANDS = 8
_MOST_FILES = 30
_COMMAND_OF = {
    "npm": "npm run",
    "pnpm": "pnpm run",
    "yarn": "yarn run",
    "bun": "bun run",
    "tox": "tox -e",
    "nox": "nox -s",
}
_NEED_NETWORK = ("tox", "nox", "pre-commit")
"""They make environments of their own, for which a sandbox has no network."""


class StylePlan(Record):
    """What is run, and what is not, with the reasons."""

    commands: tuple[StyleCommand, ...] = ()
    not_run: tuple[str, ...] = ()
    """Sentences."""


class _Wanted(Record):
    """A tool or command that somebody wants, with the folder that it is about."""

    tool: str
    source: str
    folder: str
    command: str = ""


def style_plan(
    changed: Sequence[str],
    present: Collection[str],
    texts: Mapping[str, str],
    documents: Sequence[RuleDocument],
) -> StylePlan:
    """The commands for these changed files.

    `present` are the base's files, `texts` those that `files_to_read` names. What documents name
    counts before what files set up, and the document that is nearest to a file before others.
    """
    files = [path for path in changed if path][:_MOST_FILES]
    by_files = configured(files, present, texts)
    wanted: list[_Wanted] = []
    not_run: dict[str, None] = {}
    for document in sorted(documents, key=lambda one: -len(one.folder)):
        if document.folder and not any(_is_in(path, document.folder) for path in files):
            continue
        for named in named_commands(document.text):
            found, why = _resolved(named, document, texts, by_files)
            wanted += found
            if why:
                not_run[why] = None
    wanted += [
        _Wanted(tool=one.tool, source=one.source, folder=one.folder, command=one.command)
        for one in by_files
    ]
    commands: dict[tuple[str, str], StyleCommand] = {}
    for want in wanted:
        for command in _commands_for(want, files, present):
            commands.setdefault((command.name, command.folder), command)
    chosen = tuple(commands.values())
    left = [f"`{one.name}` of {one.source}: {MOST_COMMANDS} others were run." for one in chosen]
    return StylePlan(commands=chosen[:MOST_COMMANDS], not_run=(*not_run, *left[MOST_COMMANDS:][:3]))


def _resolved(
    named: Named,
    document: RuleDocument,
    texts: Mapping[str, str],
    by_files: Sequence[Configured],
) -> tuple[list[_Wanted], str]:
    """What a named command stands for, and why it is not run if it is not."""
    folder = document.folder or "."
    if named.tool == "pre-commit":
        hooks = [one for one in by_files if one.by_hooks]
        source = f"{document.path} (pre-commit)"
        return [_Wanted(tool=h.tool, source=source, folder=h.folder) for h in hooks], ""
    if named.tool:
        return [_Wanted(tool=named.tool, source=document.path, folder=folder)], ""
    shown = f"{_COMMAND_OF.get(named.by, named.by)} {named.name}"
    place = folder if folder in {_folder_of(path) for path in texts} else "."
    scripts = scripts_of(texts, place, named.by)
    if named.by == "tox":
        scripts = environments_of(texts, place)
    source = f"{document.path} ({shown})"
    tools = tools_in_script(scripts.get(named.name, ""), scripts)
    if tools:
        return [_Wanted(tool=tool, source=source, folder=place) for tool in tools], ""
    if not is_style_name(named.name):
        return [], ""  # as it is it may change files
    if named.by in _NEED_NETWORK:
        return [], f"`{shown}` of {document.path}: it makes an environment, which needs a network."
    if named.name not in scripts and named.by not in ("task", "rake"):
        return [], ""  # there is no such target: the text is about something else
    return [_Wanted(tool="", source=source, folder=place, command=shown)], ""


def _commands_for(
    want: _Wanted, files: Sequence[str], present: Collection[str]
) -> list[StyleCommand]:
    below = [path for path in files if _is_in(path, want.folder)]
    tool = TOOLS.get(want.tool)
    if tool is None:
        if not want.command or not below:
            return []
        return [
            StyleCommand(
                name=want.command, source=want.source, folder=want.folder, files=tuple(below)
            )
        ]
    by_folder: dict[str, list[str]] = {}
    for path in below:
        if PurePosixPath(path).suffix in tool.suffixes:
            by_folder.setdefault(_run_in(path, tool.root, present), []).append(path)
    return [
        StyleCommand(name=tool.name, source=want.source, folder=folder, files=tuple(paths))
        for folder, paths in by_folder.items()
    ]


def _run_in(path: str, roots: Sequence[str], present: Collection[str]) -> str:
    """The nearest folder above a file that holds one of these; the repository's if none does."""
    for parent in PurePosixPath(path).parents if roots else ():
        if any((f"{parent}/{name}" if str(parent) != "." else name) in present for name in roots):
            return str(parent)
    return "."


def _is_in(path: str, folder: str) -> bool:
    return folder in ("", ".") or path.startswith(f"{folder}/")


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0] or "."
