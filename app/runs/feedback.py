"""Feedback on a pull request, as text for the next attempt, and the answers to it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from agent.journal.events import ReproductionDeclared
from agent.model import Picture, Record
from app.admission.authorization import is_bot
from app.github import commands
from app.github.records import FailedCheck, ReviewComment

CHECK_ROUNDS = 3
"""Most rounds of a run that fix failed checks of its own pull request; then a person must look."""
LONGEST = 8000
"""Characters of one remark that the next attempt reads."""


class FeedbackItem(Record):
    """One piece of feedback that a round handles."""

    key: str
    kind: Literal["review", "line", "page", "check", "conflict", "rerun", "publish"]
    text: str
    """For the model; contains untrusted text."""
    thread: int = 0
    """Thread in which it is answered; 0: on the pull request itself."""
    author: str = ""
    title: str = ""
    """For people: what the answer is about. Untrusted."""


class LaterImages(Record):
    """Images that came since the first round, on the pull request or on the issue."""

    keys: tuple[str, ...] = ()
    """Of the links to them: which have been dealt with, seen or not."""
    pictures: tuple[Picture, ...] = ()
    """Those of one round, kept with the run."""


class FeedbackItems(Record):
    """All feedback that a round handles, in order."""

    items: tuple[FeedbackItem, ...]
    images: LaterImages = LaterImages()


def unhandled_comments(
    comments: Iterable[ReviewComment], *, own_login: str, name: str, handled: Collection[str]
) -> list[ReviewComment]:
    """The remarks that may ask for something: not our own, not a bot's, not dealt with already.

    On the page, people also talk to each other; there only what is said to us counts.
    """
    return [
        comment
        for comment in comments
        if comment.author != own_login
        and not is_bot(comment.author)
        and comment.key not in handled
        and comment.body.strip()
        and (comment.kind != "page" or feedback_to_app(comment.body, name))
    ]


def feedback_to_app(body: str, name: str) -> str:
    """The words on a pull request's page that are feedback for us; empty when there are none."""
    match commands.parse(body, name):
        case commands.Mention(text):
            return text
        case commands.Command("fix", text):  # its budget is given when the comment comes
            return commands.asked_budget(text)[1]
        case commands.Command("hint", text):
            return text
        case _:
            return ""


def remark(comment: ReviewComment, name: str) -> str:
    """What of a comment is feedback."""
    body = feedback_to_app(comment.body, name) if comment.kind == "page" else comment.body
    return body[:LONGEST]


def item_from_comment(comment: ReviewComment, name: str) -> FeedbackItem:
    """A remark as an item."""
    who, body = comment.author, remark(comment, name)
    match comment.kind:
        case "review":
            text = f"{who} reviewed the pull request and says:\n{body}"
        case "page":
            text = f"{who} commented on the pull request:\n{body}"
        case "line":
            place = f"line {comment.line}" if comment.line else "a line that no longer exists"
            hunk = "\n".join(comment.hunk.splitlines()[-12:])
            text = f"{who} commented on {comment.path}, {place}:\n{hunk}\n\n{body}"
    return FeedbackItem(
        key=comment.key,
        kind=comment.kind,
        text=text,
        thread=comment.thread,
        author=who,
        title=f"{who}: {body}",
    )


def item_from_check(check: FailedCheck, log_id: str) -> FeedbackItem:
    """A failed check of the pull request as an item."""
    where = f"Its log is {log_id}; look into it with the log tool." if log_id else "It has no log."
    return FeedbackItem(
        key=f"check:{check.id}",
        kind="check",
        text=(
            f"The check {check.name!r} of the pull request ended with {check.conclusion}. {where} "
            "Reproduce its failure in the tree as it is (declare it with the reproduction tool if "
            f"you can), then fix it.\n{check.summary[:LONGEST]}"
        ),
        title=f"The check {check.name} failed",
    )


def item_from_conflict(branch: str, tip: str, files: Sequence[str], patch: str) -> FeedbackItem:
    """A base branch that moved so that the pull request conflicts with it, as an item."""
    named = ", ".join(files[:20]) or "its files"
    return FeedbackItem(
        key=f"base:{tip[:40]}",
        kind="conflict",
        text=(
            f"The branch {branch} moved to {tip[:12]}, and the pull request conflicts with it in "
            f"{named}. The tree is that new commit, without the pull request's change. Adapt the "
            f"change to it, and declare the reproduction again. The change was:\n"
            f"```diff\n{patch[:20_000]}\n```"
        ),
        title=f"Conflict with {branch} in {named}",
    )


def item_from_rerun(key: str, reasons: Sequence[str]) -> FeedbackItem:
    """The re-run button, when the proof did not hold again, as an item."""
    listed = "\n".join(f"- {reason}" for reason in reasons)
    return FeedbackItem(
        key=key,
        kind="rerun",
        text=f"Somebody asked for a new proof, and it failed:\n{listed[:LONGEST]}",
        title="Re-run of the proof",
    )


def item_from_publish(key: str) -> FeedbackItem:
    """A request to push a kept change once more; no attempt reads it."""
    return FeedbackItem(key=key, kind="publish", text="", title="Publish the kept change")


def attempt_introduction(
    pull_number: int, carried: ReproductionDeclared | None, *, patched: bool
) -> str:
    """What the next attempt needs to know before the feedback."""
    parts = [
        f"You have already made a patch for this issue; it is in pull request #{pull_number}, "
        "on which there is feedback."
    ]
    if patched:
        parts.append("The tree holds that pull request as it is now.")
        if carried is not None and carried.command:
            parts.append(
                f"Its reproduction is already accepted: `{carried.command}`; what it ran may stand "
                "among the other tests by now. Another one must fail in the tree as it is now."
            )
    parts.append("Do what the feedback asks, or say why not; then submit.")
    return " ".join(parts)
