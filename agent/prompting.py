"""Prompts: files in `prompts/`, rendered once as an attempt starts and kept in its journal."""

from __future__ import annotations

import secrets
from functools import cache
from importlib import resources

from jinja2 import Environment, StrictUndefined

from agent.style.habits import habit_sentence
from agent.task import ProjectRules, RuleDocument, Task
from agent.text.control_tokens import neutralise
from agent.text.visible import without_hidden

RULES_CHARS = 30_000
"""Most characters of a project's own rules in a prompt."""
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


def task_prompt(task: Task, test_command: str, tree: str, *, sees: bool = False) -> str:
    """The assignment: the issue as data, how tests run, what is in the tree.

    `sees`: whether the model is shown images.

    The tags around what others wrote end in a random mark, so that no text can close or forge them.
    """
    template = _JINJA.from_string(_read("task.md.j2"))
    mark = secrets.token_hex(8)
    assignment = template.render(
        mark=mark,
        repository=task.repository,
        author=_as_seen(task.issue.author),
        title=_as_seen(task.issue.title),
        fields=[_as_seen(f) for f in task.issue.fields],
        body=_as_seen(task.issue.body),
        comments=[_as_seen(c) for c in task.issue.comments],
        hints=[_as_seen(h) for h in task.hints],
        test_command=test_command,
        tree=neutralise(tree),
        again=task.again,
        plan_first=task.asking.plan_wait_s > 0,
        feedback=[_as_seen(f) for f in task.feedback],
        attachments=[(a.id, neutralise(a.name), a.size) for a in task.attachments],
        pictures=[(p.id, neutralise(p.name), p.width, p.height) for p in task.pictures],
        sees=sees,
        budget=task.budget,
        history_commits=task.history_commits,
        history_is_cut=task.history_is_cut,
    )
    parts = [assignment]
    if task.rules is not None and (task.rules.documents or task.rules.habits):
        parts.append(_rules(task.rules, mark))
    if task.external_tools:
        provided = _JINJA.from_string(_read("external.md.j2"))
        parts.append(provided.render(tools=task.external_tools))
    if task.related:
        related = [
            {name: _as_seen(value) for name, value in work.model_dump().items()}
            for work in task.related
        ]
        known = _JINJA.from_string(_read("related.md.j2"))
        parts.append(known.render(mark=mark, related=related))
    return "\n\n".join(parts)


def external_description(server: str, said: str, *, writes: bool) -> str:
    """What the model reads about a tool of the operator; `said`: its server's words, on a line."""
    template = _JINJA.from_string(_read("external_tool.md.j2"))
    return template.render(server=server, said=_as_seen(said).replace('"', "'"), writes=writes)


def external_answer(tool: str, text: str, mark: str) -> str:
    """What such a tool answered, as data: `mark` is random, so that no text can close the tags."""
    template = _JINJA.from_string(_read("external_answer.md.j2"))
    return template.render(tool=tool, text=text, mark=mark)


def _rules(rules: ProjectRules, mark: str) -> str:
    shown, more = shown_documents(rules)
    return _JINJA.from_string(_read("rules.md.j2")).render(
        mark=mark,
        documents=[
            {
                "path": _as_seen(document.path).replace('"', "'"),
                "text": _as_seen(document.text),
                "is_cut": document.is_cut,
                "commands_only": document.commands_only,
            }
            for document in shown
        ],
        more=[_as_seen(document.path) for document in more],
        habits=[_as_seen(habit_sentence(habit)) for habit in rules.habits],
    )


def shown_documents(
    rules: ProjectRules,
) -> tuple[tuple[RuleDocument, ...], tuple[RuleDocument, ...]]:
    """The documents that a prompt holds, and those that it only names.

    Those of the whole repository come first, then those of the folders of files that the issue
    names, the nearest to one first, as long as there is room.
    """

    def distance(document: RuleDocument) -> tuple[int, int]:
        near = any(path.startswith(f"{document.folder}/") for path in rules.near)
        return (0 if not document.folder else 1 if near else 2, -document.folder.count("/"))

    ordered = sorted(rules.documents, key=distance)
    shown, room = [], RULES_CHARS
    for document in ordered:
        if distance(document)[0] < 2 and len(document.text) <= room:
            shown.append(document)
            room -= len(document.text)
    return tuple(shown), tuple(document for document in ordered if document not in shown)


def _as_seen(text: str) -> str:
    """What somebody wrote, as people see it, and without control tokens."""
    return neutralise(without_hidden(text))
