"""What a later round of a run says on its pull request; each thing once, found by its marker."""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.journal.state import AttemptState
from app.conventions.messages import MessageStyle
from app.git.mirror import Identity
from app.github.records import FailedCheck, Pull
from app.publishing.markers import reply_marker, round_marker
from app.runs.active_run import ActiveRun
from app.runs.feedback import CHECK_ROUNDS, FeedbackItem
from app.runs.results import ChangeResult, Gathered, Pushed
from app.sanitize.markdown import (
    COMMENT_LIMIT,
    Markdown,
    code,
    commit_text,
    fit,
    inline,
    prose,
    title_text,
)


async def answer_all(
    run: ActiveRun,
    items: Sequence[FeedbackItem],
    state: AttemptState,
    found: Gathered,
    result: ChangeResult,
    *,
    kept: bool = False,
) -> None:
    """Reply in each thread, and on the page to what has no thread.

    `kept`: people have the change in a comment, because it could not be pushed.
    """
    commit = result.commit if isinstance(result, Pushed) else ""
    changed = bool(commit) and commit != found.head
    failed = "" if isinstance(result, Pushed) else result.reason
    summary = state.submitted.summary if state.submitted else ""
    replies = answers(summary, len(items))
    on_page = []
    for item, words in zip(items, replies, strict=True):
        text = answer_text(words, commit=commit[:12], changed=changed, failed=failed, kept=kept)
        if item.thread:
            marker = reply_marker(run.record.id, item.key)
            await run.forge.reply(run.record.pull_number, item.thread, marker, text)
        else:
            on_page.append((item, text))
    if on_page or changed:
        facts = run.facts(found)
        text = page_comment(
            on_page, proof=_proof(state, commit) if changed else "", run_url=facts.run_url
        )
        marker = round_marker(run.record.id, run.record.round)
        await run.forge.put_comment(run.record.pull_number, marker, text)


async def say_given_up(run: ActiveRun, pull: Pull, checks: Sequence[FailedCheck]) -> None:
    """Say once that the remaining failed checks are left to people."""
    marker = f"<!-- patchwright:given-up run={run.record.id} -->"
    await run.forge.put_comment(pull.number, marker, given_up(checks))


def commit_text_for(
    pull: Pull,
    state: AttemptState,
    author: Identity,
    style: MessageStyle = MessageStyle(),  # noqa: B008 - frozen
) -> str:
    """The message of a round's commit."""
    summary = state.submitted.summary if state.submitted else ""
    words = f"Follow the review of #{pull.number}"
    subject = title_text(style.subject(words, 0) if style.form == "conventional" else words, 68)
    body = commit_text(summary)
    return f"{subject}\n\n{body}\n\nSigned-off-by: {author.name} <{author.email}>\n"


def _proof(state: AttemptState, commit: str) -> str:
    checks = state.verdict.checks if state.verdict else ()
    held = sum(check.ok for check in checks)
    if state.verdict is None or state.verdict.verdict != "proven":
        return f"{commit[:12]} is **not proven**."
    return (
        f"Proven again in fresh sandboxes for the whole pull request as of {commit[:12]}: "
        f"{held} of {len(checks)} checks passed."
    )


def answers(summary: str, count: int) -> tuple[str, ...]:
    """What the model's summary says to each item, by the lines that begin with `[n]`.

    An item without such a line is answered with the whole summary.
    """
    found: dict[int, list[str]] = {}
    at = 0
    for line in summary.splitlines():
        begun = re.match(r"\s*(?:[-*]\s+)?\[(\d{1,3})\]\s*(.*)", line)
        if begun and 1 <= int(begun[1]) <= count:
            at = int(begun[1])
            found.setdefault(at, []).append(begun[2])
        elif at:
            found[at].append(line)
    whole = summary.strip()
    return tuple("\n".join(found.get(n, ())).strip() or whole for n in range(1, count + 1))


def answer_text(
    reply: str, *, commit: str, changed: bool, failed: str, kept: bool = False
) -> Markdown:
    """An answer to one item. `commit` has the change; `failed` says why there is none.

    `kept`: there is one, in a comment on the page.
    """
    if kept:
        return Markdown(
            f"Not pushed; the change is in a comment on this page. {prose(failed, 3000)}"
        )
    if failed:
        return Markdown(f"Not done. {prose(failed, 3000)}")
    done = f"Done in {commit}." if changed else "No change was made for this."
    return Markdown(f"{done} {prose(reply, 6000)}")


def page_comment(
    items: Sequence[tuple[FeedbackItem, Markdown]], *, proof: str, run_url: str
) -> Markdown:
    """The answers that belong to no thread, and how the change was proven again."""
    parts = [f"> {inline(item.title)}\n\n{answer}" for item, answer in items]
    if proof:
        parts.append(proof)
    if run_url:
        parts.append(f"[Every step of this run]({run_url})")
    return Markdown(fit("\n\n".join(parts), COMMENT_LIMIT - 500))


def given_up(checks: Sequence[FailedCheck]) -> Markdown:
    """What to say when checks still fail after the last round for them."""
    named = ", ".join(code(check.name) for check in checks[:10])
    return Markdown(
        f"{named} still fails after {CHECK_ROUNDS} tries and needs a person: say in a review what "
        "to do, or push to the branch."
    )
