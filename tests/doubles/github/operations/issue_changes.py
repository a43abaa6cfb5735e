"""Changes to an issue or pull request that several operations make, each with its event."""

import hashlib
from typing import Any

from tests.doubles.github.operations.operation import Answer, Call, invalid, not_found
from tests.doubles.github.shapes import basic, pulls
from tests.doubles.github.state import Comment, Issue, Label, Reaction, User


def emit_item(call: Call, item: Issue, action: str, **extra: Any) -> None:
    """An ``issues`` or ``pull_request`` event, as the item is one or the other."""
    if item.pull is None:
        call.emit("issues", action, item, **extra)
    else:
        pull = pulls.pull_full(call.world, call.repo, item)
        call.emit("pull_request", action, number=item.number, pull_request=pull, **extra)


def find_comment(call: Call) -> tuple[Issue, Comment]:
    """The comment that the path names, and where it was said."""
    wanted = call.number("comment_id")
    for item in call.repo.issues.values():
        for said in item.comments:
            if said.id == wanted:
                return item, said
    raise not_found()


MAX_LABEL = 50
"""Characters of a label's name ("Managing labels")."""


def known_label(call: Call, name: str) -> Label:
    """The repository's label of that name; made when it is new, as GitHub does."""
    if len(name) > MAX_LABEL:
        said = f"name is too long (maximum is {MAX_LABEL} characters)"
        raise invalid("Label", "name", "custom", said)
    color = hashlib.sha256(name.encode()).hexdigest()[:6]
    fresh = Label(call.world.next_id(), name, color)
    return call.repo.labels.setdefault(name.lower(), fresh)


def add_labels(call: Call, item: Issue, names: list[str]) -> None:
    """Put labels on; one event for each that is new there."""
    for name in names:
        tag = known_label(call, name)
        if tag not in item.labels:
            item.labels.append(tag)
            item.updated_at = call.world.now()
            emit_item(call, item, "labeled", label=basic.label(call.world, call.repo, tag))


def remove_label(call: Call, item: Issue, tag: Label) -> None:
    """Take a label off, with the event."""
    item.labels.remove(tag)
    item.updated_at = call.world.now()
    emit_item(call, item, "unlabeled", label=basic.label(call.world, call.repo, tag))


def can_be_assigned(call: Call, item: Issue, who: User) -> bool:
    """Whether an issue can be assigned to somebody: to nobody's App.

    Who has access or has spoken on the issue:
    https://docs.github.com/issues/tracking-your-work-with-issues/using-issues/assigning-issues-and-pull-requests-to-other-github-users
    Of Apps only those of the "agents" that GitHub lists itself are assignable; for others see
    https://github.com/anthropics/claude-code-action/blob/main/docs/faq.md.
    """
    if who.kind != "User":
        return False
    spoke = who is item.user or any(said.user is who for said in item.comments)
    return spoke or call.repo.role_of(who) not in {"none", "read"}


def assign(call: Call, item: Issue, logins: list[str]) -> None:
    """Assign people who may be; others are passed over, as GitHub does."""
    for login in logins:
        who = call.world.user(login)
        if who and who not in item.assignees and can_be_assigned(call, item, who):
            item.assignees.append(who)
            emit_item(call, item, "assigned", assignee=basic.user(call.world.urls, who))


def react(call: Call, given: list[Reaction]) -> Answer:
    """Add the caller's emoji; 200 when it was there already."""
    who: User = call.user
    for known in given:
        if known.user is who and known.content == call.body["content"]:
            return Answer(200, basic.reaction(call.world, known))
    fresh = Reaction(call.world.next_id(), who, call.body["content"], call.world.now())
    given.append(fresh)
    return Answer(201, basic.reaction(call.world, fresh))
