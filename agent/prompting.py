"""Prompts: files in `prompts/`, rendered once as an attempt starts and kept in its journal."""

from __future__ import annotations

import secrets
from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined

from agent.task import Task
from agent.text.control_tokens import neutralise
from agent.text.visible import without_hidden

_FOLDER = resources.files("prompts")
_JINJA = Environment(
    undefined=StrictUndefined,
    keep_trailing_newline=False,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701 - plain text for a model, not HTML
)


@cache
def _read(name: str) -> str:
    return _FOLDER.joinpath(name).read_text(encoding="utf-8").strip()


def prompt_version() -> str:
    """The version that every run records."""
    return _read("VERSION")


def tool_description(name: str) -> str:
    """What the model reads about a tool."""
    return _read(f"tools/{name}.md")


def system_prompt() -> str:
    """The same for every run, so that its prefix is shared among runs on a server."""
    return _read("system.md")


def reproduce_prompt() -> str:
    """For writing what shows a bug, where somebody else has the fix."""
    return _read("reproduce.md")


def setup_prompt() -> str:
    """For repairing a set-up."""
    return _read("setup.md")


def setup_description() -> str:
    """What the model reads about its one tool there."""
    return _read("setup_tool.md")


def task_prompt(task: Task, test_command: str, tree: str) -> str:
    """The assignment: the issue as data, how tests run, what is in the tree.

    The tags around what others wrote end in a random mark, so that no text can close or forge them.
    """
    template = _JINJA.from_string(_read("task.md.j2"))
    mark = secrets.token_hex(8)
    assignment = template.render(
        mark=mark,
        repository=task.repository,
        author=_as_seen(task.issue.author),
        title=_as_seen(task.issue.title),
        body=_as_seen(task.issue.body),
        comments=[_as_seen(c) for c in task.issue.comments],
        hints=[_as_seen(h) for h in task.hints],
        test_command=test_command,
        tree=neutralise(tree),
        again=task.again,
        feedback=[_as_seen(f) for f in task.feedback],
        attachments=[(a.id, neutralise(a.name), a.size) for a in task.attachments],
        budget=task.budget,
        history_commits=task.history_commits,
        history_is_cut=task.history_is_cut,
    )
    if not task.related:
        return assignment
    related = [
        {name: _as_seen(value) for name, value in work.model_dump().items()}
        for work in task.related
    ]
    known = _JINJA.from_string(_read("related.md.j2")).render(mark=mark, related=related)
    return f"{assignment}\n\n{known}"


def _as_seen(text: str) -> str:
    """What somebody wrote, as people see it, and without control tokens."""
    return neutralise(without_hidden(text))
